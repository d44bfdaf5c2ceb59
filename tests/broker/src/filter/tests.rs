//! What the language promises: refusals, logic, operators, arrays.

mod functions;
mod properties;
mod vectors;

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
    for depth in [1_000, 10_000] {
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
fn the_deepest_that_is_accepted_fits_a_thread_smaller_than_the_default() {
    let work = || {
        let filter = Filter::parse(&format!("{}1{}", "ABS((".repeat(50), "))".repeat(50)));
        assert!(filter.is_ok());
        let nested = format!("{}1{}", r#"{"a":"#.repeat(127), "}".repeat(127));
        let merged = merge(&MessageType::Json, nested.as_bytes(), nested.as_bytes());
        assert_eq!(merged.unwrap(), nested.as_bytes());
        assert!(
            !diff(
                &MessageType::Json,
                nested.as_bytes(),
                nested.as_bytes(),
                &[]
            )
            .changed
        );
        let select = Select::parse(&format!("[-{}]", "/a".repeat(127))).unwrap();
        assert!(select.apply(&MessageType::Json, nested.as_bytes()).is_ok());
        assert!(json(&nested, &format!("{} = 1", "/a".repeat(127))));
    };
    let thread = std::thread::Builder::new().stack_size(1536 * 1024);
    thread.spawn(work).unwrap().join().unwrap();
}

#[test]
fn compiled_texts_go_between_threads() {
    fn check<T: Send + Sync + Clone + 'static>() {}
    check::<Filter>();
    check::<Extractor>();
    check::<OrderBy>();
    check::<Select>();
}

#[test]
fn long_chains_need_no_stack() {
    let n = 3_000;
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
fn comparisons_take_fields_and_constants_on_either_side_and_in_chains() {
    for (filter, expected) in [
        ("/a = 5", true),
        ("5 = /a", true),
        ("/a = /a", true),
        ("/a < 5", false),
        ("4 < /a", true),
        ("1 + /a = 6", true),
        ("/a + 0 = 5", true),
        ("0 < /a = 5", true),
        ("1 < /a = 5", false),
        ("/a = 5 = 1", true),
        ("/a = 5 = 5", false),
        ("(/b = 1 OR /a = 5) = 1", true),
        ("/b = 1", false),
    ] {
        assert_eq!(json(r#"{"a":5}"#, filter), expected, "{filter}");
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

#[test]
fn a_filter_beyond_the_limits_of_length_and_patterns_is_refused() {
    let long = |length: usize| format!("/s = '{}'", "a".repeat(length - 7));
    assert!(Filter::parse(&long(64 << 10)).is_ok());
    assert!(Filter::parse(&long((64 << 10) + 1)).is_err());
    let patterns = |count: usize| vec!["/s LIKE '^a'"; count].join(" OR ");
    assert!(Filter::parse(&patterns(100)).is_ok());
    assert!(Filter::parse(&patterns(101)).is_err());
    let looking_ahead = |count: usize| vec!["/s LIKE '(?=a)a'"; count].join(" OR ");
    assert!(Filter::parse(&looking_ahead(10)).is_ok());
    assert!(Filter::parse(&looking_ahead(11)).is_err());
    let plain = vec!["/s LIKE 'a'"; 101].join(" OR ");
    assert!(Filter::parse(&plain).is_ok());
    assert!(Filter::parse("/s LIKE '(?(1))'").is_err());
}
