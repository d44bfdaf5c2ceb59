//! What select lists promise.

use proptest::prelude::*;

use super::*;

fn select(list: &str, message_type: &str, payload: &[u8]) -> Result<Vec<u8>, PayloadError> {
    let select = Select::parse(list).unwrap_or_else(|error| panic!("{list}: {error}"));
    let selected = select.apply(&message_type.parse().unwrap(), payload)?;
    Ok(selected.into_owned())
}

fn json(list: &str, payload: &str) -> String {
    String::from_utf8(select(list, "json", payload.as_bytes()).unwrap()).unwrap()
}

#[test]
fn the_most_specific_directive_decides() {
    let payload = r#"{"x":1,"id":7,"a":{"b":2,"c":{"d":3,"e":4}},"s":"t"}"#;
    for (list, expected) in [
        ("[-/,+/id]", r#"{"id":7}"#),
        ("[+/id,-/]", r#"{"id":7}"#),
        ("-/,+/id", r#"{"id":7}"#),
        ("[-/,+/a/b]", r#"{"a":{"b":2}}"#),
        ("[-/,+/a,-/a/c]", r#"{"a":{"b":2}}"#),
        ("[-/,+/a,-/a/c,+/a/c/e]", r#"{"a":{"b":2,"c":{"e":4}}}"#),
        ("[-/a]", r#"{"x":1,"id":7,"s":"t"}"#),
        (
            "[-/a/c/d]",
            r#"{"x":1,"id":7,"a":{"b":2,"c":{"e":4}},"s":"t"}"#,
        ),
        ("[-/]", "{}"),
        ("[+/]", payload),
        ("[ +/id , -/ ]", r#"{"id":7}"#),
    ] {
        assert_eq!(json(list, payload), expected, "{list}");
    }
}

#[test]
fn of_a_repeated_path_the_first_directive_counts() {
    let payload = r#"{"a":1,"b":2}"#;
    assert_eq!(json("[-/a,+/a]", payload), r#"{"b":2}"#);
    assert_eq!(json("[+/a,-/a]", payload), payload);
    assert_eq!(json("[-/,+/,+/a]", payload), r#"{"a":1}"#);
}

#[test]
fn fields_that_are_not_there_are_not_created() {
    for payload in [
        "{}",
        r#"{"a":5}"#,
        r#"{"a":{"x":1}}"#,
        r#"{"a":[]}"#,
        r#"{"a":[1,{}]}"#,
    ] {
        assert_eq!(json("[-/,+/a/b/c,+/z]", payload), "{}", "{payload}");
    }
}

#[test]
fn an_emptied_object_stays_only_if_it_is_included_itself() {
    assert_eq!(json("[-/a/b]", r#"{"a":{"b":1}}"#), r#"{"a":{}}"#);
    assert_eq!(json("[-/,+/a,-/a/b]", r#"{"a":{"b":1}}"#), r#"{"a":{}}"#);
    assert_eq!(json("[-/a,+/a/c]", r#"{"a":{"b":1}}"#), "{}");
}

#[test]
fn arrays_are_seen_through() {
    let payload = r#"{"c":[{"k":1,"l":2},{"l":3},[{"k":4}],5]}"#;
    assert_eq!(
        json("[-/c/k]", payload),
        r#"{"c":[{"l":2},{"l":3},[{}],5]}"#
    );
    assert_eq!(json("[-/,+/c/k]", payload), r#"{"c":[{"k":1},[{"k":4}]]}"#);
}

#[test]
fn fields_keep_their_order_and_their_text() {
    let payload = "{ \"z\" : 1.50 , \"y\":[ 1, 2],\"x\":\"\\u00e9\",\"w\\n\":18446744073709551616}";
    assert_eq!(
        json("[-/none]", payload),
        "{\"z\":1.50,\"y\":[ 1, 2],\"x\":\"\\u00e9\",\"w\\n\":18446744073709551616}"
    );
}

#[test]
fn fix_fields_are_selected_by_tag() {
    for (list, payload, expected) in [
        (
            "[-/,+/55]",
            &b"35=D\x0155=IBM\x0138=1\x01"[..],
            &b"55=IBM\x01"[..],
        ),
        ("[-/448]", b"448=a\x0155=x\x01448=b", b"55=x"),
        ("[-/]", b"35=D", b""),
        ("[-/35/x]", b"35=D\x01", b"35=D\x01"),
    ] {
        assert_eq!(select(list, "fix", payload).unwrap(), expected, "{list}");
    }
}

#[test]
fn parts_of_composites_are_selected_by_number_or_together() {
    let composite = |parts: &[&[u8]]| {
        let mut payload = Vec::new();
        for part in parts {
            push_part(&mut payload, part).unwrap();
        }
        payload
    };
    let parts: [&[u8]; 3] = [br#"{"a":1,"b":2}"#, br#"{"a":3}"#, b"\xff"];
    let payload = composite(&parts);
    let local = "composite-local(json,json,binary)";
    for (list, expected) in [
        ("[-/0/a]", [br#"{"b":2}"#, parts[1], parts[2]]),
        ("[-/,+/0/a,+/2]", [br#"{"a":1}"#, b"", parts[2]]),
    ] {
        assert_eq!(select(list, local, &payload).unwrap(), composite(&expected));
    }
    let global = "composite-global(json,json,binary)";
    let expected = composite(&[br#"{"b":2}"#, b"{}", parts[2]]);
    assert_eq!(select("[-/a]", global, &payload).unwrap(), expected);
    assert_eq!(select("[-/]", "binary", b"\xff").unwrap(), b"\xff");
}

#[test]
fn a_payload_that_cannot_be_read_is_not_passed_on() {
    for (message_type, payload) in [
        ("json", &b"{\"a\":1"[..]),
        ("json", b"[1]"),
        ("json", b"\xff"),
        ("composite-local(json)", b"\0\0\0\x09{}"),
    ] {
        assert!(select("[-/a]", message_type, payload).is_err());
    }
    let deep = format!(r#"{{"c":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(select("[-/c/k]", "json", deep.as_bytes()).is_err());
}

#[test]
fn what_is_no_select_list_is_refused() {
    for text in [
        "",
        "[]",
        "/a",
        "[/a]",
        "[+a]",
        "[+]",
        "[+/a",
        "+/a]",
        "[+/a,]",
        "[,+/a]",
        "[+/a -/b]",
        "[+/a[0]]",
        "[*/a]",
        "[+//]",
        "[+/a/]",
    ] {
        assert!(Select::parse(text).is_err(), "{text}");
    }
    assert_eq!(
        json("[-[/odd, name]]", r#"{"odd, name":1,"b":2}"#),
        r#"{"b":2}"#
    );
}

proptest! {
    #[test]
    fn arbitrary_lists_and_payloads_never_panic(
        list in r"(\[)?([+-](/[a-c]?){1,3},?){0,4}(\])?|\PC*",
        payload in any::<Vec<u8>>(),
    ) {
        if let Ok(select) = Select::parse(&list) {
            for kind in ["json", "nvfix", "composite-local(json,nvfix)"] {
                let _ = select.apply(&kind.parse().unwrap(), &payload);
            }
        }
    }
}

#[test]
fn a_select_list_beyond_the_limit_of_length_is_refused() {
    let list = |count: usize| vec!["-/abcdef"; count].join(",");
    assert!(Select::parse(&list(7_000)).is_ok());
    assert!(Select::parse(&list(8_000)).is_err());
}
