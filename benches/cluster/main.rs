//! What Quorate costs where it is used: asked by a real API server, beside the same rules in CEL and beside a webhook with a
//! constant answer; and what memory it takes, and how soon it is ready, in an empty cluster and in a large one of real objects.
//!
//! Starts a control plane of its own, etcd and an API server: controllers would make pods of 5,000 StatefulSets. Takes some ten
//! minutes; ends what it started, however it ends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails has no result")]

mod cel;
mod client;
mod compare;
mod contestants;
#[path = "../../tests/controlplane/mod.rs"]
mod controlplane;
mod fill;
mod latency;
mod memory;
mod process;
mod times;
#[path = "../world/mod.rs"]
mod world;

use client::Client;
use compare::Field;
use controlplane::ControlPlane;
use memory::{Growing, Step};
use world::result::Results;

/// What there is while latency is measured.
const SMALL: [Step; 2] = [("namespaces", 0, fill::NAMESPACES), ("services", 0, 5_000)];

/// What there is in the end.
const LARGE: [Step; 4] =
    [("services", 5_000, 20_000), ("poddisruptionbudgets", 0, 5_000), ("nodes", 0, 5_000), ("statefulsets", 0, 5_000)];

fn main() {
    world::reference::serve_if_asked();
    // One thread: what it does at once is little, and takes nothing from those who are measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    // `cargo bench --bench cluster -- memory` measures that alone.
    let only = std::env::args().find(|argument| ["latency", "memory"].contains(&argument.as_str()));
    let is_wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    eprintln!("cluster: starting a control plane");
    let cluster = ControlPlane::start_bare().unwrap();
    let client = Client::of(&cluster);
    eprintln!("cluster: memory, the cluster empty");
    let mut growing = Growing::new(&cluster).await;
    growing.fill(&client, &SMALL).await;
    let measured = if is_wanted("latency") {
        eprintln!("cluster: registering everybody");
        let measured = Field::new(&cluster, &client).await.measure(&client).await;
        // Kept at once, whatever becomes of the rest.
        measured.0.write("cluster");
        Some(measured)
    } else {
        None
    };
    eprintln!("cluster: filling the cluster");
    growing.fill(&client, &LARGE).await;
    if let Some((mut latency, staying)) = measured {
        latency.tables.push(staying.measure(&cluster, &client).await);
        print("cluster", &latency);
    }
    if is_wanted("memory") {
        eprintln!("cluster: memory, the cluster large");
        print("memory", &growing.end().await);
    }
}

/// Keeps what was found, and shows it.
fn print(name: &str, results: &Results) {
    results.write(name);
    for figure in &results.figures {
        let verdict = if figure.budget.is_kept(figure.measured) { "" } else { ": MISSED" };
        let ((low, high), unit, budget) = (figure.spread, &figure.unit, figure.budget);
        println!("{}: {:.2} {unit} ({low:.2} to {high:.2}), {budget:?}{verdict}", figure.what, figure.measured);
    }
    for table in &results.tables {
        println!("\n{}\n| {} |", table.title, table.head.join(" | "));
        table.rows.iter().for_each(|row| println!("| {} |", row.join(" | ")));
    }
}
