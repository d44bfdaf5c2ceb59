//! Frames in random order, most of them like the one before and some of them not quite.

use crate::alike::assert_read_alike;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Bodies that differ in what the layout of a header is made of.
const BODIES: &[&str] = &[
    r#"{"c":"p","t":"orders","sids":"4"}{"id":1,"qty":100}"#,
    r#"{"c":"p","t":"orders","sids":"4,replay","bm":"44|908|","ts":"20240315T093000.1Z","k":"123"}x"#,
    r#"{"c":"p","t":"jobs","sids":"jobs-1","bm":"44|12|","lp":"20240315T093100.1Z"}{"job":17}"#,
    r#"{"c":"p","t":"jobs","sids":"jobs-1","bm":"44|12|","lp":""}{"job":17}"#,
    r#"{"c":"p","t":"or\u0064ers","sids":"4"}{"id":1,"qty":100}"#,
    r#"{ "cmd":"publish" , "topic":"orders", "sub_id":"4", "n":{"t":["x"]}, "s":12}y"#,
    r#"{"c":"oof","t":"orders","sids":"4","k":"9","reason":"match"}{}"#,
    r#"{"c":"ack","cid":"4","sub_id":"4","a":"processed","status":"success"}"#,
    r#"{"c":"ack","cid":"9","a":"processed","status":"failure","reason":"bad filter"}"#,
    r#"{"c":"sow","query_id":"7","t":"orders","bs":3}{"k":"11","l":2}{}{"k":"12","l":2}{}{"k":"13","l":2}{}"#,
    r#"{"c":"sow","query_id":"7","t":"orders","k":"0","lp":"1"}{"k":"11","x":"a","l":2}{}{"l":2,"k":"1"}{}"#,
    r#"{"c":"sow","query_id":"7","t":"\u00e9"}{"k":"11","l":2}{}{"k":"12","l":2}{}{"k":"13","l":2}{}"#,
    r#"{"c":"sow","query_id":"7"}{"t":"a","l":"1"}x{"t":"b","l":"1"}x{"t":"","l":"1"}x{"l":1,"l":2}xy"#,
];

/// What is done to a frame.
#[derive(Debug, Clone)]
enum Change {
    /// Nothing.
    Keep,
    /// A letter or a digit becomes another one: the layout stays.
    Value(Index, u8),
    /// Any byte becomes one that means something.
    Byte(Index, u8),
    /// A byte is put in.
    Insert(Index, u8),
    /// What follows is cut off.
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    const MEANT: &[u8] = b"\"\\,:{}[] \n0l\x00\x80\xff";
    let place = any::<Index>;
    prop_oneof![
        20 => Just(Change::Keep),
        30 => (place(), any::<u8>()).prop_map(|(at, to)| Change::Value(at, to)),
        4 => (place(), select(MEANT)).prop_map(|(at, to)| Change::Byte(at, to)),
        2 => (place(), select(MEANT)).prop_map(|(at, to)| Change::Insert(at, to)),
        1 => place().prop_map(Change::Cut),
    ]
}

fn changed(body: &str, change: &Change) -> Vec<u8> {
    let mut bytes = body.as_bytes().to_vec();
    match change {
        Change::Keep => {}
        Change::Value(at, to) => {
            let is_value = |byte: &u8| byte.is_ascii_alphanumeric();
            let places = (0..bytes.len()).filter(|&at| is_value(&bytes[at]));
            let places = places.collect::<Vec<_>>();
            let place = *at.get(&places);
            bytes[place] = match bytes[place].is_ascii_digit() {
                true => b'0' + to % 10,
                false => b'a' + to % 26,
            };
        }
        Change::Byte(at, to) => *at.get_mut(&mut bytes) = *to,
        Change::Insert(at, to) => bytes.insert(at.index(body.len()), *to),
        Change::Cut(at) => bytes.truncate(at.index(body.len())),
    }
    bytes
}

proptest! {
    #[test]
    fn what_came_before_a_frame_makes_no_difference(
        // Few kinds in one sequence, so that most frames find their layout known.
        kinds in vec(select(BODIES), 1..4),
        frames in vec((any::<Index>(), change()), 1..40),
    ) {
        let chunk = frames.iter().flat_map(|(kind, change)| {
            let body = changed(kinds[kind.index(kinds.len())], change);
            [(body.len() as u32).to_be_bytes().to_vec(), body].concat()
        });
        assert_read_alike(&chunk.collect::<Vec<_>>());
    }
}
