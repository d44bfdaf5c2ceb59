//! What holds for arbitrary texts and payloads.

use proptest::prelude::*;

use super::*;

/// Expressions of the grammar, over the fields of [`payload`].
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "/a",
        "/b/c",
        "/d",
        "/d[1]",
        "[/x y]",
        "1",
        "-2.5",
        "1e308",
        "'x'",
        "'7'",
        "r'+'",
        "NULL",
        "'\\xff'",
        "18446744073709551615",
        "-9223372036854775808",
        "NAN_VALUE()",
    ]);
    leaf.prop_map(str::to_owned)
        .prop_recursive(4, 24, 3, |inner| {
            let operators = prop::sample::select(vec![
                "=", "!=", "<", ">=", "+", "-", "*", " / ", "%", "AND", "OR",
            ]);
            let unary = prop::sample::select(vec![
                "(NOT #)",
                "(#) IS NULL",
                "(#) IS NOT NULL",
                "(#) IS NAN",
                "-(#)",
                "(#) LIKE '^(x|[0-9])+?'",
                "(#) NOT LIKE r'+'",
                "(#) BEGINS WITH ('x', '1')",
                "(#) NOT ENDS WITH '5'",
                "ABS(#)",
                "ROUND(#, 1)",
                "FLOOR(#)",
                "LENGTH(#)",
                "REVERSE(#)",
                "ARRAY_SUM(#)",
                "ARRAY_MAX(#)",
                "REGEXP_REPLACE(#, '.', 'y')",
                "SIGN(#)",
                "SQRT(#)",
            ]);
            let binary = prop::sample::select(vec![
                "INSTR(#, $)",
                "CONCAT(#, $)",
                "SUBSTR(#, $)",
                "SUBSTR('abc', #, $)",
                "LEFT(#, $)",
                "RIGHT(#, $)",
                "TRIM(#, $)",
                "REPLACE(#, $, 'z')",
                "ROUND(#, $)",
                "POWER(#, $)",
                "GREATEST(#, $)",
                "COALESCE(#, $)",
                "IF(#, $, 5)",
                "(#) IN ($, 1)",
                "(#) NOT IN ($)",
                "(#) BETWEEN ($) AND 5",
                "1 NOT BETWEEN (#) AND ($)",
                "ARRAY_TO_STRING(#, $)",
                "WIDTH_BUCKET(#, 0, $, 5)",
            ]);
            prop_oneof![
                (inner.clone(), operators, inner.clone())
                    .prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
                (unary, inner.clone()).prop_map(|(form, x)| format!("({})", form.replace('#', &x))),
                (binary, inner.clone(), inner).prop_map(|(form, x, y)| format!(
                    "({})",
                    form.replace('#', &x).replace('$', &y)
                )),
            ]
        })
}

fn payload() -> impl Strategy<Value = String> {
    r#"\{"a":(1|-2.5|"x"|"7"|null|true|\[1,"b"\]),"b":\{"c":(0|"")\},"d":\[1,(2|null)\]\}"#
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics_the_parser(text in any::<String>()) {
        let _ = Filter::parse(&text);
    }

    #[test]
    fn every_expression_of_the_grammar_parses_and_obeys_three_valued_logic(
        expression in expression(),
        payload in payload(),
    ) {
        let holds = |text: String| json(&payload, &text);
        let (is_true, is_false) = (holds(expression.clone()), holds(format!("NOT {expression}")));
        prop_assert!(!(is_true && is_false), "{} is both true and false", expression);
        for (form, expected) in [
            ("# AND #", is_true),
            ("# OR #", is_true),
            ("NOT NOT #", is_true),
            ("1 = 1 AND #", is_true),
            ("1 = 0 OR #", is_true),
            ("NOT (# AND 1 = 1)", is_false),
            ("NOT (1 = 0 OR #)", is_false),
            ("1 = 0 AND #", false),
            ("1 = 1 OR #", true),
            ("# OR 1 = 1", true),
            ("NULL AND #", false),
            ("NULL OR #", is_true),
        ] {
            prop_assert_eq!(holds(form.replace('#', &expression)), expected, "{} as {}", form, expression);
        }
    }

    #[test]
    fn damaged_expressions_never_panic_the_parser(
        expression in expression(),
        at in any::<prop::sample::Index>(),
        insert in r#"[-+*/%=<>!()',.\[\]"\\a-eA-E0-9 ]{0,2}"#,
    ) {
        let (head, tail) = expression.split_at(at.index(expression.len()));
        for text in [format!("{head}{insert}{tail}"), format!("{head}{insert}"), format!("{insert}{tail}")] {
            let _ = Filter::parse(&text);
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
