//! What a header costs, as ratios to what the machine needs for the same bytes in the same run.
//!
//! - Parsing the header of a bookmark subscription: against `memchr_iter` visiting every quote in
//!   it, which is the least that a scanner for quoted fields can do.
//! - Encoding the header of a publish with topic, command id and sequence: against copying the
//!   finished header.
//! - Parsing a `sow` frame of 100 records: against finding where each record begins.
//!
//! The ratios are printed last, from the medians: `cargo bench -p amps-core --bench header`.

use amps_core::CommandType;
use amps_core::protocol::{Field, FrameWriter, Header, ParseError, Records};
use criterion::{Criterion, Throughput};
use std::hint::black_box;
use std::time::Instant;

/// Records of one `sow` frame.
const RECORDS: usize = 100;

fn main() -> Result<(), ParseError> {
    let mut criterion = Criterion::default().configure_from_args();
    let mut report = Vec::new();
    parse(&mut criterion, &mut report)?;
    encode(&mut criterion, &mut report);
    batch(&mut criterion, &mut report)?;
    criterion.final_summary();
    println!("\nRatios of medians, measured in this run:");
    for (what, ours, floor) in report {
        println!(
            "{what:<66} {:>6.2}   ({ours:.1} ns to {floor:.1} ns)",
            ours / floor
        );
    }
    Ok(())
}

type Report = Vec<(&'static str, f64, f64)>;

/// What a server sends in front of a message of a bookmark subscription, without a payload.
fn received_header() -> Vec<u8> {
    let mut out = Vec::new();
    let mut frame = FrameWriter::begin(&mut out, CommandType::Publish);
    frame.text(Field::Topic, b"orders");
    frame.text(Field::SubIds, b"sub-00001");
    frame.text(Field::Bookmark, b"4418602183412675531|0000000907|");
    frame.text(Field::Timestamp, b"20240315T093000.123456Z");
    frame.text(Field::SowKey, b"13480907839116428812");
    frame.finish(b"");
    out.split_off(4)
}

fn parse(criterion: &mut Criterion, report: &mut Report) -> Result<(), ParseError> {
    let header = received_header();
    println!("a received header of {} bytes", header.len());
    assert_eq!(Header::parse(&header, 0)?.span.end(), header.len());
    // With a payload behind it, as it is read: a scanner must not look beyond the header.
    let mut frame = header.clone();
    frame.resize(header.len() + 100, b'x');

    let mut bench = Bench::new(criterion, "parse", Throughput::Bytes(header.len() as u64));
    let quotes = bench.median("visit quotes", || {
        for at in memchr::memchr_iter(b'"', black_box(&header)) {
            black_box(at);
        }
    });
    let ours = bench.median("header", || {
        // An error would show as a header without an end; it is checked above.
        let _ = black_box(Header::parse(black_box(&frame), 0));
    });
    report.push(("header parse / visiting every quote", ours, quotes));
    Ok(())
}

fn encode(criterion: &mut Criterion, report: &mut Report) {
    let mut out = Vec::with_capacity(1024);
    let write = |out: &mut Vec<u8>, sequence: u64| {
        let mut frame = FrameWriter::begin(out, CommandType::Publish);
        frame.text(Field::CommandId, black_box(b"4711"));
        frame.text(Field::Topic, black_box(b"orders"));
        frame.number(Field::Sequence, black_box(sequence));
        frame.finish_header(100);
    };
    write(&mut out, 1_710_495_000_123_456);
    let header = out.clone();
    println!("an encoded header of {} bytes", header.len());

    let mut bench = Bench::new(criterion, "encode", Throughput::Bytes(header.len() as u64));
    let copy = bench.median("copy", || {
        out.clear();
        out.extend_from_slice(black_box(&header));
        black_box(&out);
    });
    let ours = bench.median("header", || {
        out.clear();
        write(&mut out, 1_710_495_000_123_456);
        black_box(&out);
    });
    assert_eq!(out, header);
    report.push(("header encode / copying the finished header", ours, copy));
}

fn batch(criterion: &mut Criterion, report: &mut Report) -> Result<(), ParseError> {
    let mut out = Vec::new();
    let mut frame = FrameWriter::begin(&mut out, CommandType::Sow);
    frame.text(Field::QueryId, b"7");
    frame.text(Field::Topic, b"orders");
    frame.number(Field::BatchSize, RECORDS as u64);
    let mut frame = frame.records();
    for record in 0..RECORDS {
        let key = format!("{:020}", 13_480_907_839_116_428_812 + record as u64);
        frame.record([(Field::SowKey, key.as_bytes())], &[b'x'; 100]);
    }
    frame.finish();
    let frame = out.split_off(4);
    let mut parsed = 0;
    each_record(&frame, |_| parsed += 1)?;
    assert_eq!((parsed, boundaries(&frame)), (RECORDS, RECORDS));

    let mut bench = Bench::new(criterion, "batch", Throughput::Elements(RECORDS as u64));
    let floor = bench.median("find records", || {
        black_box(boundaries(black_box(&frame)));
    });
    let ours = bench.median("parse records", || {
        // An error would show as records that are missing; it is checked above.
        let _ = each_record(black_box(&frame), |record| {
            black_box(record);
        });
    });
    report.push(("sow frame of 100 records / finding them only", ours, floor));
    Ok(())
}

fn each_record(frame: &[u8], mut each: impl FnMut(Header)) -> Result<(), ParseError> {
    let mut records = Records::new(frame, Header::parse(frame, 0)?);
    while let Some(record) = records.next_record()? {
        each(record.header);
    }
    Ok(())
}

/// Finds the records, whose length is the last field and whose values have no brace.
fn boundaries(frame: &[u8]) -> usize {
    let Some(outer) = memchr::memchr(b'}', frame) else {
        return 0;
    };
    let (mut at, mut count) = (outer + 1, 0);
    while let Some(end) = memchr::memchr(b'}', &frame[at..]) {
        let header = &frame[at..at + end];
        let digits = header.iter().rev().take_while(|byte| byte.is_ascii_digit());
        let (length, _) = digits.fold((0, 1), |(length, place), digit| {
            (length + usize::from(digit - b'0') * place, place * 10)
        });
        at = frame.len().min(at + end + 1 + length);
        count += 1;
    }
    count
}

/// A group of criterion whose medians are kept.
struct Bench<'a> {
    criterion: &'a mut Criterion,
    group: &'static str,
    throughput: Throughput,
}

impl<'a> Bench<'a> {
    fn new(criterion: &'a mut Criterion, group: &'static str, throughput: Throughput) -> Bench<'a> {
        Bench {
            criterion,
            group,
            throughput,
        }
    }

    /// Measures with criterion, and returns the median of its samples in nanoseconds.
    fn median(&mut self, what: &str, mut work: impl FnMut()) -> f64 {
        let mut samples = Vec::new();
        let mut group = self.criterion.benchmark_group(self.group);
        group.throughput(self.throughput.clone());
        group.bench_function(what, |bencher| {
            bencher.iter_custom(|rounds| {
                let start = Instant::now();
                for _ in 0..rounds {
                    work();
                }
                let taken = start.elapsed();
                samples.push(taken.as_secs_f64() * 1e9 / rounds as f64);
                taken
            });
        });
        group.finish();
        // The first samples warm up, with few rounds each, and would only be noise.
        samples.drain(..samples.len() / 4);
        samples.sort_by(f64::total_cmp);
        samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
    }
}
