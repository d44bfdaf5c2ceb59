//! `spark publish`.

use crate::process::{Running, binary, spark, spark_with_input, within_patience};
use crate::{PATIENCE, address, broker, client, order, publish_orders, records, sent_by};
use amps_broker::{Access, Broker, Entitlement, Peer};
use std::io::Write;
use std::time::{Duration, Instant};
use zip::write::SimpleFileOptions;

const ORDERS: [&str; 3] = [
    r#"{"id":1,"qty":10}"#,
    r#"{"id":2,"qty":20}"#,
    r#"{"id":3,"qty":30}"#,
];

/// Splits the closing line into the number of messages and the rate.
#[track_caller]
fn totals(out: &str) -> (u64, f64) {
    let words: Vec<&str> = out.split_whitespace().collect();
    let [
        count,
        "message" | "messages",
        "published,",
        rate,
        "per",
        "second",
    ] = words[..]
    else {
        panic!("{out:?}");
    };
    (count.parse().unwrap(), rate.parse().unwrap())
}

#[test]
fn the_lines_of_a_file_are_published_in_order() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.json");
    // A blank line is no message, and the last line needs no end.
    std::fs::write(&file, ORDERS.join("\n\n")).unwrap();
    let address = address(&broker);
    let args = [
        "publish",
        "-server",
        &address,
        "-topic",
        "orders",
        "-name",
        "p",
        "-file",
        file.to_str().unwrap(),
    ];
    let finished = spark(&args);
    assert_eq!(finished.err, "", "no progress line into a pipe");
    let (count, rate) = totals(&finished.ok());
    assert_eq!(count, 3);
    assert!(rate > 0.0);
    // Everything was flushed, so nothing needs to be waited for.
    assert_eq!(broker.published_count("orders"), 3);
    let sent = sent_by(&broker, "p", "p");
    assert_eq!(sent.len(), 3);
    assert!(
        sent.iter()
            .zip(ORDERS)
            .all(|(frame, order)| frame.ends_with(order)),
        "{sent:?}"
    );
}

#[test]
fn standard_input_is_published_while_it_comes() {
    let broker = broker();
    let address = address(&broker);
    let mut running = Running::start(&["publish", "-server", &address, "-topic", "orders"]);
    let stdin = running.stdin.as_mut().unwrap();
    writeln!(stdin, "{}", ORDERS[0]).unwrap();
    assert!(broker.wait_for_published("orders", 1, PATIENCE));
    write!(stdin, "{}", ORDERS[1]).unwrap();
    assert_eq!(totals(&running.finish().ok()).0, 2);
    assert_eq!(records(&broker, "orders"), ORDERS[..2]);
}

#[test]
fn data_is_one_message_and_an_empty_input_none() {
    let broker = broker();
    let address = address(&broker);
    let args = ["publish", "-server", &address, "-topic", "notes"];
    let out = spark(&[&args[..], &["-data", "two\nlines"]].concat()).ok();
    assert!(out.starts_with("1 message published, "), "{out}");
    assert_eq!(broker.published_count("notes"), 1);
    assert_eq!(totals(&spark(&args).ok()).0, 0);
    assert_eq!(broker.published_count("notes"), 1);
}

#[test]
fn a_delimiter_is_any_byte() {
    let broker = broker();
    let address = address(&broker);
    let args = [
        "publish",
        "-server",
        &address,
        "-topic",
        "x",
        "-name",
        "p",
        "-delimiter",
        "0",
    ];
    let out = spark_with_input(&args, b"a\nb\0c\0").ok();
    assert_eq!(totals(&out).0, 2);
    let sent = sent_by(&broker, "p", "p");
    assert!(
        sent[0].ends_with("}a\nb") && sent[1].ends_with("}c"),
        "{sent:?}"
    );
}

