//! Rows of the table in `docs/reliability.md`, written by the tests that found them out.
//!
//! A test that tries a fault, a load or an abuse ends with [`record`]. `make reliability` runs all that do, and puts what they
//! wrote into the table.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

/// What a test tried, and what came of it.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was done to Quorate, or to what it depends on.
    pub(crate) tried: &'static str,
    /// How often, or how much of it: `100 times`, `10,000 connections`.
    pub(crate) amount: String,
    /// What came of it, in figures.
    pub(crate) result: String,
}

/// Writes the row of a test that has passed. `test` is its name as `cargo test` knows it (`server::limits::floods_…`),
/// written out: a test compares these names with the table.
///
/// # Panics
/// If it can't be written.
pub(crate) fn record(test: &str, row: &Row) {
    let directory = directory();
    fs::create_dir_all(&directory).unwrap();
    let row = json!({"test": test, "tried": row.tried, "amount": row.amount, "result": row.result});
    fs::write(directory.join(format!("{}.json", test.replace("::", "."))), format!("{row:#}\n")).unwrap();
}

/// Where rows are: where `QUORATE_RELIABILITY` says, else in `reliability` beside what Cargo built.
pub(super) fn directory() -> PathBuf {
    let beside = || std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("reliability");
    std::env::var_os("QUORATE_RELIABILITY").map_or_else(beside, PathBuf::from)
}

/// A number as people read it: `1,234,567`.
pub(crate) fn number(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}
