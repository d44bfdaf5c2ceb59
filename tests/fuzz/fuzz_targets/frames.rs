//! Any frames are read without a panic, and each as if it came alone.
#![no_main]

#[path = "../../protocol/alike.rs"]
mod alike;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bodies: &[u8]| {
    // A newline ends a frame, so that a changed byte does not change all frames behind it.
    let chunk = bodies.split(|byte| *byte == b'\n').flat_map(|body| {
        let length = (body.len() as u32).to_be_bytes();
        [&length, body].concat()
    });
    alike::assert_read_alike(&chunk.collect::<Vec<_>>());
});
