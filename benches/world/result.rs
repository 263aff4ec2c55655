//! What a bench found out, kept in `target/performance/<bench>.json` for who renders the report.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What one bench measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// What there is a budget for, and what is worth a line beside it.
    pub(crate) figures: Vec<Figure>,
    /// The details.
    pub(crate) tables: Vec<Table>,
    /// What is plotted: latency by load.
    pub(crate) curves: Vec<Curve>,
}

/// One figure: a median, and between which values the middle half of what was measured lies.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// What was measured, against what.
    pub(crate) what: String,
    pub(crate) measured: f64,
    /// The quartiles.
    pub(crate) spread: (f64, f64),
    /// `×`, `MiB`, `ms`.
    pub(crate) unit: String,
    pub(crate) budget: Budget,
}

/// What a figure has to be.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Budget {
    AtMost(f64),
    AtLeast(f64),
    /// Anything: it is there to be known.
    None,
}

impl Budget {
    pub(crate) fn is_kept(self, measured: f64) -> bool {
        match self {
            Self::AtMost(most) => measured <= most,
            Self::AtLeast(least) => measured >= least,
            Self::None => true,
        }
    }
}

/// A table of the report.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// One line of the plot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Curve {
    pub(crate) name: String,
    /// Requests per second, and milliseconds.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Results {
    /// Keeps them under the bench's name.
    pub(crate) fn write(&self, bench: &str) {
        fs::create_dir_all(directory()).unwrap();
        fs::write(file(bench), serde_json::to_string_pretty(self).unwrap()).unwrap();
    }

    /// What a bench found out when it last ran; `None` where it never did.
    pub(crate) fn read(bench: &str) -> Option<Self> {
        Some(serde_json::from_str(&fs::read_to_string(file(bench)).ok()?).unwrap())
    }
}

/// The median and the quartiles of what was measured.
pub(crate) fn median(measured: &mut [f64]) -> (f64, (f64, f64)) {
    measured.sort_by(f64::total_cmp);
    let at = |quarter: usize| measured[(measured.len() - 1) * quarter / 4];
    (at(2), (at(1), at(3)))
}

fn file(bench: &str) -> PathBuf {
    directory().join(format!("{bench}.json"))
}

/// Where results are kept, and what benches need meanwhile.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/performance")
}
