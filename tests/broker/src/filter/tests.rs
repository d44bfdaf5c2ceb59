//! What the language promises: the test vectors of broker-behaviour §2.6, refusals, logic.

use proptest::prelude::*;

use super::*;

fn composite(parts: &[&str]) -> Vec<u8> {
    let mut payload = Vec::new();
    for part in parts {
        composite::push_part(&mut payload, part.as_bytes()).unwrap();
    }
    payload
}

fn matches(message_type: &str, payload: &[u8], filter: &str) -> bool {
    let message = BareMessage {
        message_type: &message_type.parse().unwrap(),
        topic: "orders",
        payload,
    };
    Filter::parse(filter)
        .unwrap_or_else(|error| panic!("{filter}: {error}"))
        .matches(&message)
}

fn json(payload: &str, filter: &str) -> bool {
    matches("json", payload.as_bytes(), filter)
}

/// Whether an expression over `{"t":true,"f":false,"n":null}` is true, false or NULL, told apart by
/// filters alone.
fn truth(expression: &str) -> Option<bool> {
    let payload = r#"{"t":true,"f":false,"n":null}"#;
    match (
        json(payload, expression),
        json(payload, &format!("NOT ({expression})")),
    ) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
        (true, true) => panic!("{expression} is both true and false"),
    }
}

