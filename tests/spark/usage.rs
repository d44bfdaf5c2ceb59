//! Wrong usage ends with 2 and one line that says what to do; help is there.

use crate::process::spark;

#[test]
fn wrong_usage_ends_with_2_and_one_line_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let server = "-server=localhost:1";
    for (args, says) in [
        (&[][..], "say what to do: ping, publish"),
        (&["fly"], "'fly' is no command: ping, publish"),
        (&["help", "fly"], "'fly' is no command"),
        (&["ping"], "-server <ADDRESS>; see: spark help ping"),
        (&["publish", server], "-topic <TOPIC>"),
        (
            &["publish", server, "-topic", ""],
            "a value is required for '-topic",
        ),
        (
            &["sow", server, "-topic"],
            "a value is required for '-topic",
        ),
        (&["sow", "-topic", server], "-topic needs a value"),
        (
            &["sow", server, "-topik", "x"],
            "similar argument exists: '-topic'",
        ),
        (&["sow", server, "orders"], "'orders' belongs to no flag"),
        (&["ping", server, "-secure=perhaps"], "-secure"),
        (&["ping", "-server", "localhost"], "the port is missing"),
        (&["ping", server, "-proto", "fix"], "use -type fix"),
        (&["ping", server, "-proto", "soap"], "soap"),
        (&["ping", server, "-urischeme", "http"], "http"),
        (
            &["ping", server, "-uriopts", "nodelay=1"],
            "'nodelay' is not an option",
        ),
        (
            &["ping", "-server", "tcp://h:1/amps/json", "-type", "fix"],
            "leave out the flag",
        ),
        (
            &["ping", server, "-authenticator", "a.b.C"],
            "user and password in -server",
        ),
        (
            &["ping", server, "-timeout", "soon"],
            "'soon' is no duration",
        ),
        (
            &["publish", server, "-topic", "x", "-rate", "0"],
            "'0' is no rate",
        ),
        (
            &["publish", server, "-topic", "x", "-delimiter", "256"],
            "-delimiter",
        ),
        (
            &["publish", server, "-topic", "x", "-file", "/no/such/file"],
            "-file /no/such/file",
        ),
        (
            &["publish", server, "-topic", "x", "-file", folder],
            "it is a directory",
        ),
        (
            &["publish", server, "-topic", "x", "-file", "f", "-data", "d"],
            "cannot be used with",
        ),
        (
            &["subscribe", server, "-topic", "x", "-format", "{key}"],
            "there is no {key}, but {book",
        ),
        (&["subscribe", server, "-topic", "x", "-n", "0"], "-n"),
        (
            &["subscribe", server, "-topic", "x", "-orderby", "/id"],
            "-orderby",
        ),
        (
            &["subscribe", server, "-topic", "x", "-copy", "localhost"],
            "the port is missing",
        ),
        (&["sow", server, "-topic", "x", "-ack"], "-ack"),
        (
            &["sow", server, "-topic", "x", "-batchsize", "many"],
            "-batchsize",
        ),
        (
            &[
                "sow_delete",
                server,
                "-topic",
                "x",
                "-filter",
                "a",
                "-keys",
                "1",
            ],
            "cannot be used",
        ),
    ] {
        let finished = spark(args);
        assert_eq!(finished.out, "", "{args:?}");
        let line = finished.failed(2);
        assert!(line.contains(says), "{args:?}: {line}");
    }
}

#[test]
fn a_password_is_in_no_message_about_wrong_usage() {
    let address = "ana:hunter2@localhost:1";
    for args in [
        &["ping", address][..],
        &[address],
        &["help", address],
        &["ping", "-sever", address],
        &["ping", "-sever=ana:hunter2@localhost:1"],
        &["ping", "-server", "ana:hunter2@localhost"],
        &["ping", "-server", "ana:hunter2@localhost:1/amps"],
        &["ping", "-server", "ana:hun/ter2@localhost:1"],
        &["ping", "-server", "ana:hunter2@x:99999"],
        &["ping", "-server", address, "-type", "a/b"],
        &["ping", "-server", address, address],
        &[
            "ping",
            "-server",
            "tcp://ana:hunter2@h:1/amps/json",
            "-secure",
        ],
        &[
            "subscribe",
            "-server",
            "localhost:1",
            "-topic",
            "x",
            "-copy",
            "ana:hunter2@localhost",
        ],
    ] {
        let line = spark(args).failed(2);
        assert!(
            !line.contains("hun") && !line.contains("ter2"),
            "{args:?}: {line}"
        );
    }
}

#[test]
fn help_names_every_command_and_the_flags_as_they_are_typed() {
    for args in [&["help"][..], &["-help"], &["--help"], &["-h"]] {
        let text = spark(args).ok();
        for command in [
            "ping",
            "publish",
            "sow ",
            "subscribe",
            "sow_and_subscribe",
            "sow_delete",
        ] {
            assert!(
                text.contains(&format!("\n  {command}")),
                "{command}: {text}"
            );
        }
    }
    for args in [
        &["help", "sow_and_subscribe"][..],
        &["sow_and_subscribe", "-help"],
    ] {
        let text = spark(args).ok();
        assert!(
            text.contains("Usage: spark sow_and_subscribe [OPTIONS] -server"),
            "{text}"
        );
        for flag in [
            "server",
            "type",
            "proto",
            "secure",
            "urischeme",
            "uriopts",
            "topic",
            "timeout",
            "filter",
            "format",
            "copy",
            "n",
            "bookmark",
            "batchsize",
            "orderby",
            "topn",
            "delta",
            "ack",
            "backlog",
        ] {
            assert!(text.contains(&format!("\n      -{flag}")), "{flag}: {text}");
        }
    }
    assert!(
        spark(&["-version"])
            .ok()
            .contains(env!("CARGO_PKG_VERSION"))
    );
}
