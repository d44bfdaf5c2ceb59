//! Losses of power: a disk that keeps what was synced, and of the rest what it likes.

use super::format::{HEADER_LEN, Header, Record, SLOT_STRIDE, WORD};
use super::log::Log;
use super::recover::{Expected, Recovered, Refusal, recover};
use super::region::{Disk, DiskRegion};
use amps_core::{CommandType, ErrorContext, OutgoingCommand, Result};
use parking_lot::Mutex;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

const SEGMENT: usize = 4096;
/// What is written as a whole or not at all.
const SECTOR: usize = 512;

/// What is in the memory of the machine, and what is on the disk.
#[derive(Clone)]
struct FaultDisk {
    memory: Vec<u8>,
    durable: std::sync::Arc<Mutex<Vec<u8>>>,
    /// From so many syncs on, they fail.
    syncs_left: std::sync::Arc<Mutex<usize>>,
    /// If traced, the memory before each write: where a process may be killed.
    trace: Option<Vec<Vec<u8>>>,
}

impl FaultDisk {
    fn new(bytes: Vec<u8>) -> FaultDisk {
        FaultDisk {
            durable: std::sync::Arc::new(Mutex::new(bytes.clone())),
            memory: bytes,
            syncs_left: std::sync::Arc::new(Mutex::new(usize::MAX)),
            trace: None,
        }
    }

    fn snapshot(&mut self) {
        if let Some(trace) = &mut self.trace {
            trace.push(self.memory.clone());
        }
    }

    /// What is on the disk after the power was lost: each sector that was written and not synced
    /// is there or not, and so is the end of a file that has grown.
    fn lose_power(&self, random: &mut Random) -> FaultDisk {
        let mut bytes = self.durable.lock().clone();
        if random.below(2) == 0 {
            bytes.resize(self.memory.len(), 0);
        }
        // Sometimes nearly all is there, sometimes nearly nothing.
        let chance = random.below(9);
        for (old, new) in bytes.chunks_mut(SECTOR).zip(self.memory.chunks(SECTOR)) {
            if old != new && old.len() == new.len() && random.below(8) < chance {
                old.copy_from_slice(new);
            }
        }
        FaultDisk::new(bytes)
    }
}

impl Disk for FaultDisk {
    fn bytes(&self) -> &[u8] {
        &self.memory
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.snapshot();
        &mut self.memory
    }

    fn commit(&mut self, at: usize, word: u64) {
        self.snapshot();
        self.memory[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }

    fn grow(&mut self, len: usize) -> Result<()> {
        self.memory.resize(len.max(self.memory.len()), 0);
        Ok(())
    }

    fn sync(&self, from: usize, to: usize) -> Result<()> {
        let mut left = self.syncs_left.lock();
        *left = left.checked_sub(1).ok_or_else(|| {
            ErrorContext::new("sync", "a disk")
                .with_reason("it is broken")
                .Store()
        })?;
        let mut durable = self.durable.lock();
        durable.resize(self.memory.len(), 0);
        // A sync writes whole pages.
        let to = to.min(self.memory.len()).next_multiple_of(4096);
        let to = to.min(self.memory.len());
        durable[from..to].copy_from_slice(&self.memory[from..to]);
        Ok(())
    }

    fn name(&self) -> String {
        "a disk".to_owned()
    }
}

/// Numbers that follow from a seed (splitmix64).
#[derive(Clone)]
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

    /// What stands there when some of the words have been written.
    fn torn(&mut self, old: &[u8], new: &[u8]) -> Vec<u8> {
        let mut torn = old.to_vec();
        for (word, new) in torn.chunks_mut(WORD).zip(new.chunks(WORD)) {
            if word != new && self.below(2) == 0 {
                word.copy_from_slice(new);
            }
        }
        torn
    }
}

fn boot(number: u8) -> Expected {
    Expected {
        client_hash: 0,
        boot_id: [number; 16],
    }
}

fn created() -> FaultDisk {
    let mut disk = FaultDisk::new(vec![0; HEADER_LEN + SEGMENT]);
    let header = Header {
        file_id: 0x1234_5678_9abc,
        segment_size: SEGMENT as u32,
        first_ordinal: 1,
        boot_id: [1; 16],
        ..Header::default()
    };
    let region = DiskRegion {
        disk: &mut disk,
        segment_size: SEGMENT,
    };
    Log::new(region, header, 1).write_both_headers();
    disk.sync(0, usize::MAX).unwrap();
    disk
}

fn opened(disk: FaultDisk, number: u8) -> Log<DiskRegion<FaultDisk>> {
    match recover(disk, boot(number)) {
        Ok(Recovered { log, .. }) => log,
        Err((_, Refusal::Damaged(error) | Refusal::Foreign(error))) => panic!("{error}"),
    }
}

fn payload(number: u64) -> Vec<u8> {
    let mut random = Random(number);
    let len = random.below(500) + if random.below(20) == 0 { 6000 } else { 0 };
    (0..len).map(|_| random.next() as u8).collect()
}

type Disked = Log<DiskRegion<FaultDisk>>;

