//! What benches have in common: requests, and the policies and the cluster that they are judged by.

#![allow(dead_code, reason = "no bench needs all of it")]

mod api_server;
pub(crate) mod body;
pub(crate) mod reference;
pub(crate) mod result;

use std::sync::Arc;

use arc_swap::ArcSwap;
use quorate::admission::Admission;
use quorate::cluster::{Cluster, Kind, Source, Target};
use quorate::policy::{Policy, PolicySet, parse};
use quorate::telemetry::Health;
use tokio::runtime::Runtime;

#[allow(unused_imports, reason = "no bench needs all of it")]
pub(crate) use api_server::{Size, object};

/// A runtime with a thread of its own for the caches, so that a bench measures nothing of them.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Who answers by so many policies, of which at most ten match, over the caches of a cluster of this size.
pub(crate) async fn admission(policies: usize, size: &Size) -> Admission {
    let policies = Arc::new(ArcSwap::from_pointee(PolicySet::new((0..policies).map(policy).collect())));
    Admission::new(policies, Source::Cluster(cluster(size).await), Arc::default())
}

/// The caches of a cluster of this size, once they are filled.
async fn cluster(size: &Size) -> Cluster {
    let kubeconfig = api_server::serve(size).await;
    let target = Target { kubeconfig: Some(kubeconfig.to_path_buf()), context: None };
    let health = Arc::new(Health::default());
    let cluster = Cluster::new(&target, &health, usize::MAX).await.unwrap();
    for kind in Kind::ALL {
        tokio::spawn(cluster.clone().follow(kind, Arc::clone(&health)));
    }
    while !health.is_ready() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    cluster
}

fn policy(number: usize) -> Policy {
    parse("bench.yaml", policy_text(number).as_bytes()).unwrap().remove(0)
}

/// A policy that has everything, as its file says it. The first ten match by different words; the others do not match, by
/// different words too.
pub(crate) fn policy_text(number: usize) -> String {
    let matching = match (number < 10, number % 3) {
        (true, 0) => "{}",
        (true, 1) => "{ namespaceSelector: { matchLabels: { environment: production } } }",
        (true, _) => "{ excludeNamespaces: [\"sandbox-*\"], objectSelector: { matchLabels: { app: db } } }",
        (false, 0) => "{ namespaceSelector: { matchLabels: { environment: staging } } }",
        (false, 1) => "{ objectSelector: { matchLabels: { app.kubernetes.io/name: other } } }",
        (false, _) => "{ excludeNamespaces: [\"*-prod\", \"shop-*\"] }",
    };
    format!(
        r"
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: {{ name: p-{number} }}
spec:
  match: {matching}
  validate:
    headlessService: {{ action: Deny, serviceUpdate: Deny, serviceDelete: Warn }}
    replicas: {{ action: Deny, minimum: 3, even: Warn, allowZero: true }}
    persistentStorage: {{ action: Deny }}
    readinessProbe: {{ action: Deny }}
    updateStrategy: {{ action: Deny }}
    terminationGracePeriod: {{ action: Deny, minimumSeconds: 10 }}
    podDisruptionBudget: {{ action: Deny }}
    spread: {{ action: Warn }}
  mutate:
    podAntiAffinity:
      - {{ topologyKey: kubernetes.io/hostname, mode: Preferred, weight: 100 }}
  podDisruptionBudget: {{ maxUnavailable: Quorum }}
  exemptions: {{ requireReason: true, maxDays: 90, groups: [platform-admins] }}
"
    )
}
