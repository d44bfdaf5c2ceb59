//! The table, the JSON and the picture.

mod picture;

pub(crate) use picture::draw;

use crate::Result;
use crate::measure::{Plan, Row, ShownAs};
use serde_json::json;
use std::path::Path;

/// Prints one line for each row.
pub(crate) fn print_table(rows: &[Row], plan: &Plan) {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    println!(
        "{:width$}  {:>12}  {:>12}  {:>6}  {:>13}  {:>6}",
        "path", "amps", "floor", "ratio", "spread", "target"
    );
    for row in rows {
        let floor = row.floor_ns.map(|floor| shown(floor, row.shown_as));
        println!(
            "{:width$}  {:>12}  {:>12}  {:>6}  {:>6.2}-{:<6.2}  {:>6}{}",
            row.name,
            shown(row.ours_ns, row.shown_as),
            floor.unwrap_or("-".to_string()),
            two_places(row.ratio()),
            row.spread.0,
            row.spread.1,
            two_places(row.target),
            if row.misses() { "  missed" } else { "" },
        );
    }
    println!(
        "\nMedians of {} rounds. ratio = time of amps / time of the floor; half of the rounds have \
         a ratio within spread (without a floor: a time over the median).",
        plan.rounds
    );
}

fn two_places(number: Option<f64>) -> String {
    number.map_or("-".to_string(), |number| format!("{number:.2}"))
}

fn shown(nanoseconds: f64, shown_as: ShownAs) -> String {
    match shown_as {
        ShownAs::Rate => format!("{}/s", thousands(1e9 / nanoseconds)),
        ShownAs::Latency => format!("{} ns", thousands(nanoseconds)),
    }
}

/// Digits in groups of three.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Writes the rows for programs: times in nanoseconds, `spread` as the two ratios between
/// which half of the rounds lie.
pub(crate) fn write_json(rows: &[Row], file: &Path) -> Result<()> {
    let rows = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "ours_ns": row.ours_ns,
                "floor_ns": row.floor_ns,
                "ratio": row.ratio(),
                "target": row.target,
                "spread": [row.spread.0, row.spread.1],
            })
        })
        .collect::<Vec<_>>();
    let text = serde_json::to_string_pretty(&rows)?;
    std::fs::write(file, text + "\n")
        .map_err(|error| format!("the rows cannot be written to {}: {error}", file.display()))?;
    Ok(())
}
