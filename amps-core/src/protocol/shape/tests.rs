//! Whatever was read before, a header is read as it stands.

use super::*;

const USUAL: &[u8] = br#"{"c":"p","t":"orders","sids":"sub-1","bm":"44|908|","ts":"20240315T093000.1Z","lp":"7","k":"123"}"#;
const RECORD: &[u8] = br#"{"k":"13480907839116428812","l":100}"#;

/// A shape that knows the layout of `text`.
fn shape_of(text: &[u8]) -> Shape {
    let mut shape = Shape::default();
    for _ in 0..2 {
        let mut header = Header::EMPTY;
        shape.read(text, 0, text.len(), &mut header).unwrap();
    }
    shape
}

/// Reads with and without the shape, as the header of a frame and on top of another one.
fn assert_reads_alike(shape: &mut Shape, frame: &[u8], start: usize, end: usize) {
    let over = Header::parse(
        br#"{"c":"sow","t":"outer","query_id":"7","k":"9","bm":"1|1|"}"#,
        0,
    );
    for before in [Header::EMPTY, over.unwrap()] {
        let (mut by_shape, mut plainly) = (before, before);
        // It must not learn from what it is tested with.
        shape.last_length = 0;
        let length = shape.length;
        let ours = shape.read(frame, start, end, &mut by_shape);
        let theirs = plainly.read(&frame[..end], start);
        assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(frame));
        if ours.is_ok() {
            let text = |header: &Header| {
                let fields = [
                    header.topic,
                    header.command_id,
                    header.sub_id,
                    header.sub_ids,
                    header.query_id,
                    header.bookmark,
                    header.sow_key,
                    header.span,
                ];
                // An empty field is nowhere.
                fields.map(|span| (!span.is_empty()).then_some(span))
            };
            assert_eq!(
                text(&by_shape),
                text(&plainly),
                "{}",
                String::from_utf8_lossy(frame)
            );
            let rest = |header: &Header| {
                (
                    header.command,
                    header.ack_type,
                    header.status,
                    header.has_lease,
                    header.special,
                    header.message_length,
                )
            };
            assert_eq!(
                rest(&by_shape),
                rest(&plainly),
                "{}",
                String::from_utf8_lossy(frame)
            );
        }
        assert_eq!(shape.length, length);
    }
}

fn with_payload(header: &[u8]) -> Vec<u8> {
    [header, &[b'x'; 40][..]].concat()
}

#[test]
fn the_layout_of_two_headers_of_one_length_is_remembered() {
    for text in [USUAL, RECORD] {
        let shape = shape_of(text);
        assert_eq!(shape.length, text.len());
        let frame = with_payload(text);
        assert!(shape.fits(&frame, 0, frame.len()));
    }
}

#[test]
fn other_values_of_the_same_length_fit() {
    let shape = shape_of(USUAL);
    let other = br#"{"c":"p","t":"trades","sids":"sub-9","bm":"99|111|","ts":"20991231T235959.9Z","lp":"0","k":"999"}"#;
    let frame = with_payload(other);
    assert!(shape.fits(&frame, 0, frame.len()));
    assert!(shape_of(RECORD).fits(
        &with_payload(br#"{"k":"00000000000000000000","l":999}"#),
        0,
        76
    ));
}

#[test]
fn a_header_with_any_byte_changed_is_read_as_it_stands() {
    for text in [USUAL, RECORD] {
        let mut shape = shape_of(text);
        for at in 0..text.len() {
            for byte in [
                b'"', b'\\', b',', b':', b'}', b'{', b'[', b' ', b'0', b'l', b't', 0, 0x80, 0xFF,
            ] {
                let mut frame = with_payload(text);
                frame[at] = byte;
                assert_reads_alike(&mut shape, &frame, 0, frame.len());
            }
        }
    }
}

#[test]
fn a_header_that_is_cut_or_stands_elsewhere_is_read_as_it_stands() {
    let mut shape = shape_of(USUAL);
    let frame = [&b"12345"[..], &with_payload(USUAL)].concat();
    for end in 5..frame.len() {
        assert_reads_alike(&mut shape, &frame, 5, end);
    }
}

#[test]
fn headers_of_every_kind_are_read_alike_after_each_other() {
    let headers: &[&[u8]] = &[
        USUAL,
        RECORD,
        br#"{"c":"ack","cid":"1","a":"processed","status":"success"}"#,
        br#"{"c":"ack","cid":"1","a":"completed","status":"failure"}"#,
        br#"{"c":"sow","query_id":"7","t":"orders","bs":10}"#,
        br#"{"c":"sow","query_id":"7","t":"orders","bs":99}"#,
        br#"{"k":"","l":100}"#,
        br#"{"k":"1","l":"5"}"#,
        br#"{"k":"1","l":5,"l":6}"#,
        br#"{"k":"1","l":x5}"#,
        br#"{"t":"a","topic":"b"}"#,
        br#"{"c":"p","t":"or\"ders"}"#,
        b"{ \"c\" : \"p\" , \"t\" : \"orders\" }",
        br#"{"c":"p","zz":{"a":"1"},"t":"orders"}"#,
        b"{}",
    ];
    for known in headers {
        let mut shape = shape_of(known);
        for header in headers {
            let frame = with_payload(header);
            assert_reads_alike(&mut shape, &frame, 0, frame.len());
        }
    }
}

#[test]
fn a_single_header_of_another_kind_does_not_replace_what_is_known() {
    let mut shape = shape_of(USUAL);
    let mut header = Header::EMPTY;
    let ack = br#"{"c":"ack","a":"persisted"}"#;
    shape.read(ack, 0, ack.len(), &mut header).unwrap();
    assert_eq!(header.command, CommandType::Ack);
    assert_eq!(shape.length, USUAL.len());
    // Nor do several that cannot be remembered themselves.
    shape.read(ack, 0, ack.len(), &mut header).unwrap();
    assert_eq!(shape.length, USUAL.len());
}

#[test]
fn a_header_that_is_too_long_is_not_remembered() {
    let long = [br#"{"c":"p","t":""#, &[b'x'; LONGEST * WORD][..], br#""}"#].concat();
    assert_eq!(shape_of(&long).length, 0);
}
