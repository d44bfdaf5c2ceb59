//! What building and iterating an order of 20 fields costs, as ratios to what the machine needs for
//! the same bytes in the same run: copying them, and finding every separator with memchr.
//!
//! Building has two floors. One `memcpy` of the finished message is what the machine can do at best;
//! copying the finished fields one at a time is what is left of that when the bytes arrive as twenty
//! pieces of different lengths. It alone takes about ten times as long for a message of 250 bytes.
//!
//! The ratios are printed last, from the medians: `cargo bench -p amps-codecs --bench codecs`.

use std::hint::black_box;
use std::time::Instant;

use amps_codecs::{CodecError, DEFAULT_SEPARATOR as SOH, Decimal};
use amps_codecs::{FixBuilder, FixShredder, NvfixBuilder, NvfixShredder};
use criterion::Criterion;

/// A new order single: its tags, the names an NVFIX topic would give them, and its values.
const ORDER: [(u32, &str, &str); 20] = [
    (8, "begin", "FIX.4.4"),
    (9, "length", "243"),
    (35, "type", "D"),
    (49, "sender", "CLIENT12"),
    (56, "target", "BROKER34"),
    (34, "seq", "215"),
    (52, "sent", "20240530-09:31:12.345"),
    (11, "orderId", "ORD-20240530-000123"),
    (1, "account", "ACC-7781"),
    (21, "handling", "1"),
    (55, "symbol", "VOD.L"),
    (54, "side", "1"),
    (60, "time", "20240530-09:31:12.340"),
    (38, "qty", "7500"),
    (40, "orderType", "2"),
    (44, "px", "101.25"),
    (59, "tif", "0"),
    (15, "currency", "GBP"),
    (207, "exchange", "XLON"),
    (58, "text", "patient, no more than a tenth of volume"),
];

fn main() -> Result<(), CodecError> {
    let mut criterion = Criterion::default().configure_from_args();
    let mut report = Vec::new();
    fix(&mut criterion, &mut report)?;
    nvfix(&mut criterion, &mut report)?;
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

fn fix(criterion: &mut Criterion, report: &mut Report) -> Result<(), CodecError> {
    let order = black_box(ORDER);
    let mut builder = FixBuilder::with_capacity(512);
    for (tag, _, value) in order {
        builder.append(tag, value)?;
    }
    let message = builder.as_bytes().to_vec();
    println!("FIX: {} fields in {} bytes", order.len(), message.len());

    let whole = copy_whole(criterion, "fix", &message);
    let pieces = copy_by_fields(criterion, "fix", &message);
    let build = median(criterion, "fix", "build", || {
        builder.clear();
        for (tag, _, value) in black_box(&order) {
            // A refusal would show as a message that is too short; it is checked below.
            let _ = builder.append(*tag, value);
        }
        black_box(builder.as_bytes());
    });
    assert_eq!(builder.as_bytes(), message);

    let price = Decimal::new(10125, 2)?;
    let numbers = median(criterion, "fix", "append integer and decimal", || {
        builder.clear();
        let _ = builder.append_integer(38, black_box(7500));
        let _ = builder.append_decimal(44, black_box(price));
        black_box(builder.as_bytes());
    });
    let text = median(criterion, "fix", "append both as text", || {
        builder.clear();
        let _ = builder.append(38, black_box("7500"));
        let _ = builder.append(44, black_box("101.25"));
        black_box(builder.as_bytes());
    });

    let separators = visit_separators(criterion, "fix", &message);
    let iterate = median(criterion, "fix", "iterate", || {
        for field in FixShredder::new(black_box(&message)).fields() {
            black_box(field);
        }
    });
    let map = median(criterion, "fix", "to_map", || {
        black_box(FixShredder::new(black_box(&message)).to_map());
    });

    report.push((
        "FIX: iterating / visiting every separator with memchr",
        iterate,
        separators,
    ));
    report.push((
        "FIX: to_map / visiting every separator with memchr",
        map,
        separators,
    ));
    report.push((
        "FIX: building / one copy of the finished bytes",
        build,
        whole,
    ));
    report.push((
        "FIX: building / copying the finished bytes field by field",
        build,
        pieces,
    ));
    report.push((
        "FIX: an integer and a decimal / the same two as text",
        numbers,
        text,
    ));
    Ok(())
}

fn nvfix(criterion: &mut Criterion, report: &mut Report) -> Result<(), CodecError> {
    let order = black_box(ORDER);
    let mut builder = NvfixBuilder::with_capacity(512);
    for (_, name, value) in order {
        builder.append(name, value)?;
    }
    let message = builder.as_bytes().to_vec();
    println!("NVFIX: {} fields in {} bytes", order.len(), message.len());

    let whole = copy_whole(criterion, "nvfix", &message);
    let pieces = copy_by_fields(criterion, "nvfix", &message);
    let build = median(criterion, "nvfix", "build", || {
        builder.clear();
        for (_, name, value) in black_box(&order) {
            let _ = builder.append(name, value);
        }
        black_box(builder.as_bytes());
    });
    assert_eq!(builder.as_bytes(), message);

    let separators = visit_separators(criterion, "nvfix", &message);
    let iterate = median(criterion, "nvfix", "iterate", || {
        for field in NvfixShredder::new(black_box(&message)).fields() {
            black_box(field);
        }
    });

    report.push((
        "NVFIX: iterating / visiting every separator with memchr",
        iterate,
        separators,
    ));
    report.push((
        "NVFIX: building / one copy of the finished bytes",
        build,
        whole,
    ));
    report.push((
        "NVFIX: building / copying the finished bytes field by field",
        build,
        pieces,
    ));
    Ok(())
}

/// The floor of building: the finished message in one `memcpy` into a reused buffer.
fn copy_whole(criterion: &mut Criterion, group: &str, message: &[u8]) -> f64 {
    let mut copy = Vec::with_capacity(2 * message.len());
    median(criterion, group, "copy whole", || {
        copy.clear();
        copy.extend_from_slice(black_box(message));
        black_box(copy.as_slice());
    })
}

/// The floor of whoever is handed a message field by field: one `memcpy` for each finished field,
/// whose bounds are known beforehand.
fn copy_by_fields(criterion: &mut Criterion, group: &str, message: &[u8]) -> f64 {
    let fields: Vec<&[u8]> = message.split_inclusive(|&byte| byte == SOH).collect();
    let mut copy = Vec::with_capacity(2 * message.len());
    median(criterion, group, "copy by fields", || {
        copy.clear();
        for field in black_box(&fields) {
            copy.extend_from_slice(field);
        }
        black_box(copy.as_slice());
    })
}

/// The floor of iterating.
fn visit_separators(criterion: &mut Criterion, group: &str, message: &[u8]) -> f64 {
    median(criterion, group, "visit separators", || {
        for at in memchr::memchr_iter(SOH, black_box(message)) {
            black_box(at);
        }
    })
}

/// Measures with criterion, and returns the median of its samples in nanoseconds.
fn median(criterion: &mut Criterion, group: &str, what: &str, mut work: impl FnMut()) -> f64 {
    let mut samples = Vec::new();
    criterion.bench_function(&format!("{group}/{what}"), |bencher| {
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
    // The first samples warm up, with few rounds each, and would only be noise.
    samples.drain(..samples.len() / 4);
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}
