//! Mistakes that other clients have made with these formats, each as a test.

use amps_codecs::{
    CodecError, CompositeMessageBuilder, CompositeMessageParser, FixBuilder, FixShredder,
    NvfixBuilder, NvfixShredder,
};

#[test]
fn an_empty_composite_part_does_not_shift_the_parts_behind_it() {
    let mut builder = CompositeMessageBuilder::new();
    builder
        .append("first")
        .unwrap()
        .append("")
        .unwrap()
        .append("third")
        .unwrap();
    let parts = CompositeMessageParser::parse(&builder).unwrap();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts.get(1), Some(b"".as_slice()));
    assert_eq!(parts.get(2), Some(b"third".as_slice()));
}

#[test]
fn a_composite_length_that_would_wrap_a_position_around_is_an_error() {
    // The third part begins at byte 13; with this length it would end, in 32 bits, at byte 9.
    let mut message = b"\0\0\0\x01a\0\0\0\0".to_vec();
    message.extend_from_slice(&(u32::MAX - 3).to_be_bytes());
    let parts = CompositeMessageParser::new(&message);
    assert_eq!(
        parts.check(),
        Err(CodecError::TruncatedPart {
            part: 2,
            length: u32::MAX - 3,
            available: 0
        }),
    );
    assert_eq!(parts.len(), 2);
}

#[test]
fn a_composite_message_that_ends_inside_a_length_is_an_error() {
    let message = b"\0\0\0\x01a\0\0\x01";
    let error = CompositeMessageParser::parse(message).unwrap_err();
    assert_eq!(
        error,
        CodecError::TruncatedLength {
            part: 1,
            available: 3
        }
    );
    assert_eq!(
        CompositeMessageParser::new(message).get(0),
        Some(b"a".as_slice())
    );
}

#[test]
fn a_builder_that_grows_keeps_every_byte() {
    let (mut fix, mut nvfix) = (FixBuilder::with_capacity(1), NvfixBuilder::with_capacity(1));
    let (mut fix_expected, mut nvfix_expected) = (String::new(), String::new());
    for tag in 0..3000_u32 {
        let value = "v".repeat(tag as usize % 130);
        fix.append(tag, &value).unwrap();
        fix_expected += &format!("{tag}={value}\x01");
        let name = format!("n{tag}");
        nvfix.append(&name, &value).unwrap();
        nvfix_expected += &format!("{name}={value}\x01");
    }
    assert_eq!(fix.as_bytes(), fix_expected.as_bytes());
    assert_eq!(nvfix.as_bytes(), nvfix_expected.as_bytes());
}

#[test]
fn the_length_of_a_builder_is_the_length_of_its_message() {
    let (mut fix, mut nvfix) = (FixBuilder::new(), NvfixBuilder::new());
    assert_eq!((fix.len(), nvfix.len()), (0, 0));
    for value in ["", "a", "ab=cd", "a value of more than sixteen bytes"] {
        fix.append(55, value).unwrap();
        nvfix.append("symbol", value).unwrap();
        assert_eq!(fix.len(), fix.as_bytes().len());
        assert_eq!(nvfix.len(), nvfix.as_bytes().len());
    }
    assert_eq!(nvfix.len(), fix.len() + 4 * ("symbol".len() - "55".len()));
}

#[test]
fn a_value_may_contain_an_equals_sign() {
    let (mut fix, mut nvfix) = (FixBuilder::new(), NvfixBuilder::new());
    fix.append(58, "a=b=").unwrap();
    nvfix.append("text", "a=b=").unwrap();
    assert_eq!(FixShredder::new(&fix).get(58).unwrap(), "a=b=");
    assert_eq!(NvfixShredder::new(&nvfix).get("text").unwrap(), "a=b=");
}

#[test]
fn a_value_may_be_empty() {
    let (mut fix, mut nvfix) = (FixBuilder::new(), NvfixBuilder::new());
    fix.append(58, "").unwrap().append(59, "0").unwrap();
    nvfix
        .append("text", "")
        .unwrap()
        .append("tif", "0")
        .unwrap();
    assert_eq!(FixShredder::new(&fix).get(58).unwrap(), "");
    assert_eq!(FixShredder::new(&fix).fields().count(), 2);
    assert_eq!(NvfixShredder::new(&nvfix).get("text").unwrap(), "");
    assert_eq!(NvfixShredder::new(&nvfix).fields().count(), 2);
}

#[test]
fn a_default_builder_separates_fields_with_soh() {
    let (mut fix, mut nvfix) = (FixBuilder::default(), NvfixBuilder::default());
    fix.append(1, "a").unwrap().append(2, "b").unwrap();
    nvfix.append("x", "a").unwrap().append("y", "b").unwrap();
    assert_eq!(fix.as_bytes(), b"1=a\x012=b\x01");
    assert_eq!(nvfix.as_bytes(), b"x=a\x01y=b\x01");
}

#[test]
fn clearing_keeps_the_buffer_and_the_separator() {
    let mut fix = FixBuilder::with_separator(b'|').unwrap();
    fix.append(58, [b'x'; 1000]).unwrap();
    let buffer = fix.as_bytes().as_ptr();
    fix.clear();
    assert!(fix.is_empty());
    assert_eq!(fix.as_bytes(), b"");
    fix.append(58, [b'y'; 1000]).unwrap();
    assert_eq!(fix.as_bytes().as_ptr(), buffer);
    assert!(fix.as_bytes().starts_with(b"58=y"));
    assert!(fix.as_bytes().ends_with(b"y|"));
}
