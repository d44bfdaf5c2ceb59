//! What merging and differences promise.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\x01', "|")
}

fn merged(message_type: &str, stored: &str, delta: &str) -> String {
    let bytes = |text: &str| text.replace('|', "\x01").into_bytes();
    let message_type = message_type.parse().unwrap();
    text(&merge(&message_type, &bytes(stored), &bytes(delta)).unwrap())
}

fn difference(message_type: &str, old: &str, new: &str, keys: &[&str]) -> (String, bool) {
    let bytes = |text: &str| text.replace('|', "\x01").into_bytes();
    let keys: Vec<Path> = keys.iter().map(|key| key.parse().unwrap()).collect();
    let message_type = message_type.parse().unwrap();
    let delta = diff(&message_type, &bytes(old), &bytes(new), &keys);
    (text(&delta.payload), delta.changed)
}

#[test]
fn json_fields_are_replaced_added_and_never_removed() {
    for (stored, delta, expected) in [
        (r#"{"a":1,"b":2}"#, r#"{"b":3}"#, r#"{"a":1,"b":3}"#),
        (r#"{"a":1}"#, r#"{"c":3,"b":2}"#, r#"{"a":1,"c":3,"b":2}"#),
        (r#"{"a":1}"#, "{}", r#"{"a":1}"#),
        // Objects merge, arrays are replaced whole.
        (
            r#"{"a":{"x":1,"y":2}}"#,
            r#"{"a":{"y":3,"z":4}}"#,
            r#"{"a":{"x":1,"y":3,"z":4}}"#,
        ),
        (r#"{"a":[1,2,3]}"#, r#"{"a":[4]}"#, r#"{"a":[4]}"#),
        (
            r#"{"a":[{"x":1,"y":2}]}"#,
            r#"{"a":[{"x":9}]}"#,
            r#"{"a":[{"x":9}]}"#,
        ),
        (r#"{"a":[1]}"#, r#"{"a":[null]}"#, r#"{"a":[null]}"#),
        // NULL is ignored, as a new field too.
        (r#"{"a":1}"#, r#"{"a":null}"#, r#"{"a":1}"#),
        (
            r#"{"a":1}"#,
            r#"{"a":"","b":[],"c":null,"d":[ ]}"#,
            r#"{"a":1}"#,
        ),
        (
            r#"{"a":1}"#,
            r#"{"n":{"x":null,"y":{"z":""}}}"#,
            r#"{"a":1}"#,
        ),
        (
            r#"{"a":1}"#,
            r#"{"n":{"x":null,"y":2}}"#,
            r#"{"a":1,"n":{"y":2}}"#,
        ),
        // A leaf becomes an object only if the delta has a leaf in it.
        (r#"{"a":1}"#, r#"{"a":{}}"#, r#"{"a":1}"#),
        (r#"{"a":1}"#, r#"{"a":{"x":null}}"#, r#"{"a":1}"#),
        (r#"{"a":1}"#, r#"{"a":{"x":2}}"#, r#"{"a":{"x":2}}"#),
        (r#"{"a":{"x":2}}"#, r#"{"a":1}"#, r#"{"a":1}"#),
        (r#"{"a":{}}"#, r#"{"a":{}}"#, r#"{"a":{}}"#),
        // The first of repeated keys counts; keys match however they are escaped.
        (r#"{"a":1,"a":2}"#, r#"{"b":3,"b":4}"#, r#"{"a":1,"b":3}"#),
        (r#"{"a":1}"#, r#"{"\u0061":2}"#, r#"{"a":2}"#),
        // Text is kept.
        (
            r#"{"a":1.50,"b":"\u00e9"}"#,
            r#"{"c":1e2}"#,
            r#"{"a":1.50,"b":"\u00e9","c":1e2}"#,
        ),
    ] {
        assert_eq!(
            merged("json", stored, delta),
            expected,
            "{stored} + {delta}"
        );
    }
}

#[test]
fn fix_tags_are_replaced_in_place_or_appended() {
    for (stored, delta, expected) in [
        ("55=IBM|38=100|", "38=200|", "55=IBM|38=200|"),
        ("55=IBM|", "38=200|44=1|", "55=IBM|38=200|44=1|"),
        (
            "448=a|55=x|448=b|",
            "448=c|448=d|448=e|",
            "448=c|448=d|448=e|55=x|",
        ),
        ("448=a|448=b|55=x|", "448=c|", "448=c|55=x|"),
        ("55=IBM|38=1|", "38=|", "55=IBM|38=1|"),
        ("55=IBM|", "38=|", "55=IBM|"),
        ("55=IBM", "38=1|", "55=IBM|38=1"),
        ("", "38=1|", "38=1|"),
        ("58=a=b|", "59=c=d|", "58=a=b|59=c=d|"),
    ] {
        for message_type in ["fix", "nvfix"] {
            assert_eq!(
                merged(message_type, stored, delta),
                expected,
                "{stored} + {delta}"
            );
        }
    }
}

fn composite(parts: &[&str]) -> Vec<u8> {
    let mut payload = Vec::new();
    for part in parts {
        push_part(&mut payload, part.as_bytes()).unwrap();
    }
    payload
}

#[test]
fn an_empty_part_of_a_composite_delta_is_unchanged() {
    let local = "composite-local(json,binary,json)".parse().unwrap();
    let stored = composite(&[r#"{"a":1}"#, "xy", r#"{"b":1}"#]);
    for (delta, expected) in [
        (&["", "z"][..], [r#"{"a":1}"#, "z", r#"{"b":1}"#]),
        (
            &[r#"{"c":2}"#, "", ""],
            [r#"{"a":1,"c":2}"#, "xy", r#"{"b":1}"#],
        ),
        (&["", "", r#"{"b":2}"#], [r#"{"a":1}"#, "xy", r#"{"b":2}"#]),
    ] {
        let merged = merge(&local, &stored, &composite(delta)).unwrap();
        assert_eq!(merged, composite(&expected), "{delta:?}");
    }
    let new = composite(&[r#"{"a":1,"k":5}"#, "xy", r#"{"b":2,"c":1}"#]);
    let old = composite(&[r#"{"a":0,"k":5}"#, "xy", r#"{"b":2}"#]);
    let delta = diff(&local, &old, &new, &["/0/k".parse().unwrap()]);
    assert_eq!(
        delta.payload,
        composite(&[r#"{"a":1,"k":5}"#, "", r#"{"c":1}"#])
    );
    assert!(delta.changed);
    let delta = diff(&local, &new, &new, &["/0/k".parse().unwrap()]);
    assert_eq!(delta.payload, composite(&[r#"{"k":5}"#, "", ""]));
    assert!(!delta.changed);
}

#[test]
fn types_without_deltas_take_the_literal_message() {
    for message_type in [
        MessageType::Binary,
        MessageType::CompositeGlobal(vec![MessageType::Json]),
    ] {
        assert!(!message_type.has_deltas());
        assert_eq!(merge(&message_type, b"old", b"new").unwrap(), b"new");
        let delta = diff(&message_type, b"old", b"new", &[]);
        assert_eq!((&delta.payload[..], delta.changed), (&b"new"[..], true));
        assert!(!diff(&message_type, b"same", b"same", &[]).changed);
    }
}

#[test]
fn a_json_difference_has_the_keys_and_the_changes() {
    for (old, new, expected, changed) in [
        (
            r#"{"id":1,"a":1}"#,
            r#"{"id":1,"a":2}"#,
            r#"{"id":1,"a":2}"#,
            true,
        ),
        (
            r#"{"id":1,"a":1,"b":1}"#,
            r#"{"b":2,"a":1,"id":1}"#,
            r#"{"b":2,"id":1}"#,
            true,
        ),
        (
            r#"{"id":1,"a":1}"#,
            r#"{"id":1,"a":1}"#,
            r#"{"id":1}"#,
            false,
        ),
        (
            r#"{"id":1}"#,
            r#"{"id":1,"a":1}"#,
            r#"{"id":1,"a":1}"#,
            true,
        ),
        (r#"{"id":1,"a":1}"#, r#"{"id":1}"#, r#"{"id":1}"#, false),
        // The same value, written otherwise, is no change; one of another type is.
        (
            r#"{"id":1,"a":"é"}"#,
            r#"{"id":1,"a":"\u00e9"}"#,
            r#"{"id":1}"#,
            false,
        ),
        (
            r#"{"id":1,"a":[1,2]}"#,
            r#"{"id":1,"a":[1, 2]}"#,
            r#"{"id":1}"#,
            false,
        ),
        (
            r#"{"id":1,"a":1}"#,
            r#"{"id":1,"a":"1"}"#,
            r#"{"id":1,"a":"1"}"#,
            true,
        ),
        // NULL is NULL, but becoming NULL is a change.
        (
            r#"{"id":1,"a":null}"#,
            r#"{"id":1,"a":"","b":[]}"#,
            r#"{"id":1}"#,
            false,
        ),
        (
            r#"{"id":1,"a":1}"#,
            r#"{"id":1,"a":null}"#,
            r#"{"id":1,"a":null}"#,
            true,
        ),
        // Nested.
        (
            r#"{"id":1,"o":{"x":1,"y":1}}"#,
            r#"{"id":1,"o":{"x":1,"y":2}}"#,
            r#"{"id":1,"o":{"y":2}}"#,
            true,
        ),
        (
            r#"{"id":1,"o":{"x":1}}"#,
            r#"{"id":1,"o":{"x":1}}"#,
            r#"{"id":1}"#,
            false,
        ),
        (
            r#"{"id":1,"o":1}"#,
            r#"{"id":1,"o":{"x":1}}"#,
            r#"{"id":1,"o":{"x":1}}"#,
            true,
        ),
        (
            r#"{"id":1,"o":{"x":1}}"#,
            r#"{"id":1,"o":1}"#,
            r#"{"id":1,"o":1}"#,
            true,
        ),
        (
            r#"{"id":1,"o":[1]}"#,
            r#"{"id":1,"o":[1,2]}"#,
            r#"{"id":1,"o":[1,2]}"#,
            true,
        ),
        (r#"{"id":1}"#, r#"{"id":1,"o":{}}"#, r#"{"id":1}"#, false),
    ] {
        let result = difference("json", old, new, &["/id"]);
        assert_eq!(result, (expected.to_owned(), changed), "{old} -> {new}");
    }
    let old = r#"{"k":{"a":1,"b":2,"c":3},"l":[{"m":1}],"x":1}"#;
    let keys = ["/k/a", "/k/c", "/l/m", "/none"];
    let expected = r#"{"k":{"a":1,"c":3},"l":[{"m":1}]}"#.to_owned();
    assert_eq!(difference("json", old, old, &keys), (expected, false));
}

#[test]
fn a_fix_difference_has_the_keys_and_the_changes() {
    for (old, new, expected, changed) in [
        ("11=a|38=1|44=2|", "11=a|38=1|44=3|", "11=a|44=3|", true),
        ("11=a|38=1|", "11=a|38=1|", "11=a|", false),
        ("11=a|38=1|", "11=a|", "11=a|", false),
        ("11=a|", "11=a|38=1", "11=a|38=1", true),
        (
            "11=a|448=x|448=y|",
            "11=a|448=x|448=z|",
            "11=a|448=x|448=z|",
            true,
        ),
        ("11=a|38=|", "11=a|38=|44=|", "11=a|", false),
        ("11=a|38=1|", "11=a|38=|", "11=a|38=|", true),
    ] {
        let result = difference("fix", old, new, &["/11"]);
        assert_eq!(result, (expected.to_owned(), changed), "{old} -> {new}");
    }
}

#[test]
fn damage_is_an_error_to_merge_and_a_literal_difference() {
    let sound = br#"{"a":1}"#;
    let deep = format!("{}1{}", r#"{"a":"#.repeat(5_000), "}".repeat(5_000)).into_bytes();
    for damaged in [&b"{"[..], b"", b"[1]", b"5", b"{} x", b"{\"a\":\"\xff\"}"] {
        assert!(merge(&MessageType::Json, sound, damaged).is_err());
        assert!(merge(&MessageType::Json, damaged, sound).is_err());
        for (old, new) in [(&sound[..], damaged), (damaged, &sound[..])] {
            let delta = diff(&MessageType::Json, old, new, &[]);
            assert_eq!((&delta.payload[..], delta.changed), (new, true));
        }
    }
    assert!(merge(&MessageType::Json, b"{}", &deep).is_err());
    assert!(merge(&MessageType::Json, &deep, &deep).is_err());
    assert_eq!(diff(&MessageType::Json, &deep, &deep, &[]).payload, deep);
    assert!(merge(&MessageType::Fix, b"1=2\x01x\x01", b"1=3\x01").is_err());
    let local = "composite-local(json)".parse().unwrap();
    assert!(merge(&local, b"\0\0\0\x09{}", b"\0\0\0\x02{}").is_err());
}

fn object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3i64).prop_map(Value::from),
        prop::sample::select(vec!["", "x", "\"\\\u{e9}\n"]).prop_map(Value::from),
        prop::collection::vec(0..2i64, 0..3).prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        prop::collection::btree_map("[a-d]", inner, 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    });
    prop::collection::btree_map("[a-d]", value, 0..5)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// The fields that are not NULL, by path.
fn leaves(value: &Value) -> Map<String, Value> {
    fn walk(value: &Value, path: &str, leaves: &mut Map<String, Value>) {
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    walk(member, &format!("{path}/{key}"), leaves);
                }
            }
            Value::Null => {}
            Value::String(text) if text.is_empty() => {}
            Value::Array(elements) if elements.is_empty() => {}
            leaf => {
                leaves.insert(path.to_owned(), leaf.clone());
            }
        }
    }
    let mut found = Map::new();
    walk(value, "", &mut found);
    found
}

fn parse(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap()
}

proptest! {
    #[test]
    fn merging_the_difference_brings_every_field_of_the_new_record(
        old in object(), new in object(),
    ) {
        let (old_text, new_text) = (old.to_string(), new.to_string());
        let delta = diff(&MessageType::Json, old_text.as_bytes(), new_text.as_bytes(), &[]);
        let merged = merge(&MessageType::Json, old_text.as_bytes(), &delta.payload).unwrap();
        let merged = leaves(&parse(&merged));
        for (path, value) in leaves(&new) {
            prop_assert_eq!(merged.get(&path), Some(&value), "{}", path);
        }
        // Nothing is in the merged record that was in neither.
        for (path, value) in &merged {
            let known = [leaves(&old).get(path) == Some(value), leaves(&new).get(path) == Some(value)];
            prop_assert!(known.contains(&true), "{}", path);
        }
    }

    #[test]
    fn a_record_does_not_differ_from_itself(record in object()) {
        let text = record.to_string();
        let delta = diff(&MessageType::Json, text.as_bytes(), text.as_bytes(), &[]);
        prop_assert_eq!((&delta.payload[..], delta.changed), (&b"{}"[..], false));
        let merged = merge(&MessageType::Json, text.as_bytes(), b"{}").unwrap();
        prop_assert_eq!(parse(&merged), record);
    }

    #[test]
    fn merging_twice_is_merging_once(old in object(), delta in object()) {
        let (old, delta) = (old.to_string(), delta.to_string());
        let once = merge(&MessageType::Json, old.as_bytes(), delta.as_bytes()).unwrap();
        let twice = merge(&MessageType::Json, &once, delta.as_bytes()).unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn the_difference_never_has_an_unchanged_field(old in object(), new in object()) {
        let (old_text, new_text) = (old.to_string(), new.to_string());
        let delta = diff(&MessageType::Json, old_text.as_bytes(), new_text.as_bytes(), &[]);
        let before = leaves(&old);
        for (path, value) in leaves(&parse(&delta.payload)) {
            prop_assert_ne!(before.get(&path), Some(&value), "{}", path);
        }
        prop_assert_eq!(delta.changed, delta.payload != b"{}");
    }

    #[test]
    fn fix_differences_merge_back(
        old in prop::collection::vec((0..5u8, "[a-c]{1,2}"), 0..8),
        new in prop::collection::vec((0..5u8, "[a-c]{1,2}"), 0..8),
    ) {
        let message = |fields: &[(u8, String)]| {
            fields.iter().map(|(tag, value)| format!("{tag}={value}\x01")).collect::<String>()
        };
        let values = |message: &[u8], tag: u8| -> Vec<String> {
            let message = String::from_utf8(message.to_vec()).unwrap();
            let prefix = format!("{tag}=");
            message.split('\x01').filter(|field| field.starts_with(&prefix))
                .map(str::to_owned).collect()
        };
        let (old, new) = (message(&old), message(&new));
        let delta = diff(&MessageType::Fix, old.as_bytes(), new.as_bytes(), &[]);
        let merged = merge(&MessageType::Fix, old.as_bytes(), &delta.payload).unwrap();
        for tag in 0..5 {
            let expected = match values(new.as_bytes(), tag) {
                dropped if dropped.is_empty() => values(old.as_bytes(), tag),
                kept => kept,
            };
            prop_assert_eq!(values(&merged, tag), expected);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(old in any::<Vec<u8>>(), new in any::<Vec<u8>>()) {
        for kind in ["json", "fix", "binary", "composite-local(json,fix)"] {
            let kind = kind.parse().unwrap();
            let _ = merge(&kind, &old, &new);
            diff(&kind, &old, &new, &["/a".parse().unwrap()]);
        }
    }
}
