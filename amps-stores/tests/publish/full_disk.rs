//! A disk that is full: the publish that does not fit fails, and no other.
//!
//! A process of its own works under a limit on the length of files, which has the system refuse
//! space as a full disk does.

use crate::support::*;
use amps_core::{Error, PublishStore};
use std::env;
use std::error::Error as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const FILE: &str = "AMPS_TEST_FULL_DISK_FILE";

#[test]
fn the_publish_that_does_not_fit_fails_and_after_room_is_made_publishing_goes_on() {
    let place = place();
    // The signal that comes with the refusal is ignored, here and by the program.
    let script = r#"trap "" XFSZ; ulimit -f 64; exec "$0" "$@""#;
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(env::current_exe().unwrap())
        .args([
            "--exact",
            "full_disk::process_with_little_space",
            "--ignored",
            "--nocapture",
        ])
        .env(FILE, &place.path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("it was full"), "{said}");
    assert_eq!(open(&place.path).unpersisted_count(), 3);
}

#[test]
#[ignore = "the process that the test limits"]
fn process_with_little_space() {
    let Ok(path) = env::var(FILE) else {
        return;
    };
    let store = open(&PathBuf::from(path));
    let mut given = Vec::new();
    let error = loop {
        match store.store(&publish(&[given.len() as u8; 500])) {
            Ok(number) => given.push(number),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Store(_)), "{error}");
    assert!(error.to_string().contains("grow the store file"), "{error}");
    assert!(error.source().is_some());
    assert!(given.len() > 10);
    assert_eq!(numbers(&store), given);
    // Still full, and still nothing is lost; a long message does not fit either.
    store_error(store.store(&publish(&[1; 500])));
    store_error(store.store(&publish(&[1; 100_000])));
    assert_eq!(numbers(&store), given);
    let last = *given.last().unwrap();
    store.discard_up_to(last).unwrap();
    for next in 1..=3 {
        assert_eq!(put(&store, &[2; 500]), last + next);
    }
    println!("it was full");
}
