//! Writes `docs/performance.md` and its plot from what the benches found out when they last ran. `make bench` runs it last.
//!
//! With `--partial` it does with what there is, and the page says what is missing; without, it fails.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails has no result")]

mod found;
mod machine;
mod page;
mod plot;
mod runs;
mod scale;
#[path = "../world/mod.rs"]
mod world;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use found::Found;

fn main() -> ExitCode {
    let found = Found::read();
    let missing = found.missing();
    for bench in &missing {
        println!("report: nothing was measured by {bench}: cargo bench --bench {bench}");
    }
    if !missing.is_empty() && !std::env::args().any(|argument| argument == "--partial") {
        println!("report: nothing written; --partial does without");
        return ExitCode::FAILURE;
    }
    for (bench, figure) in found.figures() {
        let (low, high) = figure.spread;
        let verdict = page::verdict(figure);
        println!(
            "{bench:<8} {:<84} {:>9.2} {} ({low:.2} to {high:.2}) {verdict}",
            figure.what, figure.measured, figure.unit
        );
    }
    let runs = runs::keep(&found);
    println!("report: {runs}");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    fs::write(docs.join("performance.md"), page::render(&found, &runs)).unwrap();
    if let Some(https) = &found.https {
        fs::write(docs.join("performance.svg"), plot::draw(&https.curves)).unwrap();
    }
    println!("report: wrote docs/performance.md and docs/performance.svg");
    ExitCode::SUCCESS
}
