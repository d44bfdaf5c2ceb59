//! A frame is what a writer that goes byte by byte makes of the same values.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;
use crate::protocol::{FieldKind, Header, unescape};
use proptest::prelude::*;

/// The text with its escapes.
fn escaped(text: &[u8]) -> Vec<u8> {
    let escape = |&byte: &u8| match byte {
        b'"' => br#"\""#.to_vec(),
        b'\\' => br"\\".to_vec(),
        0x08 => br"\b".to_vec(),
        b'\t' => br"\t".to_vec(),
        b'\n' => br"\n".to_vec(),
        0x0C => br"\f".to_vec(),
        b'\r' => br"\r".to_vec(),
        0..0x20 => format!("\\u{byte:04x}").into_bytes(),
        byte => vec![byte],
    };
    text.iter().flat_map(escape).collect()
}

/// Every command, as it is written.
const COMMANDS: &[&str] = &[
    "p",
    "ack",
    "sow",
    "group_begin",
    "group_end",
    "oof",
    "heartbeat",
    "delta_publish",
    "subscribe",
    "delta_subscribe",
    "unsubscribe",
    "sow_and_subscribe",
    "sow_and_delta_subscribe",
    "sow_delete",
    "flush",
    "logon",
    "start_timer",
    "stop_timer",
];

/// One field as it stands in a header.
#[derive(Debug, Clone)]
enum Value {
    Text(Field, Vec<u8>),
    Number(Field, u64),
}

impl Value {
    fn write(&self, frame: &mut FrameWriter<'_>) {
        match self {
            Value::Text(field, text) => frame.text(*field, text),
            Value::Number(field, number) => frame.number(*field, *number),
        }
    }

