//! The distribution of latencies as a picture.
//!
//! The axis of the percentiles has as much room for the last tenth as for all before it, and again
//! for the last hundredth: it is the rare long times that an application suffers from.

use crate::Result;
use crate::measure::Latency;
use hdrhistogram::Histogram;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

/// The picture of one path, in pixels.
const PANEL: (u32, u32) = (560, 400);

/// The room for the heading.
const HEADING: u32 = 50;

const OURS: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const FLOOR: RGBColor = RGBColor(0x77, 0x77, 0x77);

/// Curves are drawn with so many points per tenfold.
const POINTS: u32 = 100;

/// Draws a panel for each path, all with the same axes, so that they can be compared.
pub(crate) fn draw(latencies: &[Latency], file: &Path) -> Result<()> {
    let Some(axes) = Axes::of(latencies) else {
        return Err("no row that was measured has a latency to draw".into());
    };
    let columns = latencies.len().min(2);
    let lines = latencies.len().div_ceil(columns);
    let size = (PANEL.0 * columns as u32, PANEL.1 * lines as u32 + HEADING);
    // Written by hand: the library panics if the file cannot be created.
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        plot(&root, latencies, &axes, (lines, columns)).map_err(|error| error.to_string())?;
    }
    std::fs::write(file, svg).map_err(|error| {
        format!(
            "the picture cannot be written to {}: {error}",
            file.display()
        )
    })?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What drawing may fail with.
type Drawn = Result<(), Box<dyn Error>>;

fn plot(root: &Area<'_>, latencies: &[Latency], axes: &Axes, grid: (usize, usize)) -> Drawn {
    root.fill(&WHITE)?;
    let (heading, rest) = root.split_vertically(HEADING);
    let middle = heading.dim_in_pixel().0 as i32 / 2;
    let style = ("sans-serif", 22).into_font().color(&BLACK);
    let style = style.pos(plotters::style::text_anchor::Pos::new(
        plotters::style::text_anchor::HPos::Center,
        plotters::style::text_anchor::VPos::Center,
    ));
    heading.draw_text(
        "Round trip of 100 bytes, one message in flight",
        &style,
        (middle, HEADING as i32 / 2),
    )?;
    for (area, latency) in rest.split_evenly(grid).iter().zip(latencies) {
        panel(area, latency, axes)?;
    }
    root.present()?;
    Ok(())
}

fn panel(area: &Area<'_>, latency: &Latency, axes: &Axes) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .caption(&latency.name, ("sans-serif", 17))
        .margin(12)
        .margin_right(32)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(
            0.0..f64::from(axes.nines),
            (axes.shortest..axes.longest).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_labels(axes.nines as usize + 2)
        .x_label_formatter(&|nines| percentile(*nines))
        .y_labels(20)
        .y_label_formatter(&|microseconds| label(*microseconds))
        .x_max_light_lines(1)
        .y_max_light_lines(1)
        .x_desc("percentile")
        .y_desc("round trip in µs")
        .light_line_style(BLACK.mix(0.06))
        .bold_line_style(BLACK.mix(0.15))
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 14))
        .draw()?;
    let curves = [
        ("amps", OURS, Some(&latency.ours)),
        ("plain socket", FLOOR, latency.floor.as_ref()),
    ];
    for (name, color, times) in curves {
        let Some(times) = times else { continue };
        chart
            .draw_series(LineSeries::new(axes.curve(times), color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .margin(14)
        .legend_area_size(32)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 14))
        .draw()?;
    Ok(())
}

/// What all panels show.
struct Axes {
    /// The last percentile: 2 for 99, 3 for 99.9, ...
    nines: u32,
    /// Microseconds, of which the axis has the logarithm.
    shortest: f64,
    longest: f64,
}

impl Axes {
    /// None if there is nothing to draw.
    fn of(latencies: &[Latency]) -> Option<Axes> {
        let all = || {
            let both = latencies.iter().map(|one| (&one.ours, one.floor.as_ref()));
            both.flat_map(|(ours, floor)| std::iter::once(ours).chain(floor))
        };
        // Ten times at least must be beyond the last percentile, or it tells of chance alone.
        let fewest = all().map(|times| times.len()).min()?;
        let nines = (fewest / 10).max(100).ilog10().min(5);
        let last = quantile(f64::from(nines));
        let shortest = all().map(|times| times.min()).min()? as f64 / 1e3;
        let longest = all().map(|times| times.value_at_quantile(last)).max()? as f64 / 1e3;
        Some(Axes {
            nines,
            shortest: round_below(shortest.max(1e-3)),
            // Leaves room for the legend.
            longest: longest * 2.0,
        })
    }

    /// From the shortest time to the last percentile.
    fn curve(&self, times: &Histogram<u64>) -> Vec<(f64, f64)> {
        let points = 0..=self.nines * POINTS;
        let at = points.map(|point| f64::from(point) / f64::from(POINTS));
        at.map(|nines| (nines, times.value_at_quantile(quantile(nines)) as f64 / 1e3))
            .collect()
    }
}

/// The next number below that begins with 1, 2 or 5.
fn round_below(number: f64) -> f64 {
    let ten = 10f64.powf(number.log10().floor());
    let steps = [5.0, 2.0, 1.0].map(|step| step * ten);
    let below = steps.into_iter().find(|step| *step <= number * 1.000_001);
    below.unwrap_or(ten)
}

/// Only numbers that begin with 1, 2 or 5 have a label: there is no room for more.
fn label(microseconds: f64) -> String {
    match (microseconds / round_below(microseconds) - 1.0).abs() < 1e-3 {
        true => format!("{microseconds}"),
        false => String::new(),
    }
}

/// The part of all times that is below the percentile with so many nines.
fn quantile(nines: f64) -> f64 {
    1.0 - 10f64.powf(-nines)
}

/// As a label: 0, 90, 99, 99.9, ...
fn percentile(nines: f64) -> String {
    let decimals = (nines.round() as usize).saturating_sub(2);
    format!("{:.decimals$} %", 100.0 * quantile(nines))
}
