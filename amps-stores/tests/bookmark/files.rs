//! Files: whose they are, what damage does to them.

use crate::support::{Kind, SUB, discard, is_duplicate, log, log_all, place, recent, work_off};
use amps_core::{BookmarkStore, Error};
use amps_stores::BookmarkFileOptions;
use std::error::Error as _;
use std::fs;
use std::path::Path;

/// The store refuses to be opened for this reason, and leaves the file as it was.
fn assert_refused(kind: Kind, path: &Path, options: BookmarkFileOptions, reason: &str) {
    let before = fs::read(path).unwrap();
    let error = kind.open_with(path, options).err().unwrap();
    assert!(matches!(error, Error::Store(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains(reason), "{text}");
    assert!(
        text.contains(path.file_name().unwrap().to_str().unwrap()),
        "{text}"
    );
    assert!(fs::read(path).unwrap() == before, "the file was touched");
}

pub(crate) fn refused(kind: Kind, path: &Path, reason: &str) {
    assert_refused(kind, path, BookmarkFileOptions::new(), reason);
}

#[test]
fn a_file_that_is_open_is_refused() {
    for kind in Kind::FILES {
        let (_directory, path) = place();
        let store = kind.open(&path);
        refused(kind, &path, "another store has it open");
        work_off(&*store, &["1|1|"]);
        drop(store);
        let store = LoggedOrSame(kind).open(&path);
        assert_eq!(recent(&*store), "1|1|");
    }
}

/// Both stores with a full log read each other's files.
struct LoggedOrSame(Kind);

impl LoggedOrSame {
    fn open(&self, path: &Path) -> Box<dyn BookmarkStore> {
        match self.0 {
            Kind::Mmap => Kind::Logged.open(path),
            Kind::Logged => Kind::Mmap.open(path),
            kind => kind.open(path),
        }
    }
}

#[test]
fn foreign_files_are_refused() {
    for kind in Kind::FILES {
        let (_directory, path) = place();
        for (content, reason) in [
            (vec![b'x'; 10], "too short"),
            (vec![b'x'; 5_000], "not a bookmark store"),
            (b"AMPSBKMK".to_vec(), "too short"),
        ] {
            fs::write(&path, content).unwrap();
            refused(kind, &path, reason);
        }
    }
}

#[test]
fn a_ring_is_no_full_log_and_a_full_log_no_ring() {
    for (made, opened, reason) in [
        (Kind::Ring, Kind::Logged, "it holds a ring"),
        (Kind::Ring, Kind::Mmap, "it holds a ring"),
        (Kind::Mmap, Kind::Ring, "it holds a full log"),
    ] {
        let (_directory, path) = place();
        work_off(&*made.open(&path), &["1|1|"]);
        refused(opened, &path, reason);
    }
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    for kind in Kind::FILES {
        let (_directory, path) = place();
        drop(kind.open(&path));
        let mut content = fs::read(&path).unwrap();
        content[8] = 2;
        fs::write(&path, content).unwrap();
        refused(kind, &path, "it is of version 2");
    }
}

#[test]
fn a_file_of_another_client_is_refused_also_after_pruning() {
    let options = |name| BookmarkFileOptions::new().set_client_name(name);
    for kind in Kind::FILES {
        let (_directory, path) = place();
        // Made without a name, it belongs to the first that gives one.
        drop(kind.open(&path));
        drop(kind.open_with(&path, options("viewer")).unwrap());
        for pruned in [false, true] {
            if pruned {
                drop(kind.open_with(&path, options("viewer")).unwrap());
            }
            assert_refused(
                kind,
                &path,
                options("other"),
                "the client viewer, not of other",
            );
            drop(kind.open(&path));
        }
    }
}

#[test]
fn an_empty_file_and_a_file_of_zeros_are_new_stores() {
    for kind in Kind::FILES {
        for length in [0, 1, 64, 100_000] {
            let (_directory, path) = place();
            fs::write(&path, vec![0; length]).unwrap();
            let store = kind.open(&path);
            work_off(&*store, &["1|1|"]);
            drop(store);
            assert_eq!(recent(&*kind.open(&path)), "1|1|", "{length}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_made_says_where() {
    for kind in Kind::FILES {
        let (directory, _path) = place();
        let path = directory.path().join("missing/bookmarks");
        let error = kind
            .open_with(&path, BookmarkFileOptions::new())
            .err()
            .unwrap();
        assert!(error.to_string().contains("missing/bookmarks"), "{error}");
        assert!(error.source().is_some());
    }
}

/// Makes a file step by step, and returns its content with the resume point after each step.
fn history(kind: Kind) -> (Vec<u8>, Vec<String>) {
    let (_directory, path) = place();
    let store = kind.open(&path);
    let mut points = vec![recent(&*store)];
    let mut step = |change: &dyn Fn(&dyn BookmarkStore)| {
        change(&*store);
        points.push(recent(&*store));
    };
    step(&|store| store.enter(SUB, "9|1|").unwrap());
    step(&|store| log_all(store, &["1|1|", "2|1|"]));
    step(&|store| discard(store, "2|1|"));
    step(&|store| discard(store, "1|1|"));
    step(&|store| store.completed(SUB, "9|9|").unwrap());
    step(&|store| store.persisted(SUB, "9|9|").unwrap());
    step(&|store| work_off(store, &["x|y|z", "1|2|"]));
    drop(store);
    let content = fs::read(&path).unwrap();
    let used = content.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    (content[..used.next_multiple_of(8)].to_vec(), points)
}

#[test]
fn trap65_a_file_cut_anywhere_is_an_older_state_or_an_error() {
    for kind in Kind::FILES {
        let (content, points) = history(kind);
        let mut seen = 0;
        for length in 0..=content.len() {
            let (_directory, path) = place();
            fs::write(&path, &content[..length]).unwrap();
            if (1..64).contains(&length) {
                refused(kind, &path, "cut in its header");
                continue;
            }
            let store = kind.open(&path);
            let point = recent(&*store);
            let step = points.iter().position(|known| *known == point);
            // The steps in the middle of one of several changes are not in the list.
            seen = step.unwrap_or(seen).max(seen);
            // It goes on from there.
            work_off(&*store, &["1|7|", "2|7|", "x|y|7"]);
            let point = recent(&*store);
            drop(store);
            let store = kind.open(&path);
            assert_eq!(recent(&*store), point);
            assert!(is_duplicate(&*store, "2|7|") || kind == Kind::Ring);
        }
        assert_eq!(points[seen], *points.last().unwrap(), "{kind:?}");
    }
}

#[test]
fn trap65_a_flipped_bit_is_an_error_or_costs_the_last_change_at_most() {
    for kind in Kind::FILES {
        let (content, points) = history(kind);
        let whole = points.last().unwrap();
        let (mut errors, mut cuts) = (0, 0);
        for place_ in 0..content.len() * 8 {
            let mut damaged = content.clone();
            damaged[place_ / 8] ^= 1 << (place_ % 8);
            let (_directory, path) = place();
            fs::write(&path, &damaged).unwrap();
            match kind.open_with(&path, BookmarkFileOptions::new()) {
                Err(error) => {
                    assert!(matches!(error, Error::Store(_)), "{error}");
                    assert!(error.to_string().contains("bookmarks"), "{error}");
                    assert!(fs::read(&path).unwrap() == damaged, "the file was touched");
                    errors += 1;
                }
                // Padding, or the last record, which is cut as one that was being written.
                Ok(store) if recent(&*store) != *whole => cuts += 1,
                Ok(_) => {}
            }
        }
        // All but the last record and the padding.
        assert!(
            errors > content.len() * 8 * 7 / 10,
            "{kind:?}: {errors} errors"
        );
        assert!(cuts <= 40 * 8, "{kind:?}: {cuts} of {}", content.len() * 8);
    }
}

#[test]
fn damage_in_the_middle_is_named_and_salvaged_only_if_asked() {
    for kind in Kind::FULL {
        let (_directory, path) = place();
        let store = kind.open(&path);
        work_off(&*store, &["1|1|", "1|2|", "1|3|"]);
        drop(store);
        let mut content = fs::read(&path).unwrap();
        // After the header, the name, the first message, its discard.
        let at = 64 + 40 + 32 + 24;
        let received = 2u64.to_le_bytes();
        assert_eq!(content[at + 24..at + 32], received, "the second message");
        content[at + 25] ^= 1;
        fs::write(&path, &content).unwrap();
        refused(kind, &path, &format!("it is damaged at {at}"));
        let salvage = BookmarkFileOptions::new().set_salvage(true);
        let store = kind.open_with(&path, salvage).unwrap();
        assert_eq!(recent(&*store), "1|1|");
        drop(store);
        assert_eq!(recent(&*kind.open(&path)), "1|1|");
        let copies = fs::read_dir(path.parent().unwrap()).unwrap();
        let copy = copies
            .map(|entry| entry.unwrap().path())
            .find(|entry| entry.to_str().unwrap().contains(".damaged-"));
        assert!(fs::read(copy.unwrap()).unwrap() == content);
    }
}

#[test]
fn damage_after_the_machine_went_down_is_cut_off() {
    for kind in Kind::FULL {
        let (_directory, path) = place();
        let store = kind.open(&path);
        work_off(&*store, &["1|1|", "1|2|", "1|3|"]);
        drop(store);
        let mut content = fs::read(&path).unwrap();
        // A page that never reached the disk, and another run of the machine.
        content[160..192].fill(0);
        content[16] ^= 1;
        let crc = crc32(&content[..60]);
        content[60..64].copy_from_slice(&crc.to_le_bytes());
        fs::write(&path, &content).unwrap();
        let store = kind.open(&path);
        assert_eq!(recent(&*store), "1|1|");
        work_off(&*store, &["1|2|"]);
        drop(store);
        // The file is now of this run.
        let now = fs::read(&path).unwrap();
        assert_ne!(now[16], content[16]);
        assert_eq!(recent(&*kind.open(&path)), "1|2|");
    }
}

/// The checksum of the format, computed apart from the library.
fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    });
    !crc
}

#[test]
fn trap68_trap74_what_cannot_be_written_is_an_error_and_did_not_happen() {
    for kind in Kind::FULL {
        let (_directory, path) = place();
        let store = kind.open(&path);
        log_all(&*store, &["1|1|"]);
        // More than a record holds.
        let error = store.log(SUB, &"x".repeat(17 << 20)).unwrap_err();
        assert!(matches!(error, Error::Store(_)), "{error}");
        assert!(error.to_string().contains("too long"), "{error}");
        assert_eq!(log(&*store, "1|2|"), 2);
        drop(store);
        assert_eq!(log(&*kind.open(&path), "1|3|"), 3);
    }
}

#[test]
fn with_every_change_synced_all_is_as_without() {
    for kind in Kind::FILES {
        let (_directory, path) = place();
        let options = BookmarkFileOptions::new().set_sync_every_change(true);
        let store = kind.open_with(&path, options).unwrap();
        work_off(&*store, &["1|1|", "1|2|"]);
        drop(store);
        assert_eq!(recent(&*kind.open(&path)), "1|2|");
    }
}
