//! Whatever the bytes are, reading them ends with messages or with an error.

use amps::Message;
use amps_core::protocol::{
    Field, FrameBuffer, FrameWriter, Header, ParseError, Scanner, find_field, unescape,
};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

/// Reads every message and asks it for everything.
fn read_all(frame: Bytes) {
    let chunk = [&(frame.len() as u32).to_be_bytes(), &frame[..]].concat();
    let _ = Message::each_in_chunk(chunk.into(), |message| {
        let _ = format!("{message:?} {:?}", message.detach());
        let _ = (
            message.topic(),
            message.status(),
            message.records_returned(),
        );
        let _ = (message.data_str(), message.to_result());
    });
}

/// Where a header ends, and its fields with their raw values, as the scanner sees them.
type Scanned = (usize, Vec<(Field, Vec<u8>)>);

fn thorough(bytes: &[u8]) -> Result<Scanned, ParseError> {
    let mut scanner = Scanner::new(bytes, 0)?;
    let mut values = Vec::new();
    while let Some(field) = scanner.next_field()? {
        if let Some(known) = Field::from_key(field.key) {
            values.push((known, field.value.of(bytes).to_vec()));
        }
    }
    Ok((scanner.end(), values))
}

/// Bytes that look like headers more often than chance would have it.
fn header_like() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] = &[
        "{",
        "}",
        "\"c\":\"sow\"",
        "\"c\":\"p\"",
        "\"l\":3",
        "\"l\":99999999999999999999",
        "\"t\":\"a\\u00e9\\\"\"",
        "\"sids\":\"1, ,2,\"",
        "\"t\":\"orders\",",
        "\"bm\":\"44|7|\"",
        "\"sub_id\":\"9\",",
        "\"k\":\"1",
        "\\\":\"",
        "\"x\":\"",
        "\"a",
        "\"k\":[{}]",
        ",",
        ":",
        "\\",
        "\"",
        " \n",
        "é",
        "7",
    ];
    let piece = proptest::sample::select(PIECES);
    vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_the_header_parser(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Header::parse(&bytes, 0);
        read_all(Bytes::from(bytes));
    }

    #[test]
    fn header_like_bytes_never_panic_the_header_parser(bytes in header_like()) {
        read_all(Bytes::from(bytes));
    }

    #[test]
    fn the_quick_way_through_a_header_agrees_with_the_thorough_one(bytes in header_like()) {
        let mut bytes = bytes;
        bytes.insert(0, b'{');
        let quick = Header::parse(&bytes, 0);
        match thorough(&bytes) {
            Err(error) => prop_assert_eq!(quick.unwrap_err(), error),
            Ok((end, values)) => {
                let quick = quick.unwrap();
                prop_assert_eq!(quick.span.end(), end);
                for (field, span) in [
                    (Field::Topic, quick.topic),
                    (Field::SubIds, quick.sub_ids),
                    (Field::SubId, quick.sub_id),
                    (Field::QueryId, quick.query_id),
                    (Field::CommandId, quick.command_id),
                    (Field::Bookmark, quick.bookmark),
                    (Field::SowKey, quick.sow_key),
                ] {
                    let value = values.iter().rev().find(|(known, _)| *known == field);
                    let value = value.map(|(_, value)| &**value).unwrap_or_default();
                    prop_assert_eq!(span.of(&bytes), value);
                }
            }
        }
    }

    /// Trap 41.
    #[test]
    fn arbitrary_bytes_never_panic_the_frame_reader(
        bytes in vec(any::<u8>(), 0..2000),
        step in 1usize..50,
    ) {
        let mut buffer = FrameBuffer::new(1 << 16);
        'all: for chunk in bytes.chunks(step) {
            buffer.space()[..chunk.len()].copy_from_slice(chunk);
            buffer.advance(chunk.len());
            loop {
                match buffer.next_frame() {
                    Ok(Some(frame)) => read_all(frame),
                    Ok(None) => break,
                    Err(_) => break 'all,
                }
            }
        }
    }

    /// Trap 45.
    #[test]
    fn any_text_survives_the_way_over_the_wire(
        topic in any::<String>(),
        filter in vec(any::<u8>(), 0..50),
        data in vec(any::<u8>(), 0..50),
    ) {
        let mut out = Vec::new();
        let mut frame = FrameWriter::begin(&mut out, amps::CommandType::Subscribe);
        frame.text(Field::Topic, topic.as_bytes());
        frame.text(Field::Filter, &filter);
        frame.finish(&data);
        let body = Bytes::from(out.split_off(4));
        let raw = find_field(&body, 0, Field::Filter).unwrap();
        prop_assert_eq!(&*unescape(raw), &filter[..]);
        let message = Message::from_frame(body.clone()).unwrap();
        prop_assert_eq!(message.topic(), topic);
        prop_assert_eq!(message.data(), &data[..]);
    }
}
