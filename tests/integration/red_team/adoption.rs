//! What looks like something that is being deleted, or like something that comes back.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::controlplane::{Quorate, shared, wait_for};
use crate::ways::{Place, autoscaler, database, denied, policy};

fn spreading() -> String {
    let mutate = json!({"podAntiAffinity": [{"topologyKey": "kubernetes.io/hostname", "mode": "Preferred"}]});
    policy("spreading", &json!({"validate": {"replicas": {"action": "Deny", "minimum": 3}}, "mutate": mutate}))
}

fn is_injected(set: &Value) -> bool {
    set["metadata"]["annotations"]["quorate.dev/injected"].is_string()
        && set["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"].is_object()
}

/// The API server drops it after mutation. By server-side apply it counts: what a finalizer holds is stored as being deleted, and
/// what nothing holds is gone at once.
#[test]
fn what_is_created_is_not_being_deleted_l143() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&spreading()).start().unwrap();
    let place = Place::governed(cluster, &quorate, "created-ending");
    let ending = |replicas, finalizers: &Value| {
        let mut set = database(replicas)["items"][1].clone();
        set["metadata"]["finalizers"] = finalizers.clone();
        set["metadata"]["deletionTimestamp"] = json!("2026-11-30T00:00:00Z");
        set.to_string()
    };
    let ways: [&[&str]; 3] = [
        &["apply", "--server-side", "--validate=false", "-f", "-"],
        &["create", "--validate=false", "-f", "-"],
        &["apply", "--validate=false", "-f", "-"],
    ];
    for (words, finalizers) in ways.iter().flat_map(|words| [(words, json!([])), (words, json!(["example.com/held"]))])
    {
        let run = |replicas| place.as_user("developer", words).stdin(&ending(replicas, &finalizers)).run().unwrap();
        denied(&run(1), "spec.replicas: 1 is below the minimum 3");
        let created = run(3);
        assert!(created.success(), "{created}");
        if let Ok(set) = place.object("statefulset", "db") {
            assert!(is_injected(&set), "{words:?}: {set}");
            place.patch("statefulset/db", &json!({"metadata": {"finalizers": null}}));
        }
        place.as_admin(&["delete", "statefulset/db", "--ignore-not-found"]).ok().unwrap();
    }
}

/// A backup tool's ServiceAccount creates everything again, in the order of its kinds: claims first, the StatefulSet last.
#[test]
fn a_restore_by_a_service_account_passes() {
    let cluster = shared();
    let shipped = Quorate::builder(cluster).policies("policies/baseline.yaml").policies("policies/production.yaml");
    let quorate = shipped.start().unwrap();
    for replicas in [3, 0] {
        let place = Place::labelled(cluster, &quorate, "restored", &[("environment", "production")]);
        let claim = json!({
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "none-such",
            "resources": {"requests": {"storage": "1Gi"}},
        });
        let claims = (0..3).map(|ordinal| {
            let name = format!("data-db-{ordinal}");
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": claim})
        });
        let budget = json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "db"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "db"}}},
        });
        let (service, mut set) = (database(replicas)["items"][0].clone(), database(replicas)["items"][1].clone());
        set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": claim}]);
        set["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = json!({"tcpSocket": {"port": 5432}});
        for object in claims.chain([service, autoscaler(3, 5), budget, set]) {
            let create = place.as_user("gitops", &["create", "-f", "-"]).stdin(&object.to_string());
            let created = create.run().unwrap();
            assert!(created.success() && !created.stderr.contains("below the minimum"), "{created}");
        }
        let woken = place.scale(3);
        assert!(woken.success() && !woken.stderr.contains("below the minimum"), "{woken}");
    }
}

/// A StatefulSet with volumes, of which nothing is provisioned.
fn with_volumes(replicas: i32) -> Value {
    let mut database = database(replicas);
    database["items"][1]["spec"]["volumeClaimTemplates"] = json!([{
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }]);
    database
}

/// The revision that a DaemonSet of the same name left behind is none of a StatefulSet's.
#[test]
fn a_revision_of_a_daemon_set_makes_no_adoption_l143() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&spreading()).start().unwrap();
    let place = Place::governed(cluster, &quorate, "of-a-daemon-set");
    let template = database(3)["items"][1]["spec"]["template"].clone();
    let daemons = json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "db"},
        "spec": {"selector": {"matchLabels": {"app": "db"}}, "template": template},
    });
    let claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-db-0"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    place.apply(&claim);
    place.apply(&daemons);
    wait_for("the revision", || {
        let revisions = place.as_admin(&["get", "controllerrevisions", "-o", "name"]).ok()?;
        ensure!(!revisions.is_empty(), "none yet");
        Ok(())
    })
    .unwrap();
    place.kubectl(&["delete", "daemonset/db", "--cascade=orphan"]);
    wait_for("the revision to be orphaned", || {
        let owners = place
            .as_admin(&["get", "controllerrevisions", "-o", "jsonpath={.items[*].metadata.ownerReferences}"])
            .ok()?;
        ensure!(owners.is_empty(), "{owners}");
        Ok(())
    })
    .unwrap();
    let created = place.apply(&with_volumes(3));
    assert!(created.success() && !created.stderr.contains("pending injection"), "{created}");
    assert!(is_injected(&place.object("statefulset", "db").unwrap()));
}

/// Pods without volumes run on, too, when their StatefulSet is created again.
#[test]
fn pods_without_claims_are_adopted_and_not_restarted_l143() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&spreading()).start().unwrap();
    let place = Place::ungoverned(cluster, "orphans");
    place.apply(&database(3));
    let settled = || {
        wait_for("the pods", || {
            let status = &place.object("statefulset", "db")?["status"];
            ensure!(status["readyReplicas"] == 3 && status["updateRevision"] == status["currentRevision"], "{status}");
            Ok(())
        })
        .unwrap();
        place.as_admin(&["get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"]).ok().unwrap()
    };
    let before = settled();
    place.govern(&quorate);
    place.kubectl(&["delete", "statefulset/db", "--cascade=orphan"]);
    let created = place.apply(&database(3));
    assert!(created.success() && created.stderr.contains("pending injection"), "{created}");
    assert!(!is_injected(&place.object("statefulset", "db").unwrap()));
    assert_eq!(settled(), before, "pods were restarted");
}
