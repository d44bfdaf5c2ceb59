//! What extraction promises.

use super::*;

/// The values as text, in a form that is easy to read in an assertion.
fn show(value: Value<'_>) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Array(elements) => {
            let shown: Vec<_> = elements.iter().map(|e| show(e.borrowed())).collect();
            format!("[{}]", shown.join(","))
        }
        scalar => String::from_utf8_lossy(&scalar.into_text().unwrap()).into_owned(),
    }
}

fn extract(message_type: &str, payload: &[u8], paths: &[&str]) -> Vec<String> {
    let paths: Vec<Path> = paths.iter().map(|p| p.parse().unwrap()).collect();
    let message_type = message_type.parse().unwrap();
    let extractor = Extractor::new(&paths);
    let values = extractor.extract(&message_type, payload);
    (0..paths.len()).map(|i| show(values.get(i))).collect()
}

#[test]
fn arrays_of_objects_become_one_array_per_path() {
    let payload = br#"{"c":[{"k":1,"n":[5,6]},{"k":2,"n":[7]},8],"n":[[1,2],[3]]}"#;
    assert_eq!(
        extract("json", payload, &["/c/k", "/c/n", "/c", "/n", "/c/x"]),
        ["[1,2]", "[5,6,7]", "8", "[1,2,3]", "-"]
    );
}

#[test]
fn elements_are_numbered_within_paths_and_at_their_end() {
    let payload = br#"{"c":[{"k":1,"n":[5,6]},{"k":2,"n":[7]},8],"o":{"k":9},"s":"x"}"#;
    let paths = [
        "/c[1]/k",
        "/c[0]/n",
        "/c[0]/n[1]",
        "/c/n[2]",
        "/c/k[1]",
        "/c[2]",
        "/o[0]/k",
        "/o[1]/k",
        "/s[0]",
        "/s[1]",
    ];
    assert_eq!(
        extract("json", payload, &paths),
        ["2", "[5,6]", "6", "7", "2", "8", "9", "-", "x", "-"]
    );
}

#[test]
fn the_first_of_repeated_keys_counts_at_every_level() {
    let payload = br#"{"a":{"b":1},"a":{"b":2,"c":3},"d":null,"d":4}"#;
    assert_eq!(
        extract("json", payload, &["/a/b", "/a/c", "/d"]),
        ["1", "-", "-"]
    );
}

#[test]
fn escaped_keys_and_strings_are_read_unescaped() {
    let payload = br#"{"\u0061":"x\ty","b":"\u00e9"}"#;
    assert_eq!(extract("json", payload, &["/a", "/b"]), ["x\ty", "é"]);
}

#[test]
fn a_path_and_a_longer_one_do_not_disturb_each_other() {
    let paths = ["/a", "/a/b", "/a"];
    assert_eq!(
        extract("json", br#"{"a":{"b":1}}"#, &paths),
        ["-", "1", "-"]
    );
    assert_eq!(extract("json", br#"{"a":5}"#, &paths), ["5", "-", "5"]);
}

#[test]
fn repeated_tags_are_an_array() {
    let payload = b"55=IBM\x01448=a\x01448=b\x0158=x=y\x01";
    assert_eq!(
        extract("fix", payload, &["/55", "/448", "/448[1]", "/58", "/5/8"]),
        ["IBM", "[a,b]", "b", "x=y", "-"]
    );
}

#[test]
fn composite_local_prefixes_and_composite_global_merges() {
    let payload = b"\0\0\0\x07{\"a\":1}\0\0\0\x07{\"a\":2}";
    assert_eq!(
        extract(
            "composite-local(json,json)",
            payload,
            &["/0/a", "/1/a", "/a", "/2/a"]
        ),
        ["1", "2", "-", "-"]
    );
    assert_eq!(
        extract("composite-global(json,json)", payload, &["/a", "/0/a"]),
        ["[1,2]", "-"]
    );
}

#[test]
fn binary_payloads_and_parts_have_no_fields() {
    assert_eq!(extract("binary", br#"{"a":1}"#, &["/a"]), ["-"]);
    let payload = b"\0\0\0\x02\xff\xff\0\0\0\x07{\"a\":2}";
    assert_eq!(
        extract("composite-global(binary,json)", payload, &["/a"]),
        ["2"]
    );
}

#[test]
fn damage_is_reported_and_keeps_the_values_before_it() {
    let extractor = Extractor::new(&["/a".parse().unwrap()]);
    let composite: MessageType = "composite-local(json)".parse().unwrap();
    let cases: [(&MessageType, &[u8], bool); 9] = [
        (&MessageType::Json, br#"{"a":1}"#, false),
        (&MessageType::Json, br#"{"a":1"#, true),
        (&MessageType::Json, br#"{"a":1} x"#, true),
        (&MessageType::Json, b"\"a\"", true),
        (&MessageType::Json, b"", true),
        (&MessageType::Nvfix, b"a=1\x01", false),
        (&MessageType::Nvfix, b"a=1\x01junk", true),
        (&composite, b"\0\0\0\x09{}", true),
        (&composite, b"\0\0", true),
    ];
    for (message_type, payload, damaged) in cases {
        let values = extractor.extract(message_type, payload);
        let shown = payload.escape_ascii();
        assert_eq!(values.is_malformed(), damaged, "{shown}");
        if payload.windows(2).any(|w| w == b"1\x01" || w == b":1") {
            assert!(!values.get(0).is_null(), "{shown}");
        }
    }
}

#[test]
fn payloads_nested_without_end_are_damage_and_not_an_overflow() {
    for paths in [&["/a"][..], &["/a/a/a"]] {
        let paths: Vec<Path> = paths.iter().map(|p| p.parse().unwrap()).collect();
        let extractor = Extractor::new(&paths);
        for unit in ["[", "{\"a\":", "{\"a\":[", "{\"b\":["] {
            let payload = unit.repeat(100_000);
            let values = extractor.extract(&MessageType::Json, payload.as_bytes());
            assert!(values.is_malformed(), "{unit}");
        }
    }
}

#[test]
fn without_paths_the_payload_is_not_read() {
    let values = Extractor::new(&[]).extract(&MessageType::Json, b"not json");
    assert!(!values.is_malformed());
}

#[test]
fn paths_in_descending_order_are_found_like_any_others() {
    let names: Vec<String> = (0..200).rev().map(|i| format!("/n{i}/k")).collect();
    let paths: Vec<&str> = names.iter().map(String::as_str).collect();
    let values = extract(
        "json",
        br#"{"n0":{"k":1},"n7":{"k":2},"n199":{"k":3}}"#,
        &paths,
    );
    let found: Vec<_> = values
        .iter()
        .enumerate()
        .filter(|(_, v)| *v != "-")
        .collect();
    assert_eq!(
        found,
        [
            (0, &"3".to_owned()),
            (192, &"2".to_owned()),
            (199, &"1".to_owned())
        ]
    );
}
