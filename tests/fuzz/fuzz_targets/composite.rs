//! Any bytes are read without a panic, and the whole parts, built again, are the same bytes.
#![no_main]

use amps_codecs::{CompositeMessageBuilder, CompositeMessageParser};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    let parser = CompositeMessageParser::new(message);
    let mut builder = CompositeMessageBuilder::new();
    for (position, part) in parser.iter().enumerate().take(100) {
        assert_eq!(parser.get(position), Some(part));
    }
    for part in parser {
        builder.append(part).expect("a part that was read fits");
    }
    assert_eq!(parser.iter().count(), parser.len());
    assert_eq!(parser.get(parser.len()), None);
    assert!(message.starts_with(builder.data()));
    assert_eq!(parser.check().is_ok(), builder.len() == message.len());
    assert_eq!(
        parser.check().is_ok(),
        CompositeMessageParser::parse(message).is_ok()
    );
});
