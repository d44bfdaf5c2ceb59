//! What holds for arbitrary texts and payloads.

use proptest::prelude::*;

use super::*;

/// Text that is likelier than random bytes to get far into the parser.
fn filter_like() -> impl Strategy<Value = String> {
    let words = [
        "/a",
        "/b/c",
        "/d[1]",
        "[/x y]",
        "1",
        "2.5",
        "-",
        "'x'",
        "r'+'",
        "(",
        ")",
        ",",
        "=",
        "!=",
        "<",
        "AND",
        "OR",
        "NOT",
        "IN",
        "IN (",
        "BETWEEN",
        "LIKE '(a|b)*'",
        "IS NULL",
        "IS NAN",
        "BEGINS WITH ('a')",
        "+",
        " / ",
        "%",
        "MOD",
        "NULL",
        "SUBSTR(",
        "IF(",
        "CONCAT(",
        "ABS(",
        "ROUND(",
        "TRIM(",
        "REGEXP_REPLACE(",
        "ARRAY_SUM(",
        "REPLACE(",
        "1e308",
        "\"\\xff\"",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..30)
        .prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics_the_parser(text in any::<String>()) {
        let _ = Filter::parse(&text);
    }

    #[test]
    fn whatever_parses_also_runs(
        text in filter_like(),
        payload in r#"\{"a":(1|-2.5|"x"|"7"|null|true|\[1,"b"\]),"b":\{"c":(0|"")\},"d":\[1,2\]\}"#,
    ) {
        if let Ok(filter) = Filter::parse(&text) {
            let message = BareMessage {
                message_type: &MessageType::Json,
                topic: "t",
                payload: payload.as_bytes(),
            };
            let negated = Filter::parse(&format!("NOT ({text})"));
            let both = filter.matches(&message)
                && negated.is_ok_and(|negated| negated.matches(&message));
            prop_assert!(!both, "{} is both true and false", text);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_the_extraction(payload in any::<Vec<u8>>(), kind in 0..6usize) {
        let types = ["json", "fix", "nvfix", "binary", "composite-local(json,nvfix)",
            "composite-global(nvfix,json,binary)"];
        let paths: Vec<Path> = ["/a", "/a[1]", "/0/a", "/a/b[0]/c", "/1"]
            .iter().map(|path| path.parse().unwrap()).collect();
        let values = Extractor::new(&paths);
        let values = values.extract(&types[kind].parse().unwrap(), &payload);
        for i in 0..6 {
            let _ = values.get(i).into_text();
        }
    }

    #[test]
    fn damaged_json_never_panics_the_extraction(
        payload in r#"[\{\}\[\]",:a\\u0-9.e+\-tn ]{0,40}"#,
    ) {
        let paths: Vec<Path> = ["/a", "/a/a", "/a[1]/a[0]"]
            .iter().map(|path| path.parse().unwrap()).collect();
        let extractor = Extractor::new(&paths);
        let _ = extractor.extract(&MessageType::Json, payload.as_bytes());
    }

    #[test]
    fn arbitrary_patterns_never_panic(pattern in any::<String>(), text in any::<Vec<u8>>()) {
        let quoted = pattern.replace('\'', "");
        if let Ok(filter) = Filter::parse(&format!("/a LIKE '{quoted}'")) {
            let payload = [b"a=", text.as_slice()].concat();
            let message = BareMessage {
                message_type: &MessageType::Nvfix,
                topic: "t",
                payload: &payload,
            };
            filter.matches(&message);
        }
    }
}
