//! What a decision costs in process, from the bytes of a request to those of its answer, against `parse`: the time it takes
//! to read that body into a `serde_json::Value`, in the same run. `make bench` runs it, and more.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails has no result")]

#[path = "../world/mod.rs"]
mod world;

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use quorate::admission::{Admission, Webhook};
use quorate::budget::coverage;
use quorate::facts::{LabelSelector, StatefulSet};
use serde_json::{Value, from_slice, from_value, json};
use tokio::runtime::Runtime;

use world::body::{self, Operation};
use world::{Size, runtime};

/// How long a decision may take, which is never reached here.
const TIME: Duration = Duration::from_secs(5);

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_millis(1500));
    targets = decision, policies, cluster, selectors
}

criterion_main!(benches);

/// Validation and mutation of a StatefulSet of 20 kB under ten policies, beside 5,000 Services.
fn decision(criterion: &mut Criterion) {
    let runtime = runtime();
    let admission = runtime.block_on(world::admission(10, &Size::SERVICES));
    let mut group = criterion.benchmark_group("decision");
    let body = body::review(&Operation::Create);
    group.bench_function("parse", |bencher| bencher.iter(|| from_slice::<Value>(black_box(&body)).unwrap()));
    answer(&mut group, "validate", &runtime, &admission, Webhook::Validate, &body::review(&Operation::CreateMutated));
    answer(&mut group, "mutate", &runtime, &admission, Webhook::Mutate, &body);
    answer(
        &mut group,
        "mutate-nothing",
        &runtime,
        &admission,
        Webhook::Mutate,
        &body::review(&Operation::CreateMutated),
    );
    answer(&mut group, "update", &runtime, &admission, Webhook::Validate, &body::review(&Operation::Update));
    group.finish();
}

/// Validation under ever more policies, ten of which match.
fn policies(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("policies");
    let body = body::review(&Operation::CreateMutated);
    for count in [1, 10, 100, 1000] {
        let admission = runtime.block_on(world::admission(count, &Size::SERVICES));
        answer(&mut group, &count.to_string(), &runtime, &admission, Webhook::Validate, &body);
    }
    group.finish();
}

/// Validation in an empty cluster, and in a large one.
fn cluster(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("cluster");
    let body = body::review(&Operation::CreateMutated);
    for (name, size) in [("empty", Size::EMPTY), ("large", Size::LARGE)] {
        let admission = runtime.block_on(world::admission(10, &size));
        answer(&mut group, name, &runtime, &admission, Webhook::Validate, &body);
    }
    group.finish();
}

/// Which pods a budget's selector covers.
fn selectors(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("coverage");
    let labels = json!({
        "app": "db", "app.kubernetes.io/name": "db", "app.kubernetes.io/instance": "one", "tier": "backend", "team": "shop",
    });
    let spec = json!({"replicas": 3, "template": {"metadata": {"labels": labels}}});
    let statefulset: StatefulSet = from_value(json!({"metadata": {"name": "db"}, "spec": spec})).unwrap();
    let some = |selector: Value| from_value::<LabelSelector>(selector).unwrap();
    let expressions: Vec<_> = (0..20)
        .map(|number| json!({"key": "app", "operator": "In", "values": ["db", format!("other-{number}")]}))
        .collect();
    for (name, selector) in [
        ("labels", some(json!({"matchLabels": {"app": "db"}}))),
        ("expressions", some(json!({"matchExpressions": expressions}))),
        ("disjoint", some(json!({"matchLabels": {"app": "web", "tier": "frontend"}}))),
        ("pods", some(json!({"matchLabels": {"statefulset.kubernetes.io/pod-name": "db-0"}}))),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| coverage(black_box(Some(&selector)), black_box(&statefulset)));
        });
    }
    group.finish();
}

fn answer(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    runtime: &Runtime,
    admission: &Admission,
    webhook: Webhook,
    body: &[u8],
) {
    let body = Bytes::copy_from_slice(body);
    group.bench_function(name, |bencher| {
        bencher.iter(|| runtime.block_on(admission.answer(webhook, body.clone(), TIME)).unwrap());
    });
}