/// Vector 67 is left out with XML.
#[test]
fn every_test_vector_has_its_documented_result() {
    let vectors: Vec<(u32, &str, &str, &str, bool)> = vec![
        (1, "json", r#"{"a":1}"#, "1=1", true),
        (
            2,
            "json",
            r#"{"sym":"IBM","px":90.5}"#,
            "/sym = 'IBM' AND /px >= 90",
            true,
        ),
        (3, "json", r#"{"sym":"IBM"}"#, r#"/sym == "ibm""#, false),
        (4, "json", r#"{"a":2}"#, "/a = 2.0", true),
        (5, "json", r#"{"a":"47"}"#, "/a > 5", true),
        (6, "json", r#"{"a":"2.000"}"#, "/a = '2.0'", false),
        (7, "json", r#"{"a":"2.000"}"#, "/a = 2", true),
        (8, "json", r#"{"a":"abc"}"#, "/a > 10", true),
        (9, "json", r#"{"a":"abc"}"#, "/a < 10", false),
        (10, "json", r#"{"a":""}"#, "/a IS NULL", true),
        (11, "json", r#"{"a":""}"#, "/a = ''", false),
        (12, "json", r#"{"a":null}"#, "/a IS NULL", true),
        (13, "json", r#"{"b":1}"#, "/a != 5", false),
        (14, "json", r#"{"b":1}"#, "/a IS NOT NULL", false),
        (15, "json", r#"{"b":1}"#, "NOT /a IS NULL", false),
        (16, "json", r#"{"a":1}"#, "/a = 1 OR /b = 2", true),
        (17, "json", r#"{"a":1}"#, "/a = 1 AND /b = 2", false),
        (
            18,
            "json",
            r#"{"a":1,"b":0,"c":0}"#,
            "/a = 1 OR /b = 1 AND /c = 1",
            true,
        ),
        (
            19,
            "json",
            r#"{"a":1,"b":0,"c":0}"#,
            "(/a = 1 OR /b = 1) AND /c = 1",
            false,
        ),
        (
            20,
            "json",
            r#"{"a":2,"b":1}"#,
            "NOT /a = 1 AND /b = 1",
            true,
        ),
        (21, "json", r#"{"a":10}"#, "/a BETWEEN 5 AND 10", true),
        (22, "json", r#"{"a":5}"#, "/a NOT BETWEEN 5 AND 10", false),
        (23, "json", r#"{"a":3}"#, "/a IN (1, 2, 3)", true),
        (24, "json", r#"{"a":"x"}"#, "/a IN ('X','Y')", false),
        (25, "json", r#"{"a":"x"}"#, "/a NOT IN ('y','z')", true),
        (26, "json", r#"{"a":-5}"#, "/a % 3 = -2", true),
        (27, "json", r#"{"a":5}"#, "(/a MOD -3) = 2", true),
        (28, "json", r#"{"n":1}"#, "/n / 5 = 0", true),
        (29, "json", r#"{"n":1.0}"#, "/n / 5 = 0.2", true),
        (30, "json", r#"{"p":10}"#, "/p + /q > 0", false),
        (31, "json", r#"{"p":"abc"}"#, "(/p + 1) IS NAN", true),
        (32, "json", r#"{"s":"NorthEast"}"#, "/s LIKE 'East'", true),
        (33, "json", r#"{"s":"NorthEast"}"#, "/s LIKE '^East'", false),
        (34, "json", r#"{"s":"NorthEast"}"#, "/s LIKE 'east'", false),
        (
            35,
            "json",
            r#"{"s":"NorthEast"}"#,
            "/s LIKE '(?i)EAST$'",
            true,
        ),
        (36, "json", r#"{"px":"90.75"}"#, r"/px LIKE '^90\.'", true),
        (37, "json", r#"{"px":"90x75"}"#, r"/px LIKE '^90\.'", false),
        (38, "json", r#"{"s":"book"}"#, r"/s LIKE '(.)\1'", true),
        (39, "json", r#"{"s":"C++ guru"}"#, "/s LIKE r'C++'", true),
        (
            40,
            "json",
            r#"{"s":"Northern"}"#,
            "/s BEGINS WITH ('South','North')",
            true,
        ),
        (
            41,
            "json",
            r#"{"s":"Northern"}"#,
            "/s NOT BEGINS WITH ('North')",
            false,
        ),
        (
            42,
            "json",
            r#"{"f":"a.png"}"#,
            "/f ENDS WITH ('gif','png')",
            true,
        ),
        (43, "json", r#"{"s":"abcabc"}"#, "INSTR(/s,'ca') = 3", true),
        (
            44,
            "json",
            r#"{"s":"abcabc"}"#,
            "INSTR_I(/s,'BC') != 0",
            true,
        ),
        (
            45,
            "json",
            r#"{"s":"QeD"}"#,
            "STREQUAL_I(/s,'qed') = 1",
            true,
        ),
        (46, "json", r#"{"s":"hello"}"#, "LENGTH(/s) = 5", true),
        (
            47,
            "json",
            r#"{"s":"hello"}"#,
            "SUBSTR(/s,2,3) = 'ell' AND SUBSTR(/s,-2) = 'lo'",
            true,
        ),
        (
            48,
            "json",
            r#"{"s":"msft"}"#,
            "UPPER(/s) IN ('IBM','MSFT')",
            true,
        ),
        (
            49,
            "json",
            r#"{"a":"x","b":1}"#,
            "CONCAT(/a,'-',/b) = 'x-1'",
            true,
        ),
        (
            50,
            "json",
            r#"{"q":3}"#,
            "IF(/q > 10,'big','small') = 'small'",
            true,
        ),
        (
            51,
            "json",
            r#"{"q":3}"#,
            "COALESCE(/x,/y,'none') = 'none'",
            true,
        ),
        (52, "json", r#"{"d":[1,2,"z"]}"#, "/d = 2", true),
        (53, "json", r#"{"d":[1,2,"z"]}"#, "/d != 'z'", true),
        (54, "json", r#"{"d":[1,2,"z"]}"#, "/d[1] = 1", false),
        (55, "json", r#"{"d":[1,2,"z"]}"#, "2 IN (/d)", true),
        (
            56,
            "json",
            r#"{"d":[1,2,"z"]}"#,
            "/d NOT IN ('z','q')",
            false,
        ),
        (57, "json", r#"{"n":[14,34]}"#, "/n > 50", false),
        (58, "json", r#"{"n":[14,34]}"#, "/n + 0 = 34", false),
        (59, "json", r#"{"n":[]}"#, "/n IS NULL", true),
        (60, "json", r#"{"a":[1,9],"b":[9,4]}"#, "/a = /b", true),
        (
            61,
            "json",
            r#"{"c":[{"k":"a"},{"k":"b"}]}"#,
            "/c/k = 'b' AND /c/k[0] = 'a'",
            true,
        ),
        (62, "json", r#"{"my key":7}"#, "[/my key] = 7", true),
        (63, "json", r#"{"a":1,"x":0,"a":2}"#, "/a = 1", true),
        (64, "json", r#"{"ok":true}"#, "/ok = 1", true),
        (
            65,
            "fix",
            "35=D\x0155=IBM\x0138=100\x01",
            "/55 = 'IBM' AND /38 > 50",
            true,
        ),
        (66, "nvfix", "sym=IBM\x01px=\x01", "/px IS NULL", true),
    ];
    for (number, message_type, payload, filter, expected) in vectors {
        let result = matches(message_type, payload.as_bytes(), filter);
        assert_eq!(result, expected, "vector {number}: {filter} on {payload}");
    }
    let local = composite(&[r#"{"a":1}"#, r#"{"b":2}"#]);
    assert!(
        matches("composite-local(json,json)", &local, "/1/b = 2"),
        "vector 68"
    );
    let global = composite(&[r#"{"a":1}"#, r#"{"a":2}"#]);
    assert!(
        matches("composite-global(json,json)", &global, "/a = 2"),
        "vector 69"
    );
}

#[test]
fn what_is_not_in_the_language_is_refused() {
    for text in [
        // Nothing, or not an expression.
        "",
        " ",
        "hello",
        "/a =",
        "= 1",
        "/a = = 1",
        "(/a = 1",
        "/a = 1)",
        "()",
        "/a = 1 /b = 2",
        "/a 1",
        "/a = 1 AND",
        "OR /a = 1",
        "NOT",
        "/a AND AND /b",
        "/a;",
        "/a = 1 --",
        "1 2",
        "--1",
        // Inventions of others.
        "[ANY] /a = 1",
        "/a CONTAINS 'x'",
        "CONTAINS(/a, 'x')",
        "STREQUAL(/a, 'x') = 1",
        "LEN(/a) = 1",
        "/a ~ 'x'",
        "/a && /b",
        "/a || /b",
        "!/a",
        "BEGINS WITH /a 'x'",
        "/a ^ 2",
        "TRUE",
        "/a IS TRUE",
        "/a = TRUE",
        "$1 = 1",
        "/a IS NOT NAN",
        "/a = ?",
        // Predicates that are half there.
        "/a IS",
        "/a IS NOT",
        "/a NOT",
        "/a NOT = 1",
        "/a BETWEEN 1",
        "/a BETWEEN 1 AND",
        "/a BETWEEN 1 OR 2",
        "/a IN 1",
        "/a IN ()",
        "/a IN (1",
        "/a IN (1,)",
        "/a IN (1 2)",
        "/a LIKE",
        "/a LIKE /b",
        "/a LIKE 5",
        "/a LIKE CONCAT('a')",
        "/a BEGINS 'x'",
        "/a BEGINS WITH",
        "/a BEGINS WITH ()",
        "/a BEGINS WITH ('x',)",
        "/a BEGINS WITH 5",
        "/a ENDS WITH /b",
        "/a LIKE 'x' = 1",
        "/a = 1 IS NULL",
        // Paths.
        "/",
        "/a/ = 1",
        "//a = 1",
        "/* = 1",
        "/a[ = 1",
        "/a[x] = 1",
        "/a[-1] = 1",
        "/a[*] = 1",
        "[a] = 1",
        "[/a = 1",
        "[t].[/a] = 1",
        "/a/@ = 1",
        "/a[0][1] = 1",
        // Numbers and strings.
        "/a = 1.",
        "/a = .5",
        "/a = 0x10",
        "/a = 1e999",
        "/a = 'x",
        "/a = x'",
        "/a = r'x",
        // Functions.
        "NOSUCH(/a)",
        "COUNT(/a) > 1",
        "SUM(/a) > 1",
        "SIN(/a) = 0",
        "LENGTH() = 1",
        "LENGTH(/a, /b) = 1",
        "LENGTH /a = 1",
        "LENGTH(/a = 1",
        "INSTR(/a) = 1",
        "IF(/a, 1) = 1",
        "SUBSTR(/a) = 'x'",
        "COALESCE() = 1",
        "TOPIC_NAME(1) = 'x'",
        "CONCAT(,) = 'x'",
        "REGEXP_MATCH(/a, /b) = 'x'",
        "REGEXP_MATCH(/a) = 'x'",
        "REGEXP_MATCH(/a, 'x', 'y') = 'x'",
        "REGEXP_REPLACE(/a, 'x') = 'x'",
        // Patterns.
        "/a LIKE '('",
        "/a LIKE '['",
        "/a LIKE '*'",
        r"/a LIKE '\'",
        r"/a LIKE '(\2)'",
        "REGEXP_MATCH(/a, '(') = 'x'",
    ] {
        assert!(Filter::parse(text).is_err(), "{text}");
    }
}

#[test]
fn an_error_says_where_and_what() {
    for (text, expected) in [
        (
            "/a CONTAINS 'x'",
            "expected the end, found CONTAINS at byte 3",
        ),
        ("/a = 1 AND FOO(1)", "unknown function FOO at byte 11"),
        ("/a = /b/", "expected the name of a field at byte 8"),
        (
            "LENGTH(/a, /b) = 1",
            "LENGTH does not take 2 arguments at byte 0",
        ),
        (
            "/a =",
            "expected a value, found the end of the text at byte 4",
        ),
    ] {
        assert_eq!(Filter::parse(text).unwrap_err().to_string(), expected);
    }
}

#[test]
fn deep_nesting_is_refused_and_never_overflows_the_stack() {
    for depth in [1_000, 100_000] {
        for (open, close) in [
            ("(", ")"),
            ("NOT ", ""),
            ("ABS(", ")"),
            ("(NOT ", ")"),
            ("-(", ")"),
        ] {
            let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let error = Filter::parse(&text).unwrap_err();
            assert!(error.to_string().starts_with("nested too deep"), "{error}");
            // Without its end as well.
            assert!(Filter::parse(&open.repeat(depth)).is_err());
        }
        let pattern = format!("/a LIKE '{}'", "(".repeat(depth));
        assert!(Filter::parse(&pattern).is_err());
        assert!(Filter::parse(&"/a".repeat(depth)).is_err());
    }
    let text = format!("{}1{}", "(".repeat(100), ")".repeat(100));
    assert!(json("{}", &text));
}

#[test]
fn long_chains_need_no_stack() {
    let n = 100_000;
    assert!(json("{}", &format!("1{} = {}", " + 1".repeat(n), n + 1)));
    assert!(json("{}", &format!("1=0{}", " OR 1=1".repeat(n))));
    assert!(!json("{}", &format!("1=1{}", " AND 1=1 AND 1=0".repeat(n))));
    assert!(json("{}", &format!("5 IN (0{}, 5)", ", 1".repeat(n))));
    assert!(json("{}", &format!("1{}", " = 1".repeat(n))));
}

#[test]
fn and_or_and_not_are_three_valued() {
    let (t, f, n) = (Some(true), Some(false), None);
    for (expression, expected) in [
        ("/t", t),
        ("/f", f),
        ("/n", n),
        ("NOT /n", n),
        ("/t AND /t", t),
        ("/t AND /f", f),
        ("/t AND /n", n),
        ("/f AND /t", f),
        ("/f AND /f", f),
        ("/f AND /n", f),
        ("/n AND /t", n),
        ("/n AND /f", f),
        ("/n AND /n", n),
        ("/t OR /t", t),
        ("/t OR /f", t),
        ("/t OR /n", t),
        ("/f OR /t", t),
        ("/f OR /f", f),
        ("/f OR /n", n),
        ("/n OR /t", t),
        ("/n OR /f", n),
        ("/n OR /n", n),
        ("/n = NULL", n),
        ("/n != 1", n),
        ("/n BETWEEN 0 AND 1", n),
        ("5 BETWEEN NULL AND 1", f),
        ("/n IN (1)", n),
        ("1 IN (NULL, 1)", t),
        ("1 IN (NULL, 2)", n),
        ("/n LIKE 'x'", n),
        ("/n BEGINS WITH 'x'", n),
        ("/n IS NULL", t),
        ("/n IS NOT NULL", f),
        ("/n IS NAN", f),
        ("'abc'", n),
        ("'abc' + 1", n),
        ("'0'", f),
        ("'1'", t),
        ("0.0", f),
        ("-2", t),
        ("NAN_VALUE() = NAN_VALUE()", n),
        ("NAN_VALUE() IS NAN", t),
        ("'abc' IS NAN", f),
    ] {
        assert_eq!(truth(expression), expected, "{expression}");
    }
}

#[test]
fn operators_bind_as_documented() {
    for expression in [
        "1 + 2 * 3 = 7",
        "(1 + 2) * 3 = 9",
        "10 - 2 - 3 = 5",
        "7 - 2 * 3 = 1",
        "20 / 2 / 5 = 2",
        "-2 * 3 = -6",
        "2 - -2 = 4",
        "- 5 = -5",
        "7 % 4 MOD 2 = 1",
        "-5 MOD 3 = -2",
        "-5 % 3.0 = -2",
        "NOT 1 = 2",
        "NOT 1 = 2 AND 1 = 1",
        "NOT (1 = 1 AND 1 = 2)",
        // == before = before > before ... before <>
        "5 > 3 == 3",
        "1 <> 2 = 3",
        "(1 < 2) = 1",
        "2 >= 1 < 2",
        "1 BETWEEN 0 AND 1 AND 1 = 1",
        "18446744073709551610 > 18446744073709551609",
        "-9223372036854775808 < 0",
        "31.4e-1 = 3.14",
        "6.022E23 > 6e23",
        "1 / 5 = 0",
        "1.0 / 5 = 0.2",
    ] {
        assert!(json("{}", expression), "{expression}");
    }
}

#[test]
fn keywords_and_function_names_are_taken_in_any_case() {
    let payload = r#"{"a":5,"s":"abc"}"#;
    for filter in [
        "/a is not null and not /a in (1) or /a between 1 and 2",
        "/s like 'b' And /s begins with 'a' aNd /s ends WITH 'c'",
        "length(/s) = 3 AND Upper(/s) = 'ABC'",
        "/a mod 3 = 2 AND (NULL IS null)",
    ] {
        assert!(json(payload, filter), "{filter}");
    }
}

#[test]
fn arrays_match_if_any_element_does_and_functions_see_the_first() {
    let payload = r#"{"d":[1,5,"abc",null],"e":[],"x":["b","a"],"n":[null]}"#;
    for (filter, expected) in [
        ("/d BETWEEN 4 AND 6", true),
        ("/d NOT BETWEEN 4 AND 6", false),
        ("/d BETWEEN 2 AND 4", false),
        ("/d LIKE '^ab'", true),
        ("/d NOT LIKE '^ab'", false),
        ("/d BEGINS WITH ('ab')", true),
        ("/d ENDS WITH 'bc'", true),
        ("/d > 4", true),
        ("3 < /d", true),
        ("/d = /x", false),
        ("/d != 1", true),
        ("UPPER(/x) = 'B'", true),
        ("UPPER(/x) = 'A'", false),
        ("/d + 1 = 2", true),
        ("/d + 1 = 6", false),
        ("/d IS NULL", false),
        ("/d[3] IS NULL AND /d[4] IS NULL", true),
        ("/e IS NULL", true),
        ("/n IS NULL", true),
        ("/e = 1 OR /e != 1", false),
        ("/d", true),
        (
            "ARRAY_COUNT(/d) = 4 AND ARRAY_COUNT(/e) = 0 AND ARRAY_COUNT(/q) = 0",
            true,
        ),
        (
            "ARRAY_MIN(/d) = 1 AND ARRAY_MAX(/d) = 'abc' AND ARRAY_MAX(/x) = 'b'",
            true,
        ),
        ("ARRAY_SUM(/d) IS NAN", true),
        ("ARRAY_SUM(/q) IS NULL AND ARRAY_MIN(/q) IS NULL", true),
        ("ARRAY_TO_STRING(/d, ',') = '1,5,abc'", true),
        ("ARRAY_TO_STRING(/d, ',', '-') = '1,5,abc,-'", true),
    ] {
        assert_eq!(json(payload, filter), expected, "{filter}");
    }
}

#[test]
fn fix_values_are_typed_by_their_text_and_keep_it() {
    let payload = b"38=100\x0139=50\x0144=90.50\x0155=IBM\x0160=0x1F\x01";
    for (filter, expected) in [
        ("/38 > /39", true),
        ("/44 = 90.5", true),
        ("/44 LIKE '50$'", true),
        ("LENGTH(/44) = 5", true),
        ("CONCAT(/44) = '90.50'", true),
        ("/55 > /38", true),
        ("/60 > /38", true),
        ("/38 + 1 = 101", true),
        ("/38 IN (99, 100)", true),
    ] {
        assert_eq!(matches("fix", payload, filter), expected, "{filter}");
    }
}

#[test]
fn functions_give_their_documented_values() {
    let payload = r#"{"s":"Hello","sp":"  x  ","n":-2.5,"i":-7,"big":9223372036854775807}"#;
    for expression in [
        "INSTR(/s, 'l') = 3",
        "INSTR(/s, 'L') = 0",
        "INSTR_I(/s, 'L') = 3",
        "INSTR(/q, 'l') IS NULL",
        "STREQUAL_I(/s, 'hELLO')",
        "NOT STREQUAL_I(/s, 'hELL')",
        "LENGTH(/i) = 2",
        "LENGTH(/q) IS NULL",
        "CONCAT(/s, /q, 1, 2.0, 1=1) = 'Hello12.0true'",
        "CONCAT(/q) IS NULL",
        "UPPER(/s) = 'HELLO'",
        "LOWER(/s) = 'hello'",
        "REVERSE(/s) = 'olleH'",
        "REPLACE(/s, 'l', 'L') = 'HeLLo'",
        "REPLACE(/s, 'l', '') = 'Heo'",
        "REPLACE(/s, '', 'x') = /s",
        "REPLACE(/s, '.', 'x') = 'Hello'",
        r"REGEXP_REPLACE(/s, 'l+', '$0\\1') = 'He$0\\1o'",
        "REGEXP_REPLACE(/s, 'x*', '-') = '-H-e-l-l-o-'",
        "REGEXP_REPLACE(/s, r'l', '') = 'Heo'",
        "REGEXP_MATCH(/s, 'l+') = 'll'",
        "REGEXP_MATCH(/s, 'x') IS NULL",
        "REGEXP_MATCH(/s, 'x*') IS NULL",
        "SUBSTR(/s, 1) = 'Hello'",
        "SUBSTR(/s, 0) = 'Hello'",
        "SUBSTR(/s, 2, 2) = 'el'",
        "SUBSTR(/s, -3, 2) = 'll'",
        "SUBSTR(/s, -9) = 'Hello'",
        "SUBSTR(/s, 9) IS NULL",
        "SUBSTR(/s, 2, 0) IS NULL",
        "SUBSTR(/s, 2, -1) IS NULL",
        "SUBSTR(/s, 2, NULL) IS NULL",
        "LEFT(/s, 2) = 'He'",
        "LEFT(/s, 9) = 'Hello'",
        "LEFT(/s, -1) IS NULL",
        "RIGHT(/s, 2) = 'lo'",
        "RIGHT(/s, 9) = 'Hello'",
        "RIGHT(/s, -1) IS NULL",
        "LEFT(/s, 'x') IS NULL",
        "TRIM(/sp) = 'x'",
        "LTRIM(/sp) = 'x  '",
        "RTRIM(/sp) = '  x'",
        "TRIM(/s, 'oH') = 'ell'",
        "TRIM(/s, 'Hello') IS NULL",
        "TRIM(/s, '') = 'Hello'",
        "CHAR_VALUE(65) = 'A'",
        "CHAR_VALUE(256) IS NULL",
        "CHAR_VALUE(-1) IS NULL",
        "COALESCE(/q, '', 3) = 3",
        "COALESCE(/q) IS NULL",
        "IF(/q, 1, 2) = 2",
        "IF(1, /s, 2) = 'Hello'",
        "ABS(/n) = 2.5",
        "ABS(/i) = 7",
        "ABS(/q) IS NULL",
        "ABS(/s) IS NAN",
        "ABS('-3') = 3",
        "CEILING(/n) = -2",
        "FLOOR(/n) = -3",
        "ROUND(/n) = -3",
        "ROUND(2.345, 2) = 2.35",
        "ROUND(1234, -2) = 1200",
        "ROUND(/i, 2) = -7",
        "ROUND(1.5, 999) = 1.5",
        "ROUND(1.5, -999) = 0",
        "FLOOR(/big) = /big",
        "CEILING(1e300) = 1e300",
        "SIGN(/n) = -1",
        "SIGN(0) = 0",
        "SIGN(5) = 1",
        "SQRT(16) = 4",
        "SQRT(-1) IS NAN",
        "POWER(2, 10) = 1024",
        "EXP(0) = 1",
        "LN(1) = 0",
        "LN(0) IS NAN",
        "LOG2(8) = 3",
        "LOG10(1000) > 2.999",
        "DEGREES(RADIANS(90)) > 89.999",
        "WIDTH_BUCKET(5, 0, 10, 5) = 3",
        "WIDTH_BUCKET(-1, 0, 10, 5) = 0",
        "WIDTH_BUCKET(10, 0, 10, 5) = 6",
        "WIDTH_BUCKET(1, 0, 0, 5) IS NAN",
        "GREATEST(1, 3, 2) = 3",
        "LEAST(1, 'a', -2) = -2",
        "GREATEST(1, 'a') = 'a'",
        "GREATEST(1, /q) IS NULL",
        "TRUE_VALUE() = 1",
        "FALSE_VALUE() = 0",
        "UNIX_TIMESTAMP() > 1600000000",
        "TOPIC_NAME() = 'orders'",
        "MESSAGE_SIZE() > 50",
        "BOOKMARK() IS NULL AND SOW_KEY() IS NULL AND CORRELATION_ID() IS NULL",
        "LAST_UPDATED() IS NULL AND LAST_LEASED() IS NULL AND LEASE_COUNT() IS NULL",
    ] {
        assert!(json(payload, expression), "{expression}");
    }
}

#[test]
fn patterns_are_pcre_over_bytes() {
    let text = r#"{"s":"it's 100% größer.\nend"}"#;
    for (filter, expected) in [
        (r"/s LIKE 'it\'s'", true),
        (r"/s LIKE '\d+%'", true),
        (r"/s LIKE 'gr.{2}ßer'", true),
        (r"/s LIKE 'gr.ßer'", false),
        ("/s LIKE 'größer'", true),
        ("/s LIKE '(?<=100)%'", true),
        ("/s LIKE '(?<!100)%'", false),
        ("/s LIKE '[0-9]++0'", false),
        ("/s LIKE '.end'", false),
        ("/s LIKE '(?s).end'", true),
        ("/s LIKE '(?m)^end$'", true),
        ("/s LIKE '^end'", false),
        (r"/s LIKE r'\d+%'", false),
        ("/s LIKE ''", true),
    ] {
        assert_eq!(json(text, filter), expected, "{filter}");
    }
    assert!(matches("nvfix", b"a=\xff\xfe\x01", r"/a LIKE '^\xff.$'"));
    // Gives up for backtracking instead of hanging.
    let long = format!(r#"{{"s":"{}"}}"#, "a".repeat(40));
    assert!(!json(&long, r"/s LIKE '^(a|a|aa)+(?=b)\1$'"));
}

/// A message that counts how often its topic is asked for.
struct Asked(std::cell::Cell<usize>);

impl Candidate for Asked {
    fn message_type(&self) -> &MessageType {
        &MessageType::Binary
    }

    fn payload(&self) -> &[u8] {
        b""
    }

    fn topic(&self) -> &str {
        self.0.set(self.0.get() + 1);
        "orders"
    }
}

#[test]
fn the_right_side_runs_only_if_the_left_leaves_it_open() {
    for (left, asked) in [
        ("1 = 1 OR", 0),
        ("1 = 0 OR", 1),
        ("NULL OR", 1),
        ("1 = 0 AND", 0),
        ("1 = 1 AND", 1),
        ("NULL AND", 1),
    ] {
        let message = Asked(Default::default());
        let filter = Filter::parse(&format!("{left} TOPIC_NAME() = 'x'")).unwrap();
        filter.matches(&message);
        assert_eq!(message.0.get(), asked, "{left}");
    }
}

#[test]
fn bad_json_passes_when_no_field_is_needed() {
    assert!(json("not json", "1 = 1"));
    assert!(!json("not json", "/a = 1"));
    assert!(json("not json", "TOPIC_NAME() LIKE 'ord'"));
}

#[test]
fn only_the_clock_makes_an_expression_non_deterministic() {
    let deterministic = |text| Expression::parse(text).unwrap().is_deterministic();
    assert!(!deterministic("/t > UNIX_TIMESTAMP() - 5"));
    assert!(deterministic("/t > 5 AND TOPIC_NAME() = 'x'"));
}

#[test]
fn expressions_have_values_and_each_path_once() {
    let expression = Expression::parse("CONCAT(/a, '-', /b/c, /a)").unwrap();
    let paths: Vec<_> = expression.paths().iter().map(Path::to_string).collect();
    assert_eq!(paths, ["/a", "/b/c"]);
    let message = BareMessage {
        message_type: &MessageType::Json,
        topic: "t",
        payload: br#"{"a":"x","b":{"c":[2,3]}}"#,
    };
    assert_eq!(expression.evaluate(&message), Value::string(&b"x-2x"[..]));
}

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
