//! The test vectors of broker-behaviour §2.6.

use super::*;

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
