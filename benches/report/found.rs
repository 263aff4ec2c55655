//! What the benches found out, from the files that they left below `target`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::from_str;

use crate::world::result::{Figure, Results, directory};

/// Everything that was found; `None` of what was never measured.
pub(crate) struct Found {
    pub(crate) budgets: Option<Results>,
    pub(crate) https: Option<Results>,
    pub(crate) cluster: Option<Results>,
    pub(crate) memory: Option<Results>,
    pub(crate) allocations: Option<Allocations>,
    pub(crate) decision: Option<Vec<Estimate>>,
}

/// How often a decision asks for memory.
#[derive(Debug, Deserialize)]
pub(crate) struct Allocations {
    /// Bytes of the request.
    pub(crate) body: u64,
    #[serde(flatten)]
    pub(crate) counts: BTreeMap<String, Count>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Count {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
}

/// What criterion says about one benchmark, in nanoseconds.
#[derive(Debug)]
pub(crate) struct Estimate {
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) median: f64,
    /// Where the median lies with 95 % confidence.
    pub(crate) interval: (f64, f64),
}

impl Found {
    pub(crate) fn read() -> Self {
        let allocations = fs::read_to_string(directory().join("allocations.json")).ok();
        Self {
            budgets: Results::read("budgets"),
            https: Results::read("https"),
            cluster: Results::read("cluster"),
            memory: Results::read("memory"),
            allocations: allocations.map(|text| from_str(&text).unwrap()),
            decision: estimates(&directory().with_file_name("criterion")),
        }
    }

    /// The benches that found nothing.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let Self { budgets, https, cluster, memory, allocations, decision } = self;
        let benches = [
            ("budgets", budgets.is_none()),
            ("decision", decision.is_none()),
            ("allocations", allocations.is_none()),
            ("https", https.is_none()),
            ("cluster", cluster.is_none() || memory.is_none()),
        ];
        benches.into_iter().filter(|(_, is_missing)| *is_missing).map(|(bench, _)| bench).collect()
    }

    /// All figures, and what found them.
    pub(crate) fn figures(&self) -> impl Iterator<Item = (&'static str, &Figure)> {
        let Self { budgets, https, cluster, memory, .. } = self;
        let all = [("budgets", budgets), ("https", https), ("cluster", cluster), ("memory", memory)];
        all.into_iter().flat_map(|(bench, results)| {
            results.iter().flat_map(move |results| results.figures.iter().map(move |figure| (bench, figure)))
        })
    }
}

/// Criterion's estimates, as `<group>/<name>/new/estimates.json`; `None` where there is none at all.
fn estimates(directory: &Path) -> Option<Vec<Estimate>> {
    let mut estimates = Vec::new();
    for group in names(directory) {
        for name in names(&directory.join(&group)) {
            let file = directory.join(&group).join(&name).join("new/estimates.json");
            if let Ok(text) = fs::read_to_string(file) {
                let text: Estimates = from_str(&text).unwrap();
                let Median { point_estimate: median, confidence_interval: interval } = text.median;
                let interval = (interval.lower_bound, interval.upper_bound);
                estimates.push(Estimate { group: group.clone(), name, median, interval });
            }
        }
    }
    // Names that are numbers by their size.
    estimates.sort_by_key(|of| (of.group.clone(), of.name.parse().unwrap_or(0_u64), of.name.clone()));
    (!estimates.is_empty()).then_some(estimates)
}

fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[derive(Deserialize)]
struct Estimates {
    median: Median,
}

#[derive(Deserialize)]
struct Median {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}