    fn plainly(&self) -> Vec<u8> {
        match self {
            Value::Text(field, text) => {
                let (key, text) = (field.key(), escaped(text));
                [format!(r#","{key}":""#).as_bytes(), &text, br#"""#].concat()
            }
            Value::Number(field, number) => format!(r#","{}":{number}"#, field.key()).into_bytes(),
        }
    }
}

fn header(name: &[u8], values: &[Value]) -> Vec<u8> {
    let fields = values.iter().flat_map(Value::plainly).collect::<Vec<_>>();
    [br#"{"c":""#, &*escaped(name), br#"""#, &fields, b"}"].concat()
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes(), body].concat()
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let usual = prop::collection::vec(b' '..=b'~', 0..40);
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    let long = (any::<u8>(), 40usize..400).prop_map(|(byte, length)| vec![byte; length]);
    prop_oneof![3 => usual, 3 => bytes, 1 => long]
}

fn number() -> impl Strategy<Value = u64> {
    // As many of each length.
    (any::<u64>(), 0u32..64).prop_map(|(number, shift)| number >> shift)
}

fn values() -> impl Strategy<Value = Vec<Value>> {
    let value =
        (prop::sample::select(Field::ALL), text(), number()).prop_map(|(field, text, number)| {
            match field.kind() {
                FieldKind::Text => Value::Text(field, text),
                FieldKind::Number => Value::Number(field, number),
            }
        });
    prop::collection::vec(value, 0..8)
}

/// A command that is known, or the name of one that is not.
fn command() -> impl Strategy<Value = (CommandType, Vec<u8>)> {
    let known = prop::sample::select(COMMANDS).prop_map(|name| {
        let command = CommandType::from_wire(name.as_bytes());
        (command, name.as_bytes().to_vec())
    });
    let named = text().prop_map(|name| (CommandType::Unknown, name));
    prop_oneof![3 => known, 1 => named]
}

fn begin<'a>(out: &'a mut Vec<u8>, (command, name): &(CommandType, Vec<u8>)) -> FrameWriter<'a> {
    match command {
        CommandType::Unknown => FrameWriter::begin_named(out, name),
        known => FrameWriter::begin(out, *known),
    }
}

proptest! {
    /// As in a batch: each behind the one before, in a buffer with any content and capacity.
    #[test]
    fn frames_behind_each_other_are_what_a_plain_writer_makes(
        before in prop::collection::vec(any::<u8>(), 0..300),
        spare in 0usize..300,
        frames in prop::collection::vec((command(), values(), text(), any::<bool>()), 1..5),
    ) {
        let mut out = before.clone();
        out.reserve_exact(spare);
        let mut expected = before;
        for (command, values, payload, apart) in frames {
            let mut frame = begin(&mut out, &command);
            values.iter().for_each(|value| value.write(&mut frame));
            if apart {
                frame.finish_header(payload.len());
                out.extend_from_slice(&payload);
            } else {
                frame.finish(&payload);
            }
            expected.extend(framed(&[header(&command.1, &values), payload].concat()));
        }
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn records_are_what_a_plain_writer_makes(
        before in prop::collection::vec(any::<u8>(), 0..300),
        outer in values(),
        records in prop::collection::vec((prop::collection::vec(text(), 0..4), text()), 0..5),
    ) {
        let mut out = before.clone();
        let mut frame = FrameWriter::begin(&mut out, CommandType::Sow);
        outer.iter().for_each(|value| value.write(&mut frame));
        let mut batch = frame.records();
        let mut body = header(b"sow", &outer);
        for (keys, payload) in &records {
            batch.record(keys.iter().map(|key| (Field::SowKey, key.as_slice())), payload);
            let keys = keys.iter().map(|key| Value::Text(Field::SowKey, key.clone()));
            let length = Value::Number(Field::MessageLength, payload.len() as u64);
            let fields = keys.chain([length]).flat_map(|value| value.plainly());
            let fields = fields.collect::<Vec<_>>();
            body.extend([b"{", &fields[1..], b"}", payload].concat());
            prop_assert_eq!(batch.len(), PREFIX + body.len());
        }
        batch.finish();
        prop_assert_eq!(out, [before, framed(&body)].concat());
    }
}

#[test]
fn every_byte_at_every_place_is_what_a_plain_writer_makes_of_it() {
    let mut out = Vec::new();
    for byte in 0..=255 {
        for (length, at) in (1..=40).flat_map(|length| (0..length).map(move |at| (length, at))) {
            for around in [b'x', byte] {
                let mut text = vec![around; length];
                text[at] = byte;
                out.clear();
                FrameWriter::begin(&mut out, CommandType::Publish).text(Field::Topic, &text);
                let written = br#"0000{"c":"p","t":""#.len();
                let expected = [&*escaped(&text), br#"""#].concat();
                assert!(out[written..].starts_with(&expected), "{text:?}");
            }
        }
    }
}

/// The zeroes that lie ready end anywhere in a value.
#[test]
fn a_text_of_any_length_ends_where_it_should() {
    for length in 0..600 {
        for last in [b'v', b'"'] {
            let mut value = vec![b'v'; length];
            value.extend((length > 0).then_some(last));
            let values = [
                Value::Text(Field::Topic, value),
                Value::Number(Field::Sequence, u64::MAX),
            ];
            let mut out = Vec::new();
            let mut frame = FrameWriter::begin(&mut out, CommandType::Publish);
            values.iter().for_each(|value| value.write(&mut frame));
            frame.finish(b"");
            assert_eq!(out, framed(&header(b"p", &values)), "{length}");
        }
    }
}

#[test]
fn what_is_escaped_is_read_back_as_it_was() {
    let text = (0u8..=255).collect::<Vec<_>>();
    let mut out = Vec::new();
    let mut frame = FrameWriter::begin(&mut out, CommandType::Subscribe);
    frame.text(Field::Topic, &text);
    frame.finish(b"");
    let body = &out[4..];
    let header = Header::parse(body, 0).unwrap();
    assert!(header.special);
    assert_eq!(&*unescape(header.topic.of(body)), &text[..]);
    assert_eq!(header.span.end(), body.len());
}

#[test]
fn every_byte_is_read_back_as_it_was_wherever_it_stands() {
    let mut out = Vec::new();
    for byte in 0..=255 {
        for length in 1..20 {
            for at in 0..length {
                let mut text = vec![b'x'; length];
                text[at] = byte;
                out.clear();
                let mut frame = FrameWriter::begin(&mut out, CommandType::Publish);
                frame.text(Field::Topic, &text);
                frame.finish(b"payload");
                let body = &out[4..];
                let header = Header::parse(body, 0).unwrap();
                assert_eq!(&*unescape(header.topic.of(body)), &text[..], "at {at}");
                assert_eq!(&body[header.span.end()..], b"payload");
            }
        }
    }
}

#[test]
fn numbers_are_written_in_full() {
    let powers = (0..20).map(|power| 10u64.pow(power));
    let numbers = powers.flat_map(|power| {
        let around = [power - 1, power, power + 1, power.wrapping_mul(7)];
        around.into_iter().chain([123_456_789 % power])
    });
    let mut out = Vec::new();
    for number in numbers.chain(0..20_000).chain([u64::MAX - 1, u64::MAX]) {
        out.clear();
        let mut frame = FrameWriter::begin(&mut out, CommandType::Publish);
        frame.number(Field::Sequence, number);
        frame.finish(b"");
        let expected = format!(r#"{{"c":"p","s":{number}}}"#);
        assert_eq!(std::str::from_utf8(&out[4..]).unwrap(), expected);
    }
}

#[test]
fn a_frame_is_as_long_as_it_says_and_leaves_what_stands_before_it() {
    let mut out = b"before".to_vec();
    for length in [0, 1, 100, 127, 128, 129, 500, 10_000] {
        out.truncate(6);
        let value = vec![b'v'; length];
        let mut frame = FrameWriter::begin(&mut out, CommandType::Publish);
        frame.text_if(Field::Filter, &value);
        frame.number(Field::Sequence, 7);
        frame.finish(&value);
        let prefix = out[6..10].try_into().unwrap();
        assert_eq!(u32::from_be_bytes(prefix) as usize, out.len() - 10);
        assert!(out.starts_with(b"before"));
        assert!(out.ends_with(&value));
    }
}
