//! The ratios of run after run, kept in `target/performance/runs.json`: a figure is worth what its repetition is.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{from_str, to_string_pretty};

use crate::found::Found;
use crate::world::result::{Budget, Figure, directory};

/// How many runs are compared.
const COMPARED: usize = 3;

/// What was measured, and what of it; whether there is a budget for it is in its name.
type Run = BTreeMap<String, f64>;

/// Keeps the ratios of this run, and says by how much the last ones differ. A report that is written again from the same
/// measurements is no other run.
pub(crate) fn keep(found: &Found) -> String {
    let file = directory().join("runs.json");
    let mut runs: Vec<Run> = fs::read_to_string(&file).ok().map(|text| from_str(&text).unwrap()).unwrap_or_default();
    let run: Run = found.figures().filter(|(_, figure)| is_compared(figure)).map(entry).collect();
    if runs.last() != Some(&run) {
        runs.push(run);
        fs::write(file, to_string_pretty(&runs).unwrap()).unwrap();
    }
    let last = &runs[runs.len().saturating_sub(COMPARED)..];
    let largest = runs.last().unwrap().keys().filter_map(|what| Some((deviation(what, last)?, what)));
    match largest.max_by(|(one, _), (other, _)| one.total_cmp(other)) {
        Some((deviation, what)) => {
            format!(
                "of the last {COMPARED} runs, no ratio with a budget differs by more than {:.0} % ({what})",
                deviation * 100.0
            )
        }
        None => format!("{} of {COMPARED} runs that can be compared", last.len()),
    }
}

/// Whether a figure should be the same in every run: a ratio for which there is a budget.
fn is_compared(figure: &Figure) -> bool {
    figure.unit == "×" && !matches!(figure.budget, Budget::None)
}

fn entry((bench, figure): (&str, &Figure)) -> (String, f64) {
    (format!("{bench}: {}", figure.what), figure.measured)
}

/// By how much the largest of what was measured exceeds the smallest; `None` unless every run measured it.
fn deviation(what: &str, runs: &[Run]) -> Option<f64> {
    let measured = runs.iter().map(|run| run.get(what).copied()).collect::<Option<Vec<_>>>()?;
    let largest = measured.iter().copied().fold(f64::MIN, f64::max);
    let smallest = measured.iter().copied().fold(f64::MAX, f64::min);
    (runs.len() == COMPARED).then(|| largest / smallest - 1.0)
}
