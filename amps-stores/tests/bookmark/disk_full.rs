//! A full disk, played by a limit for the length of files: an error, nothing lost, nothing else.

use crate::child::{Orders, child, orders, progress_path};
use crate::support::{Kind, SUB, place};
use amps_core::{Error, Logged};
use amps_stores::BookmarkFileOptions;
use std::fs;

/// The body of the child: works until the file cannot grow.
#[test]
fn child_with_a_full_disk() {
    let Some(orders) = orders() else {
        return;
    };
    let options = BookmarkFileOptions::new().set_prune_above(0);
    let store = orders.kind.open_with(&orders.path, options).unwrap();
    let mut number = 0;
    let error = loop {
        number += 1;
        assert!(number < 1_000_000, "the limit does not hold");
        let bookmark = format!("1|{number}|");
        match store.log(SUB, &bookmark) {
            Ok(logged) => assert_eq!(logged, Logged::Undiscarded(number)),
            Err(error) => break error,
        }
        if number > 1
            && let Err(error) = store.discard(SUB, number - 1)
        {
            assert_eq!(store.oldest_bookmark_seq(SUB), number - 1);
            number += 1;
            break error;
        }
    };
    assert!(matches!(error, Error::Store(_)), "{error}");
    assert!(error.to_string().contains("bookmarks"), "{error}");
    // It did not happen, and does not happen now; what is there can be asked.
    let refused = format!("1|{number}|");
    assert!(store.log(SUB, &refused).is_err());
    assert!(!store.is_discarded(SUB, &refused));
    let before = store.most_recent(SUB).unwrap();
    assert_eq!(
        store.log(SUB, &format!("1|{}|", number - 1)).unwrap(),
        Logged::Undiscarded(number - 1)
    );
    fs::write(progress_path(&orders.path), format!("{number} {before}")).unwrap();
}

#[test]
fn a_full_disk_is_an_error_and_the_file_is_good() {
    for kind in Kind::FULL {
        let (_directory, path) = place();
        let orders = Orders {
            path: path.clone(),
            kind,
            start: 0,
        };
        let status = child("disk_full::child_with_a_full_disk", &orders, Some(300)).status();
        assert!(status.unwrap().success(), "{kind:?}");
        let told = fs::read_to_string(progress_path(&path)).unwrap();
        let (number, point) = told.split_once(' ').unwrap();
        let number: u64 = number.parse().unwrap();
        assert!(number > 1_000, "{number}");
        let store = kind.open(&path);
        assert_eq!(store.most_recent(SUB).unwrap(), point);
        assert_eq!(store.oldest_bookmark_seq(SUB), number - 1);
        let logged = store.log(SUB, &format!("1|{number}|")).unwrap();
        assert_eq!(logged, Logged::Undiscarded(number));
    }
}
