//! Processes that are killed at random moments (rule K13).
//!
//! The process that is killed is this program again. It works on a store file with steps that
//! follow from a seed, and notes now and then how many it has done. The test does the same steps
//! with the model: what is found in the file must be the state of the model after one of the steps
//! that the process may have come to. So nothing is lost, nothing comes twice or in another
//! order, nothing that was discarded comes back, and no step is done by half.

use crate::model::{Model, Step};
use crate::support::*;
use amps_stores::{FilePublishStore, FileStoreOptions, SyncPolicy};
use std::env;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

const FILE: &str = "AMPS_TEST_STORE_FILE";
const SEED: &str = "AMPS_TEST_STORE_SEED";

/// The process notes its progress after so many steps.
const NOTED: u64 = 32;

/// How many times a file is opened and its process killed.
const LIVES: u64 = 10;

#[test]
fn k13_a_hundred_kills_lose_nothing_and_bring_nothing_back() {
    kill(100);
}

#[test]
#[ignore = "takes minutes"]
fn k13_two_thousand_kills_lose_nothing_and_bring_nothing_back() {
    kill(2000);
}

fn kill(times: u64) {
    let mut random = Random(u64::from(std::process::id()) << 32 | times);
    let mut steps = 0;
    for _ in 0..times / LIVES {
        let place = place();
        let seed = random.next();
        println!("a file with seed {seed}");
        for life in 0..LIVES {
            steps += one_life(&place, seed.wrapping_add(life), &mut random);
        }
    }
    // Otherwise they die before they do anything, and nothing is tested.
    assert!(steps > times * 50, "only {steps} steps for {times} kills");
}

fn one_life(place: &Place, seed: u64, random: &mut Random) -> u64 {
    let progress = progress(&place.path);
    fs::write(&progress, 0_u64.to_le_bytes()).unwrap();
    let begin = place.path.exists().then(|| begin(&place.path, seed));
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::process_to_kill", "--ignored"])
        .env(FILE, &place.path)
        .env(SEED, seed.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    // Long enough to begin, sometimes; then a random moment.
    let patience = random.below(4) > 0;
    while patience && done(&progress) == 0 && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_micros(200));
    }
    thread::sleep(Duration::from_micros(random.below(8000)));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success(), "the process ended before it was killed");
    assert_eq!(status.code(), None, "the process failed: {status}");

    let steps = done(&progress);
    let mut model = begin.unwrap_or_else(Model::new);
    let mut random = Random(seed);
    for _ in 0..steps {
        let step = random_step(&mut random, &model);
        model.imagine(&step);
    }
    if !place.path.exists() {
        assert_eq!(steps, 0);
        return 0;
    }
    let store = FilePublishStore::open(&place.path, with_policy(seed)).unwrap();
    let mut why = String::new();
    for _ in 0..=NOTED {
        let mut opened = model.clone();
        opened.set_offline();
        match opened.differs(&store) {
            None => {
                assert!(put(&store, b"the next") > opened.last);
                return steps;
            }
            Some(difference) => why.push_str(&format!("{difference}\n")),
        }
        let step = random_step(&mut random, &model);
        model.imagine(&step);
    }
    panic!("after {steps} steps with seed {seed}, the store is none of:\n{why}");
}

/// The state in which both begin: a message is the last that has a number.
fn begin(path: &Path, seed: u64) -> Model {
    let store = FilePublishStore::open(path, with_policy(seed)).unwrap();
    put(&store, b"the first");
    Model::of(&store)
}

fn progress(path: &Path) -> PathBuf {
    path.with_extension("progress")
}

fn done(progress: &Path) -> u64 {
    let bytes = fs::read(progress).unwrap();
    u64::from_le_bytes(bytes.try_into().unwrap())
}

fn with_policy(seed: u64) -> FileStoreOptions {
    // Mostly the one that is fast, so that most kills hit the store and not the disk.
    options().set_sync_policy(match seed % 8 {
        0 => SyncPolicy::EveryAppend,
        1 => SyncPolicy::OnFlush,
        _ => SyncPolicy::Never,
    })
}

#[test]
#[ignore = "the process that the tests kill"]
fn process_to_kill() {
    let (Ok(path), Ok(seed)) = (env::var(FILE), env::var(SEED)) else {
        return;
    };
    let (path, seed) = (PathBuf::from(path), seed.parse().unwrap());
    let progress = File::options().write(true).open(progress(&path)).unwrap();
    let fresh = !path.exists();
    let store = FilePublishStore::open(&path, with_policy(seed)).unwrap();
    let mut model = if fresh {
        Model::new()
    } else {
        Model::of(&store)
    };
    let mut random = Random(seed);
    for steps in 1_u64.. {
        let step = random_step(&mut random, &model);
        model.apply(&step, &store);
        if steps % NOTED == 0 {
            progress.write_all_at(&steps.to_le_bytes(), 0).unwrap();
        }
    }
}

fn random_step(random: &mut Random, model: &Model) -> Step {
    let live = model.live.len();
    match random.below(100) {
        _ if live > 300 => Step::DiscardUpTo(live / 2),
        0..70 => Step::Store(random.next() as u8, random.below(400) as usize),
        70..73 => Step::Store(random.next() as u8, random.below(12_000) as usize),
        73..82 => Step::DiscardUpTo(random.below(20) as usize),
        82..83 => Step::DiscardBeyond(random.below(3)),
        83..95 => Step::DiscardOne(random.below(30) as usize),
        95..97 => Step::Offline,
        97..99 => Step::Online,
        // So few are live and offline at a time that they are never too many to renumber.
        _ => Step::Renumber(random.below(50)),
    }
}

/// Numbers that follow from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
