//! Whether decisions keep within their budgets, as ratios of times measured in turn within seconds. `make test` runs it; what
//! `make bench` measures takes minutes, and says how sure it is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails has no result")]

#[path = "../world/mod.rs"]
mod world;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quorate::admission::{Admission, Webhook};
use serde_json::{Value, from_slice};
use world::body::{self, Operation};
use world::result::{Budget, Figure, Results, median};
use world::{Size, runtime};

/// What the program has, too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often two things are measured, one after the other.
const ROUNDS: usize = 301;
/// How often each is done then.
const CALLS: u32 = 8;
/// By how much a figure may miss its budget on a machine that does other things too.
const NOISE: f64 = 1.25;

fn main() -> ExitCode {
    let runtime = runtime();
    let admission = |policies, size| runtime.block_on(world::admission(policies, &size));
    let (ten, one, thousand) = (admission(10, Size::SERVICES), admission(1, Size::EMPTY), admission(1000, Size::EMPTY));
    let (empty, large) = (admission(10, Size::EMPTY), admission(10, Size::LARGE));
    let [written, mutated] = [Operation::Create, Operation::CreateMutated].map(|of| Bytes::from(body::review(&of)));
    let answer = |admission: &Admission, webhook, body: &Bytes| {
        drop(black_box(runtime.block_on(admission.answer(webhook, body.clone(), Duration::from_secs(5))).unwrap()));
    };
    let validate = |admission: &Admission| answer(admission, Webhook::Validate, &mutated);
    let parse = |body: &[u8]| drop(black_box(from_slice::<Value>(black_box(body)).unwrap()));
    let figures = [
        against("validate / parse", 1.0, || validate(&ten), || parse(&mutated)),
        against("mutate / parse", 2.5, || answer(&ten, Webhook::Mutate, &written), || parse(&written)),
        // Ten of the thousand match, and one of the one: what is measured is to find them and to judge by them.
        against("1,000 policies / 1", 1.5, || validate(&thousand), || validate(&one)),
        against("large cluster / empty", 1.2, || validate(&large), || validate(&empty)),
    ];
    let kept = figures.iter().all(is_kept);
    Results { figures: figures.into(), ..Results::default() }.write("budgets");
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What one thing takes as a multiple of the other: the median, which has to be within the budget; printed.
fn against(what: &str, budget: f64, one: impl Fn(), other: impl Fn()) -> Figure {
    let mut ratios: Vec<f64> = (0..ROUNDS).map(|_| time(&one) / time(&other)).collect();
    let (measured, (low, high)) = median(&mut ratios);
    let figure = Figure {
        what: what.to_owned(),
        measured,
        spread: (low, high),
        unit: "×".to_owned(),
        budget: Budget::AtMost(budget),
    };
    let verdict = if is_kept(&figure) { "kept" } else { "MISSED" };
    println!("{what:<22} {measured:.2} of at most {budget:.1}: {verdict} (quartiles {low:.2} and {high:.2})");
    figure
}

/// Whether it is within its budget, or close enough.
fn is_kept(figure: &Figure) -> bool {
    figure.budget.is_kept(figure.measured / NOISE)
}

fn time(call: impl Fn()) -> f64 {
    let started = Instant::now();
    (0..CALLS).for_each(|_| call());
    started.elapsed().as_secs_f64()
}
