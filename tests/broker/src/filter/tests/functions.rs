//! What functions and patterns give.

use super::*;
use crate::time::time_of_this_thread;

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

#[test]
fn text_beyond_the_room_of_an_evaluation_is_null() {
    let nested = |depth: usize| {
        let open = "REPLACE(".repeat(depth);
        let close = ",'a','aaaaaaaaaa')".repeat(depth);
        format!("{open}/s{close}")
    };
    let payload = r#"{"s":"a"}"#;
    assert!(json(payload, &format!("LENGTH({}) = 1000000", nested(6))));
    assert!(json(payload, &format!("{} IS NULL", nested(20))));
    for function in ["UPPER({})", "REVERSE({})", "CONCAT({},'x')"] {
        // Ten megabytes are made, and there is no room for as many again.
        let filter = format!("{} IS NULL", function.replace("{}", &nested(7)));
        assert!(json(payload, &filter), "{filter}");
    }
    let filter = format!("REGEXP_REPLACE({}, '[a]', 'aa') IS NULL", nested(6));
    assert!(json(
        payload,
        &filter.replace("'aa'", &format!("'{}'", "a".repeat(20)))
    ));
    let array = format!(r#"{{"s":"a","c":[{}1]}}"#, "1,".repeat(40));
    let filter = format!("ARRAY_TO_STRING(/c, {}) IS NULL", nested(6));
    assert!(json(&array, &filter));
}

#[test]
fn the_longest_text_is_not_held_up_by_a_pattern_that_looks_ahead() {
    let payload = format!(r#"{{"s":"{}"}}"#, "a".repeat(80_000));
    let begin = time_of_this_thread();
    assert!(!json(&payload, "/s LIKE '(?=.*xy)z'"));
    let time = time_of_this_thread() - begin;
    assert!(time < std::time::Duration::from_secs(2), "{time:?}");
}
