//! What is printed.

use crate::attack::Scenario;
use crate::probe::Times;
use crate::process::Taken;

/// One run of a scenario.
pub(crate) struct Row {
    pub(crate) before: Times,
    pub(crate) during: Times,
    pub(crate) peak: Taken,
    pub(crate) attack: String,
}

/// How many times its unloaded value the p99 of normal requests may be.
const RATIO: f64 = 5.0;

/// How much memory the process may take, in MiB.
const MEMORY: u64 = 200;

impl Row {
    fn ratio(&self) -> f64 {
        quantile(&self.during.kept, 99) / quantile(&self.before.kept, 99)
    }
}

pub(crate) fn head() {
    println!(
        "{:<18} {:>17} {:>17} {:>6} {:>17} {:>7} {:>8} {:>6}  attack",
        "milliseconds", "alone p50/p99", "attacked p50/p99", "ratio", "new p50/p99", "failed", "MiB", "files"
    );
}

pub(crate) fn row(scenario: Scenario, row: &Row) {
    let Row { before, during, peak, attack } = row;
    println!(
        "{:<18} {:>17} {:>17} {:>6.2} {:>17} {:>7} {:>8} {:>6}  {attack}",
        scenario.to_string(),
        both(&before.kept),
        both(&during.kept),
        row.ratio(),
        both(&during.new),
        format!("{}/{}", during.failed, during.failed + during.kept.len() + during.new.len()),
        peak.resident >> 10,
        peak.files,
    );
}

pub(crate) fn verdict(scenario: Scenario, rows: &[Row]) {
    let ratios = rows.iter().map(Row::ratio);
    let worst = ratios.clone().fold(0.0, f64::max);
    let best = ratios.fold(f64::INFINITY, f64::min);
    let memory = rows.iter().map(|row| row.peak.resident >> 10).max().unwrap_or_default();
    let failed: usize = rows.iter().map(|row| row.during.failed + row.before.failed).sum();
    let good = best < RATIO && memory < MEMORY && failed == 0;
    println!(
        "{:<18} {}: p99 {best:.2} to {worst:.2} times the unloaded one (< {RATIO}), {memory} MiB (< {MEMORY}), {failed} failed",
        scenario.to_string(),
        if good { "good" } else { "BAD" },
    );
}

fn both(times: &[u64]) -> String {
    format!("{:.2}/{:.2}", quantile(times, 50) / 1e3, quantile(times, 99) / 1e3)
}

#[allow(clippy::cast_precision_loss, reason = "times are short")]
fn quantile(times: &[u64], percent: usize) -> f64 {
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).map_or(f64::NAN, |time| *time as f64)
}