fn append(log: &mut Disked) -> u64 {
    let number = log.next_number().unwrap();
    append_number(log, number);
    number
}

fn append_number(log: &mut Disked, number: u64) {
    let data = payload(number);
    let command = OutgoingCommand::new(CommandType::Publish, "t", &data);
    if let Some(segments) = log.wants(command.encoded_len()) {
        log.grow(segments).unwrap();
    }
    log.append(number, &command, command.encoded_len()).unwrap();
}

/// The numbers that are live. Each has the payload that belongs to it.
fn content(log: &Disked) -> Vec<u64> {
    let mut numbers = Vec::new();
    let replayed = log.replay(0, &mut |stored| {
        assert_eq!(stored.command.data, payload(stored.sequence));
        numbers.push(stored.sequence);
        ControlFlow::Continue(())
    });
    assert!(replayed.is_ok());
    assert!(numbers.is_sorted_by(|a, b| a < b));
    numbers
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Policy {
    Never,
    OnFlush,
    EveryAppend,
}

/// What a store may hold after a loss of power.
#[derive(Default)]
struct Expectation {
    /// Synced and not given up since: must be there.
    synced: BTreeMap<u64, ()>,
    /// Stored and not synced: may be there.
    unsynced: BTreeMap<u64, ()>,
    /// Discarded: may come back.
    discarded: BTreeMap<u64, ()>,
}

/// One life of the machine: some work, a loss of power at a random moment, which may be in the
/// middle of a sync, and a recovery, during which power may be lost again.
fn one_life(
    disk: FaultDisk,
    policy: Policy,
    random: &mut Random,
    expect: &mut Expectation,
    boots: &mut u8,
) -> FaultDisk {
    let mut log = opened(disk, *boots);
    for _ in 0..random.below(300) {
        match random.below(10) {
            0..7 => {
                let before = log.mark();
                let number = append(&mut log);
                if policy == Policy::EveryAppend {
                    log.sync_record(&before).unwrap();
                    expect.synced.insert(number, ());
                } else {
                    expect.unsynced.insert(number, ());
                }
            }
            7..9 => {
                let live = content(&log);
                let number = live.get(random.below(30) as usize).copied();
                let number = number.unwrap_or(log.last());
                log.discard_up_to(number).unwrap();
                for kind in [&mut expect.synced, &mut expect.unsynced] {
                    let rest = kind.split_off(&(number + 1));
                    expect.discarded.append(kind);
                    *kind = rest;
                }
            }
            _ if policy == Policy::OnFlush && random.below(4) == 0 => {
                log.sync().unwrap();
                expect.synced.append(&mut expect.unsynced);
            }
            _ => {}
        }
    }
    if policy == Policy::OnFlush && random.below(2) == 0 {
        // In the middle of a sync.
        *log.region.disk.syncs_left.lock() = random.below(2) as usize;
        log.sync().unwrap_err();
    }
    let mut disk = log.region.disk.lose_power(random);
    *boots += 1;
    // Recovery writes, too.
    if random.below(3) == 0 {
        disk = opened(disk, *boots).region.disk.lose_power(random);
        *boots += 1;
    }
    let log = opened(disk.clone(), *boots);
    let found = content(&log);
    for number in expect.synced.keys() {
        assert!(found.contains(number), "{number} was synced and is lost");
    }
    for number in &found {
        let known = [&expect.synced, &expect.unsynced, &expect.discarded];
        let known = known.iter().any(|kind| kind.contains_key(number));
        assert!(known, "{number} was never stored");
    }
    // The rest is lost for good.
    expect.unsynced = found.iter().map(|number| (*number, ())).collect();
    expect
        .unsynced
        .retain(|number, ()| !expect.synced.contains_key(number));
    disk
}

fn lives(policy: Policy, seed: u64) {
    let mut random = Random(seed);
    let mut disk = created();
    let mut expect = Expectation::default();
    let mut boots = 1;
    for _ in 0..6 {
        disk = one_life(disk, policy, &mut random, &mut expect, &mut boots);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_loss_of_power_takes_nothing_that_was_synced_by_a_flush(seed: u64) {
        lives(Policy::OnFlush, seed);
    }

    #[test]
    fn a_loss_of_power_takes_nothing_that_was_stored_with_a_sync_for_every_append(seed: u64) {
        lives(Policy::EveryAppend, seed);
    }

    #[test]
    fn the_damage_of_either_header_slot_at_any_moment_loses_no_message(seed: u64) {
        let mut random = Random(seed);
        let mut log = opened(created(), 1);
        for _ in 0..random.below(200) {
            append(&mut log);
            if random.below(4) == 0 {
                let live = content(&log);
                let number = live[random.below(live.len() as u64) as usize];
                log.discard_up_to(number).unwrap();
            }
        }
        for slot in [0, SLOT_STRIDE] {
            let mut disk = log.region.disk.clone();
            disk.memory[slot + 70] ^= 1;
            let found = content(&opened(disk, 1));
            // What was discarded last may come back.
            prop_assert!(found.ends_with(&content(&log)), "slot {}", slot);
        }
    }

    #[test]
    fn a_kill_in_a_write_or_after_it_also_with_a_torn_header_leaves_before_or_after(seed: u64) {
        let mut random = Random(seed);
        let mut log = opened(created(), 1);
        for _ in 0..60 {
            let before = content(&log);
            log.region.disk.trace = Some(Vec::new());
            match before.get(random.below(100) as usize / 2) {
                Some(number) if random.below(3) == 0 => log.discard_up_to(*number).unwrap(),
                Some(number) if random.below(8) == 0 => drop(log.discard_one(*number).unwrap()),
                None if random.below(8) == 0 => log.discard_up_to(log.last()).unwrap(),
                _ => drop(append(&mut log)),
            }
            let after = content(&log);
            log.region.disk.snapshot();
            let trace = log.region.disk.trace.take().unwrap();
            for (old, new) in trace.iter().zip(&trace[1..]) {
                // In the middle of a write, in whatever order it writes its words.
                let torn = random.torn(old, new);
                let found = content(&opened(FaultDisk::new(torn), 1));
                let in_header = old[..HEADER_LEN] != new[..HEADER_LEN];
                let whole = found == before || found == after;
                let enough = found.ends_with(&before) || found.ends_with(&after);
                prop_assert!(whole || in_header && enough, "{:?}", found);
            }
            for memory in trace {
                let found = content(&opened(FaultDisk::new(memory.clone()), 1));
                prop_assert!(found == before || found == after, "{:?}", found);
                for slot in [0, SLOT_STRIDE] {
                    let mut memory = memory.clone();
                    memory[slot + 70] ^= 1;
                    let found = content(&opened(FaultDisk::new(memory), 1));
                    // With the older header, what was discarded last is not.
                    let enough = found.ends_with(&before) || found.ends_with(&after);
                    prop_assert!(enough, "{:?} {:?} {:?}", found, before, after);
                }
            }
        }
    }

    #[test]
    fn a_loss_of_power_without_syncs_leaves_a_file_that_opens(seed: u64) {
        lives(Policy::Never, seed);
    }
}

#[test]
fn without_a_loss_of_power_the_same_damage_is_refused_and_nothing_is_written() {
    let mut refused = 0;
    for seed in 0..50 {
        let mut random = Random(seed);
        let mut log = opened(created(), 1);
        for _ in 0..40 {
            append(&mut log);
        }
        let disk = log.region.disk.lose_power(&mut random);
        // The machine says that it is the same run.
        if let Err((after, Refusal::Damaged(error))) = recover(disk.clone(), boot(1)) {
            assert!(
                error.to_string().contains("damaged") || error.to_string().contains("truncated")
            );
            assert!(after.memory == disk.memory);
            refused += 1;
        }
        // Where no run is known, no loss of power is assumed.
        let unknown = recover(disk.clone(), boot(0)).is_err();
        assert_eq!(unknown, recover(disk, boot(1)).is_err());
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn synced_records_that_are_damaged_are_refused_also_after_a_loss_of_power() {
    let mut log = opened(created(), 1);
    for _ in 0..5 {
        append(&mut log);
    }
    log.sync().unwrap();
    append(&mut log);
    let place = log.chain[0].place;
    let mut disk = log.region.disk;
    let at = HEADER_LEN + place.start as usize * SEGMENT + 48 + 30;
    assert!(Record::read(&disk.memory[HEADER_LEN + 48..], None).is_some());
    disk.memory[at] ^= 1;
    let Err((after, Refusal::Damaged(error))) = recover(disk.clone(), boot(2)) else {
        panic!("opened");
    };
    assert!(error.to_string().contains("had been synced"), "{error}");
    assert!(after.memory == disk.memory);
}

#[test]
fn what_was_cut_is_not_found_again_and_its_numbers_are_not_used_again() {
    let mut log = opened(created(), 1);
    for _ in 0..60 {
        append(&mut log);
    }
    let last = log.last();
    let mut disk = log.region.disk;
    disk.memory[HEADER_LEN + 48 + 30] ^= 1;
    let recovered = recover(disk, boot(2));
    let Ok(Recovered {
        log,
        cut: Some(cut),
    }) = recovered
    else {
        panic!("not cut");
    };
    assert!(cut.contains("59 readable records"), "{cut}");
    assert!(content(&log).is_empty());
    let mut log = opened(log.region.disk, 2);
    assert!(append(&mut log) > last);
    assert_eq!(content(&opened(log.region.disk, 2)).len(), 1);
}

#[test]
fn an_append_whose_sync_fails_is_taken_back() {
    let mut log = opened(created(), 1);
    for good in 0..30 {
        let before = log.mark();
        append(&mut log);
        *log.region.disk.syncs_left.lock() = 0;
        assert!(log.sync_record(&before).is_err());
        log.take_back(before);
        *log.region.disk.syncs_left.lock() = usize::MAX;
        assert_eq!(content(&log).len(), good);
        append(&mut log);
        assert_eq!(content(&log).len(), good + 1);
        assert_eq!(content(&opened(log.region.disk.clone(), 1)), content(&log));
    }
}
