//! The bytes on the wire, against frames that were written by hand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod alike;
mod arbitrary;
mod from_client;
mod from_server;
mod sequences;
mod split;

use amps_core::Message;
use amps_core::protocol::FrameBuffer;
use bytes::Bytes;

/// One line of a data file: the frame with its length prefix.
fn golden(file: &str, name: &str) -> Vec<u8> {
    let line = file
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("no golden frame is named {name}"));
    let (prefix, body) = line.split_at(10);
    let length = u32::from_str_radix(&prefix[1..9], 16).unwrap();
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(body.as_bytes());
    frame
}

fn names(file: &str) -> impl Iterator<Item = &str> {
    file.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(' ').next())
}

/// The frames in a stream of bytes.
fn frames(bytes: &[u8]) -> Vec<Bytes> {
    let mut buffer = FrameBuffer::default();
    let mut found = Vec::new();
    let mut left = bytes;
    while !left.is_empty() {
        let space = buffer.space();
        let count = space.len().min(left.len());
        space[..count].copy_from_slice(&left[..count]);
        buffer.advance(count);
        left = &left[count..];
        while let Some(frame) = buffer.next_frame().unwrap() {
            found.push(frame);
        }
    }
    assert!(buffer.is_at_frame_end(), "half a frame is left");
    found
}

/// The messages in a stream of bytes.
fn messages(bytes: &[u8]) -> Vec<Message> {
    let mut found = Vec::new();
    let chunk = Bytes::copy_from_slice(bytes);
    Message::each_in_chunk(chunk, |message| found.push(message.clone())).unwrap();
    found
}
