//! What a tenant stores makes live reads neither slow nor large, and no request bears on too much to be judged (L132, L134).

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, from_value, json};

use crate::admission::{service, statefulset, with};
use crate::controlplane::{Quorate, shared, wait_for};

/// A reason that rests on autoscalers, and one that rests on the Service.
const POLICY: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: three }
spec:
  validate: { replicas: { action: Deny, minimum: 3 }, headlessService: { action: Deny, serviceUpdate: Deny } }
";

/// A number of `/proc/PID/status`, in KiB.
fn memory(quorate: &Quorate<'_>, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", quorate.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// How often an answer was one of our own failures.
fn failures(quorate: &Quorate<'_>) -> usize {
    let metrics = quorate.metrics().unwrap();
    let lines = metrics.lines().filter(|line| line.starts_with("quorate_internal_errors_total"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
}

/// An autoscaler of something else, with 250 kB in its annotations or in its metrics.
fn fat(number: usize) -> HorizontalPodAutoscaler {
    let mut autoscaler = json!({
        "metadata": {"name": format!("fat-{number}")},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": format!("fat-{number}")},
            "minReplicas": 1, "maxReplicas": 2,
        },
    });
    if number.is_multiple_of(2) {
        autoscaler["metadata"]["annotations"] = json!({"ballast": "x".repeat(250_000)});
    } else {
        let metric = |number: usize| {
            json!({"type": "Pods", "pods": {
                "metric": {"name": format!("m{number}"), "selector": {"matchExpressions": [
                    {"key": "k", "operator": "In", "values": vec!["x".repeat(63); 38]},
                ]}},
                "target": {"type": "AverageValue", "averageValue": "1"},
            }})
        };
        autoscaler["spec"]["metrics"] = (0..100).map(metric).collect();
    }
    from_value(autoscaler).unwrap()
}

async fn create(client: &Client, namespace: &str, object: &Value) -> Result<StatefulSet, kube::Error> {
    Api::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &from_value(object.clone()).unwrap())
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_ballast_buys_no_admission_and_no_memory_l132() {
    const AUTOSCALERS: usize = 400;
    let quorate = Quorate::builder(shared()).policy(POLICY).start().unwrap();
    let namespace = quorate.namespace("l132", &[]).unwrap();
    let client = shared().client().await.unwrap();
    let autoscalers: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), &namespace);
    let (started, parameters) = (Instant::now(), PostParams::default());
    stream::iter(0..AUTOSCALERS)
        .map(|number| {
            let (autoscalers, parameters) = (&autoscalers, &parameters);
            async move { autoscalers.create(parameters, &fat(number)).await.unwrap() }
        })
        .buffer_unordered(8)
        .for_each(|_| std::future::ready(()))
        .await;
    println!("{AUTOSCALERS} autoscalers after {:?}", started.elapsed());
    let seconds = std::env::var("QUORATE_L132_SECONDS").map_or(5, |seconds| seconds.parse().unwrap());
    let idle = memory(&quorate, "VmRSS:");
    let (started, mut denied, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while started.elapsed() < Duration::from_secs(seconds) {
        let round = Instant::now();
        let object = statefulset(1);
        let creates = (0..16).map(|_| create(&client, &namespace, &object));
        for answer in futures::future::join_all(creates).await {
            let error = answer.expect_err("an admitted StatefulSet").to_string();
            assert!(error.contains("denied the request") && error.contains("spec.replicas: 1"), "{error}");
            denied += 1;
        }
        slowest = slowest.max(round.elapsed());
    }
    let (resident, peak) = (memory(&quorate, "VmRSS:"), memory(&quorate, "VmHWM:"));
    println!("{denied} denied; slowest 16 {slowest:?}; {idle} KiB idle, {resident} KiB then, {peak} KiB at most");
    assert_eq!(failures(&quorate), 0);
    assert!(peak * 10 <= idle * 13, "{idle} KiB idle, {peak} KiB at most");
}

/// What was made a moment ago is seen, as long as the names of what is stored fit into what is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_autoscaler_made_or_changed_a_moment_ago_counts_l35_l132() {
    let quorate = Quorate::builder(shared()).policy(POLICY).start().unwrap();
    let namespace = quorate.namespace("l132-fresh", &[]).unwrap();
    let client = shared().client().await.unwrap();
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    services.create(&PostParams::default(), &from_value(service()).unwrap()).await.unwrap();
    let autoscalers: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), &namespace);
    for number in 0..50 {
        let name = format!("db-{number}");
        let autoscaler = |minimum: i32| {
            json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name},
                    "minReplicas": minimum, "maxReplicas": 9,
                },
            })
        };
        autoscalers.create(&PostParams::default(), &from_value(autoscaler(1)).unwrap()).await.unwrap();
        let object = with(statefulset(1), "/metadata/name", json!(name));
        create(&client, &namespace, &object).await.unwrap_err();
        let raised = Patch::Apply(autoscaler(3));
        autoscalers.patch(&name, &PatchParams::apply("test").force(), &raised).await.unwrap();
        create(&client, &namespace, &object).await.unwrap();
    }
    assert_eq!(failures(&quorate), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_2000_statefulsets_can_not_be_changed_for_the_worse_l134() {
    const STATEFULSETS: usize = 2000;
    let quorate = Quorate::builder(shared()).policy(POLICY).start().unwrap();
    let namespace = quorate.namespace("l134", &[]).unwrap();
    let client = shared().client().await.unwrap();
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    services.create(&PostParams::default(), &from_value(service()).unwrap()).await.unwrap();
    stream::iter(0..STATEFULSETS)
        .map(|number| {
            let (client, namespace) = (&client, &namespace);
            // Idle, as they cost nothing then.
            let object = with(statefulset(0), "/metadata/name", json!(format!("db-{number:04}")));
            async move { create(client, namespace, &object).await.unwrap() }
        })
        .buffer_unordered(8)
        .for_each(|_| std::future::ready(()))
        .await;
    wait_for("the caches to know them", || {
        let started = Instant::now();
        let words = ["patch", "service", "db", "--type=merge", "-p", r#"{"spec":{"selector":{"app":"other"}}}"#];
        let changed = shared().kubectl(&words).as_user("developer").namespace(&namespace).run()?;
        println!("after {:?}", started.elapsed());
        assert!(!changed.success() && changed.stderr.contains("denied the request"), "{changed}");
        assert!(changed.stderr.len() < 10_000, "{changed}");
        let more: usize = changed
            .stderr
            .rsplit_once(" more StatefulSets were not judged")
            .and_then(|(text, _)| text.rsplit(|character: char| !character.is_ascii_digit()).next()?.parse().ok())
            .unwrap_or_default();
        anyhow::ensure!(more + 8 == STATEFULSETS, "{changed}");
        Ok(())
    })
    .unwrap();
    // Nor by many who try at once.
    let elsewhere = Patch::Merge(json!({"spec": {"selector": {"app": "other"}}}));
    let tries = stream::iter(0..64).map(|_| async { services.patch("db", &PatchParams::default(), &elsewhere).await });
    let passed: Vec<_> = tries.buffer_unordered(16).filter_map(|tried| std::future::ready(tried.ok())).collect().await;
    assert!(passed.is_empty(), "{} of 64 passed", passed.len());
    assert_eq!(failures(&quorate), 0);
}
