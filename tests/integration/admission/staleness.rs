//! Caches lag; nobody is denied for it.

use futures::StreamExt as _;
use futures::stream;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{from_value, json};

use super::{is_injected, service, statefulset, stored_nowhere};
use crate::controlplane::webhooks::INSTANCE;
use crate::controlplane::{Quorate, shared};
use crate::reliability::record::{Row, number, record};

/// Both what it matches and what it denies rest on something that was made a moment ago.
const POLICY: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: fresh }
spec:
  match: { namespaceSelector: { matchLabels: { team: storage } } }
  validate: { headlessService: { action: Deny }, replicas: { action: Deny, minimum: 3, allowZero: true } }
  mutate: { podAntiAffinity: [{ topologyKey: kubernetes.io/hostname, mode: Required }] }
";

const TIMES: usize = 1000;

/// One in so many has an autoscaler too.
const AUTOSCALED: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_made_a_moment_ago_is_seen_a_thousand_times_l35() {
    let quorate = Quorate::builder(shared()).policy(POLICY).start().unwrap();
    let client = shared().client().await.unwrap();
    let instance = quorate.instance();
    let results: Vec<Result<bool, kube::Error>> = stream::iter(0..TIMES)
        .map(|number| back_to_back(client.clone(), instance, number))
        .buffer_unordered(16)
        .collect()
        .await;
    let failed: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(failed.is_empty(), "{} of {TIMES} failed: {}", failed.len(), failed[0]);
    let unmutated = results.iter().filter(|result| matches!(result, Ok(false))).count();
    assert_eq!(unmutated, 0, "of {TIMES}");
    // Nor was anything admitted merely because Quorate could not tell.
    let metrics = quorate.metrics().unwrap();
    let count = |start: &str| -> usize {
        let line =
            metrics.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start}: {metrics}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    for kind in ["live_read", "deadline"] {
        assert_eq!(count(&format!(r#"quorate_internal_errors_total{{kind="{kind}"}}"#)), 0);
    }
    record(
        "admission::staleness::what_was_made_a_moment_ago_is_seen_a_thousand_times_l35",
        &Row {
            tried: "a Namespace, a Service, an autoscaler and the StatefulSet that needs them, back to back",
            amount: format!("{} times", number(TIMES)),
            result: "0 denied, 0 unmutated".to_owned(),
        },
    );
}

/// A Namespace, a headless Service, sometimes an autoscaler, and a StatefulSet; whether the StatefulSet was injected into.
async fn back_to_back(client: Client, instance: &str, number: usize) -> Result<bool, kube::Error> {
    let name = format!("l35-{number}");
    let create = PostParams::default();
    let namespace: Namespace = from_value(json!({
        "metadata": {"name": name, "labels": {INSTANCE: instance, "team": "storage"}},
    }))
    .unwrap();
    Api::all(client.clone()).create(&create, &namespace).await?;
    let service: Service = from_value(service()).unwrap();
    Api::namespaced(client.clone(), &name).create(&create, &service).await?;
    let (autoscalers, sets) = (Api::namespaced(client.clone(), &name), Api::namespaced(client, &name));
    if !number.is_multiple_of(AUTOSCALED) {
        // Zero pods: what is judged here is the Service, and thousands of pods would only keep the machine busy.
        let made: StatefulSet = sets.create(&create, &from_value(statefulset(0)).unwrap()).await?;
        return Ok(is_injected(&serde_json::to_value(made).unwrap()));
    }
    let autoscaler: HorizontalPodAutoscaler = from_value(json!({
        "metadata": {"name": "db"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"},
            "minReplicas": 3,
            "maxReplicas": 5,
        },
    }))
    .unwrap();
    autoscalers.create(&create, &autoscaler).await?;
    // Too few, but for the autoscaler.
    let made: StatefulSet = sets.create(&create, &from_value(stored_nowhere(1)).unwrap()).await?;
    autoscalers.delete("db", &DeleteParams::default()).await?;
    sets.delete("db", &DeleteParams::default()).await?;
    Ok(is_injected(&serde_json::to_value(made).unwrap()))
}
