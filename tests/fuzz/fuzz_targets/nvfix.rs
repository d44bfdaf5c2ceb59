//! Any bytes are read without a panic, the same in both directions and in both modes, and what was
//! read can be built and read again.
#![no_main]

use amps_codecs::{NvfixBuilder, NvfixShredder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&separator, message)) = input.split_first() else {
        return;
    };
    let Ok(shredder) = NvfixShredder::with_separator(message, separator) else {
        return;
    };
    let fields: Vec<_> = shredder.fields().collect();

    let mut backwards: Vec<_> = shredder.fields().rev().collect();
    backwards.reverse();
    assert_eq!(fields, backwards);
    let strict: Vec<_> = shredder.strict_fields().filter_map(Result::ok).collect();
    assert_eq!(fields, strict);
    assert!(shredder.to_map().len() <= fields.len());

    let mut builder = NvfixBuilder::with_separator(separator).expect("the shredder took it");
    for field in &fields {
        assert!(shredder.get(field.name_bytes()).is_some());
        builder
            .append(field.name_bytes(), field.value())
            .expect("what was read holds no separator, and its name no `=`");
    }
    let again = NvfixShredder::with_separator(&builder, separator).expect("the same separator");
    assert!(again.fields().eq(fields));
});