#[test]
fn trap_101_a_delta_is_merged_whether_the_switch_has_a_value_or_not() {
    let broker = broker();
    publish_orders(&client(&broker), 3);
    let address = address(&broker);
    let delta = r#"{"id":1,"note":"x"}"#;
    let args = ["publish", "-server", &address, "-topic", "orders", "-data"];
    spark(&[&args[..], &[delta, "-delta"]].concat()).ok();
    spark(&[&args[..], &[r#"{"id":2,"note":"x"}"#, "-delta", "true"]].concat()).ok();
    spark(&[&args[..], &[r#"{"id":3,"note":"x"}"#, "-delta=false"]].concat()).ok();
    assert_eq!(
        records(&broker, "orders"),
        [
            r#"{"id":1,"qty":10,"note":"x"}"#,
            r#"{"id":2,"qty":20,"note":"x"}"#,
            r#"{"id":3,"note":"x"}"#
        ]
    );
}

#[test]
fn a_rate_is_kept_also_a_fraction() {
    let broker = broker();
    let address = address(&broker);
    let args = [
        "publish", "-server", &address, "-topic", "x", "-rate", "12.5",
    ];
    let start = Instant::now();
    let out = spark_with_input(&args, b"1\n2\n3\n4\n5\n").ok();
    // The first one goes at once, each other one 80 ms later.
    assert!(
        start.elapsed() >= Duration::from_millis(320),
        "{:?}",
        start.elapsed()
    );
    assert!(totals(&out).1 <= 15.7, "{out}");
}

#[test]
fn trap_101_a_rate_above_the_resolution_of_timers_loses_no_message_and_does_not_crawl() {
    let broker = broker();
    let address = address(&broker);
    let args = [
        "publish", "-server", &address, "-topic", "x", "-rate", "20000",
    ];
    let start = Instant::now();
    let out = spark_with_input(&args, "m\n".repeat(6_000).as_bytes()).ok();
    let (count, rate) = totals(&out);
    assert_eq!(count, 6_000);
    assert!(rate <= 20_100.0, "{out}");
    // At one message for each wake-up of a timer it would take six seconds and more.
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(broker.published_count("x"), 6_000);
}

#[test]
fn the_entries_of_an_archive_are_messages_in_the_order_of_their_numbers() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let archive = |name: &str, entries: &[&str]| {
        let path = folder.path().join(name);
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
        for entry in entries {
            zip.start_file(*entry, SimpleFileOptions::default())
                .unwrap();
            write!(zip, "message\n{entry}").unwrap();
        }
        zip.finish().unwrap();
        path.to_str().unwrap().to_string()
    };
    let address = address(&broker);
    let publish = |file: &str| {
        spark(&[
            "publish", "-server", &address, "-topic", "x", "-name", "p", "-file", file,
        ])
    };
    let twelve: Vec<String> = (1..=12).map(|number| number.to_string()).collect();
    let twelve: Vec<&str> = twelve.iter().map(String::as_str).rev().collect();
    assert_eq!(totals(&publish(&archive("good", &twelve)).ok()).0, 12);
    let sent = sent_by(&broker, "p", "p");
    let in_order = (1..=12).zip(&sent);
    assert_eq!(sent.len(), 12);
    for (number, frame) in in_order {
        assert!(frame.ends_with(&format!("}}message\n{number}")), "{frame}");
    }
    let line = publish(&archive("bad", &["1", "2", "readme.txt"])).failed(2);
    assert!(line.contains("'readme.txt'"), "{line}");
    assert_eq!(broker.published_count("x"), 12);
    let broken = folder.path().join("broken");
    std::fs::write(&broken, b"PK\x03\x04 and no more").unwrap();
    publish(broken.to_str().unwrap()).failed(2);
}

#[test]
fn what_the_server_refuses_is_told_and_ends_with_1() {
    let broker = broker();
    let address = address(&broker);
    let args = ["publish", "-server", &address, "-topic", "orders"];
    let input = format!("{}\n{{\"no\":1}}\n{}\n{{\"no\":2}}\n", order(1), order(2));
    let finished = spark_with_input(&args, input.as_bytes());
    assert_eq!(totals(&finished.out).0, 4);
    let line = finished.failed(1);
    assert!(
        line.contains("2 messages refused") && line.contains("bad SOW key"),
        "{line}"
    );
    assert_eq!(records(&broker, "orders"), [order(1), order(2)]);

    let unchecked = [&args[..], &["-unchecked"]].concat();
    spark_with_input(&unchecked, b"{\"no\":1}\n").ok();
}

#[test]
fn a_topic_that_may_not_be_written_ends_with_1() {
    let broker = Broker::builder()
        .entitle(|request| match request.access {
            Access::Write => Entitlement::Refused,
            _ => Entitlement::Granted,
        })
        .start()
        .unwrap();
    let address = address(&broker);
    let line = spark(&["publish", "-server", &address, "-topic", "x", "-data", "1"]).failed(1);
    assert!(line.contains("not entitled"), "{line}");
}

#[test]
fn a_connection_that_is_lost_ends_with_1_and_the_count() {
    let peer = Peer::listen().unwrap();
    let server = peer.address().to_string();
    let mut running = Running::start(&["publish", "-server", &server, "-topic", "x"]);
    let mut connection = peer.accept_logon().unwrap();
    running.stdin.as_mut().unwrap().write_all(b"1\n").unwrap();
    connection.expect_frame().unwrap();
    connection.close();
    let finished = running.finish();
    assert_eq!(totals(&finished.out).0, 1);
    assert!(finished.failed(1).contains("disconnected"));
}

#[test]
fn a_server_that_never_confirms_ends_with_1_after_the_timeout() {
    let peer = Peer::listen().unwrap();
    let server = peer.address().to_string();
    let args = [
        "publish", "-server", &server, "-topic", "x", "-data", "1", "-timeout", "0.2",
    ];
    let running = Running::start(&args);
    let mut connection = peer.accept_logon().unwrap();
    connection.expect_frame().unwrap();
    let flush = connection.expect_frame().unwrap();
    assert!(flush.contains(r#""c":"flush""#), "{flush}");
    assert!(running.finish().failed(1).contains("timed out"));
}

/// The progress line is drawn on a terminal, so this test has one.
#[cfg(target_os = "linux")]
#[test]
fn a_long_input_shows_a_progress_line_on_a_terminal() {
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::io::Read;
    use std::process::{Command, Stdio};
    use std::sync::Mutex;

    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("input");
    std::fs::write(&file, "m\n".repeat(60)).unwrap();
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let terminal = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let child = Command::new(binary())
        .args([
            "publish",
            "-server",
            &address(&broker),
            "-topic",
            "x",
            "-rate",
            "60",
            "-file",
        ])
        .arg(&file)
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(terminal)
        .spawn()
        .unwrap();
    assert!(within_patience(&Mutex::new(child)).success());
    // Without a process that holds the terminal, reading ends with an error.
    let mut shown = Vec::new();
    let _ = std::fs::File::from(controller).read_to_end(&mut shown);
    let shown = String::from_utf8_lossy(&shown);
    assert!(
        shown.contains('%') && shown.contains("messages"),
        "{shown:?}"
    );
}
