//! The tables of `docs/status.md` name tests that exist, and leave out no trap.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn status() -> String {
    fs::read_to_string(root().join("docs/status.md")).unwrap()
}

/// Where the sources of a test binary are.
fn directory(binary: &str) -> PathBuf {
    let path = match binary {
        "amps_core" | "amps_stores" | "amps_ha" | "amps_codecs" => {
            format!("{}/src", binary.replace('_', "-"))
        }
        "publish" | "bookmark" => format!("amps-stores/tests/{binary}"),
        "properties" | "traps" => format!("amps-codecs/tests/{binary}.rs"),
        _ => format!("tests/{binary}"),
    };
    root().join(path)
}

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

/// Whether a source has a function of this name that is marked as a test.
fn has_test(source: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let mut lines = source.lines();
    let Some(at) = lines.position(|line| line.trim_start().starts_with(&head)) else {
        return false;
    };
    // Attributes and comments stand between the mark and the name.
    let before = source.lines().take(at).collect::<Vec<_>>();
    let above = before.iter().rev().map(|line| line.trim());
    above
        .take_while(|line| !line.is_empty() && *line != "}")
        .any(|line| line == "#[test]")
}

/// The code spans of the text that name a test: `binary::module::function`. Those in brackets are
/// links to items of the library.
fn named_tests(text: &str) -> Vec<Vec<&str>> {
    let mut pieces = text.split('`');
    let mut tests = Vec::new();
    while let (Some(before), Some(span)) = (pieces.next(), pieces.next()) {
        let path = span.split("::").collect::<Vec<_>>();
        let is_lower = path[0].starts_with(|c: char| c.is_ascii_lowercase());
        if path.len() > 1 && is_lower && !before.ends_with('[') && !span.contains('…') {
            tests.push(path);
        }
    }
    tests
}

#[test]
fn every_test_that_the_tables_name_exists() {
    let text = status();
    let mut trees = BTreeMap::new();
    let mut missing = Vec::new();
    let tests = named_tests(&text);
    assert!(tests.len() > 200, "{}", tests.len());
    for test in tests {
        let [binary, modules @ .., name] = &test[..] else {
            unreachable!("at least two parts");
        };
        let tree = trees.entry(*binary).or_insert_with(|| {
            let mut found = Vec::new();
            sources(&directory(binary), &mut found);
            found
        });
        let is_in_module = |path: &&PathBuf| {
            modules.first().is_none_or(|module| {
                let directories = path.parent().unwrap().iter().any(|part| part == *module);
                directories || path.file_stem().is_some_and(|stem| stem == *module)
            })
        };
        let exists = tree
            .iter()
            .filter(is_in_module)
            .any(|path| has_test(&fs::read_to_string(path).unwrap(), name));
        if !exists {
            missing.push(test.join("::"));
        }
    }
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

/// The cells of the rows that have a link, a test or neither.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("|---"))
        .map(|line| {
            line.trim_matches('|')
                .split(" | ")
                .map(|cell| cell.trim_matches(['|', ' ']))
                .collect()
        })
}

#[test]
fn every_row_has_a_test_or_says_why_it_has_none() {
    let text = status();
    let mut count = 0;
    for row in rows(&text).filter(|row| row.last() != Some(&"test")) {
        count += 1;
        let has_test = !named_tests(row.last().unwrap()).is_empty();
        let says_why = row.iter().any(|cell| cell.starts_with("n/a: "))
            || row.iter().any(|cell| cell.starts_with("documentation: "));
        assert!(has_test || says_why, "{row:?}");
    }
    assert!(count > 250, "{count}");
}

#[test]
fn every_trap_of_a_client_has_its_row() {
    let text = status();
    let traps = rows(&text)
        .filter_map(|row| row[0].parse::<u32>().ok().filter(|_| row.len() == 3))
        .collect::<Vec<_>>();
    let wanted = (1..=61).chain(92..=94).chain(96..=100);
    assert_eq!(traps, wanted.collect::<Vec<_>>());
}
