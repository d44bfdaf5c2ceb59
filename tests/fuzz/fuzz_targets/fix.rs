//! Any bytes are read without a panic, the same in both directions and in both modes, and what was
//! read can be built and read again.
#![no_main]

use amps_codecs::{FixBuilder, FixShredder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&separator, message)) = input.split_first() else {
        return;
    };
    let Ok(shredder) = FixShredder::with_separator(message, separator) else {
        return;
    };
    let fields: Vec<_> = shredder.fields().collect();

    let mut backwards: Vec<_> = shredder.fields().rev().collect();
    backwards.reverse();
    assert_eq!(fields, backwards);
    let strict: Vec<_> = shredder.strict_fields().filter_map(Result::ok).collect();
    assert_eq!(fields, strict);

    let mut builder = FixBuilder::with_separator(separator).expect("the shredder took it");
    for field in &fields {
        let value = field.value();
        let _ = (value.as_text(), value.as_integer(), value.as_decimal());
        assert_eq!(
            shredder.get(field.tag()),
            shredder.to_map().get(&field.tag()).copied()
        );
        builder
            .append(field.tag(), value)
            .expect("a value that was read holds no separator");
    }
    let again = FixShredder::with_separator(&builder, separator).expect("the same separator");
    assert!(again.fields().eq(fields));
});
