//! What is asked, by whom it is judged, and what is around it.

use anyhow::Result;
use serde_json::{Value, json};

use crate::controlplane::ControlPlane;

/// Nothing here may be denied because the API server is stopped.
pub(crate) const POLICY: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: soak }
spec:
  validate:
    headlessService: { action: Deny }
    replicas: { action: Deny, minimum: 2 }
    readinessProbe: { action: Warn }
  mutate:
    podAntiAffinity:
      - { topologyKey: kubernetes.io/hostname, mode: Preferred }
  onInternalError: Allow
";

const NAMESPACE: &str = "soak";

/// How many Services there are beside the one that is asked about: caches are not empty, and are listed anew after a cut.
const SERVICES: usize = 200;

/// The namespace of what is asked about, and the Services.
pub(crate) fn surround(cluster: &ControlPlane) -> Result<()> {
    let service = |name: &str| {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"name": "db", "port": 3306}]},
        })
    };
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let others = (0..SERVICES).map(|number| service(&format!("other-{number}")));
    let items: Vec<Value> = [namespace, service("db")].into_iter().chain(others).collect();
    cluster.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())?;
    Ok(())
}

/// The review of a StatefulSet that is created; with fewer than two replicas it is denied.
pub(crate) fn review(uid: &str, replicas: i32) -> String {
    // A StatefulSet of some 10 kB, as charts make them.
    let environment: Vec<Value> =
        (0..100).map(|number| json!({"name": format!("SETTING_{number}"), "value": "x".repeat(60)})).collect();
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "operation": "CREATE",
            "namespace": NAMESPACE,
            "name": "db",
            "kind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
            "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
            "userInfo": {"username": "ada", "groups": ["developers", "system:authenticated"]},
            "object": {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": {"name": "db", "namespace": NAMESPACE, "labels": {"app": "db"}},
                "spec": {
                    "replicas": replicas,
                    "serviceName": "db",
                    "selector": {"matchLabels": {"app": "db"}},
                    "template": {
                        "metadata": {"labels": {"app": "db"}},
                        "spec": {"containers": [{
                            "name": "db",
                            "image": "db.example/server:1",
                            "env": environment,
                            "ports": [{"name": "db", "containerPort": 3306}],
                            "readinessProbe": {"tcpSocket": {"port": "db"}},
                        }]},
                    },
                },
            },
        },
    })
    .to_string()
}
