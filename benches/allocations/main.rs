//! How often a decision asks the allocator for memory, written to `target/performance/allocations.json` for who renders the
//! report. A program of its own, as counting costs time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails has no result")]

#[path = "../world/mod.rs"]
mod world;

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use quorate::admission::{Admission, Webhook};
use serde_json::{Value, from_slice, json};
use world::body::{self, Operation};
use world::{Size, runtime};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() {
    let runtime = runtime();
    let [some, many] = [Size::SERVICES, Size::LARGE].map(|size| runtime.block_on(world::admission(10, &size)));
    let body = body::review(&Operation::Create);
    let mutated = body::review(&Operation::CreateMutated);
    let updated = body::review(&Operation::Update);
    let answer = |admission: &Admission, webhook, body: &[u8]| {
        let body = Bytes::copy_from_slice(body);
        drop(runtime.block_on(admission.answer(webhook, body, Duration::from_secs(5))).unwrap());
    };
    let counts = json!({
        "parse": counted(|| drop(from_slice::<Value>(&body).unwrap())),
        "validate": counted(|| answer(&some, Webhook::Validate, &mutated)),
        "validate-large": counted(|| answer(&many, Webhook::Validate, &mutated)),
        "mutate": counted(|| answer(&some, Webhook::Mutate, &body)),
        "update": counted(|| answer(&some, Webhook::Validate, &updated)),
        "body": body.len(),
    });
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/performance");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("allocations.json"), counts.to_string()).unwrap();
    println!("allocations: {counts}");
}

/// What one call asks for, the first ones aside, which fill what is kept.
fn counted(call: impl Fn()) -> Value {
    const CALLS: u64 = 20;
    call();
    let _profiler = dhat::Profiler::builder().testing().build();
    (0..CALLS).for_each(|_| call());
    let stats = dhat::HeapStats::get();
    json!({"count": stats.total_blocks / CALLS, "bytes": stats.total_bytes / CALLS})
}
