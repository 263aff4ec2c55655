//! Deletion goes through: of what Quorate governs (L98), and with Quorate gone (L92).

use anyhow::ensure;
use serde_json::{Value, json};

use super::{Place, autoscaler, database, denied, policy, silent, warned};
use crate::controlplane::{Quorate, shared, wait_for};
use crate::reliability::record::{Row, record};

/// Denies whatever can be denied about these objects.
fn strict() -> String {
    let validate = json!({
        "headlessService": {"action": "Deny", "serviceDelete": "Deny"},
        "replicas": {"action": "Deny", "minimum": 3, "allowZero": false},
    });
    policy("strict", &json!({"validate": validate, "onInternalError": "Deny"}))
}

#[test]
fn a_namespace_can_be_deleted_with_all_that_it_holds_l98() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&strict()).start().unwrap();
    let place = Place::governed(cluster, &quorate, "deleted");
    silent(&place.apply(&database(3)));
    silent(&place.apply(&autoscaler(3, 5)));
    denied(&place.kubectl(&["delete", "service/db"]), "names no Service");
    // kubectl waits until it is gone.
    silent(&cluster.kubectl(&["delete", "namespace", &place.namespace, "--timeout=180s"]).run().unwrap());
}

#[test]
fn all_services_can_be_deleted_at_once_l98() {
    let cluster = shared();
    let lenient = policy("lenient", &json!({"validate": {"headlessService": {"action": "Deny"}}}));
    let quorate = Quorate::builder(cluster).policy(&lenient).start().unwrap();
    let place = Place::governed(cluster, &quorate, "all-services");
    silent(&place.apply(&database(3)));
    warned(&place.kubectl(&["delete", "services", "--all"]), "StatefulSet db: spec.serviceName");
    // As one request, whose objects are reviewed one by one without names of their own.
    silent(&place.apply(&database(3)));
    let collection = format!("/api/v1/namespaces/{}/services", place.namespace);
    warned(&place.kubectl(&["delete", "--raw", &collection]), "StatefulSet db: spec.serviceName");
    let left = place.as_admin(&["get", "services", "-o", "name"]).ok().unwrap();
    assert!(left.is_empty(), "{left}");

    let quorate = Quorate::builder(cluster).policy(&strict()).start().unwrap();
    let place = Place::governed(cluster, &quorate, "all-services-denied");
    silent(&place.apply(&database(3)));
    let collection = format!("/api/v1/namespaces/{}/services", place.namespace);
    denied(&place.kubectl(&["delete", "--raw", &collection]), "StatefulSet db: spec.serviceName");
}

/// A Service that the garbage collector deletes, as its owner is gone.
#[test]
fn the_garbage_collector_finishes_what_was_decided_l98() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&strict()).start().unwrap();
    let place = Place::governed(cluster, &quorate, "collected");
    silent(&place.kubectl(&["create", "configmap", "release"]));
    let uid = place.object("configmap", "release").unwrap()["metadata"]["uid"].clone();
    let mut objects = database(3);
    objects["items"][0]["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "release", "uid": uid}]);
    silent(&place.apply(&objects));
    denied(&place.kubectl(&["delete", "service/db"]), "names no Service");
    silent(&place.kubectl(&["delete", "configmap/release"]));
    wait_for("the garbage collector", || {
        let left = place.as_admin(&["get", "services", "-o", "name"]).ok()?;
        ensure!(left.is_empty(), "{left}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn with_quorate_gone_deletion_finalizers_and_autoscalers_work_l20_l92() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&strict()).start().unwrap();
    let place = Place::governed(cluster, &quorate, "alone");
    silent(&place.apply(&database(3)));
    silent(&place.apply(&autoscaler(3, 5)));
    let other = Place::governed(cluster, &quorate, "alone-finalizer");
    silent(&other.apply(&database(3)));
    silent(&other.patch("statefulset/db", &json!({"metadata": {"finalizers": ["example.com/backup"]}})));
    ready(&place, 3);
    quorate.kill().unwrap();

    // It is gone, and what it guards with Fail says so.
    let unanswered = place.kubectl(&["set", "image", "statefulset/db", "db=database.example/server:2"]);
    assert!(unanswered.stderr.contains("failed calling webhook"), "{unanswered}");
    // Pods restart.
    let old = place.object("pod", "db-1").unwrap()["metadata"]["uid"].clone();
    place.as_admin(&["delete", "pod", "db-1"]).ok().unwrap();
    wait_for("the pod to return", || {
        let pod = place.object("pod", "db-1")?;
        ensure!(pod["metadata"]["uid"] != old, "{}", pod["status"]);
        Ok(())
    })
    .unwrap();
    // An autoscaler scales up, and can be told to.
    silent(&place.patch("hpa/db", &json!({"spec": {"minReplicas": 5}})));
    place.has_replicas(5);
    ready(&place, 5);
    // kubectl waits until the pods, and then the StatefulSet, are gone.
    silent(&place.kubectl(&["delete", "statefulset/db", "--cascade=foreground", "--timeout=180s"]));
    let pods = place.as_admin(&["get", "pods", "-o", "name"]).ok().unwrap();
    assert!(pods.is_empty(), "{pods}");

    silent(&other.kubectl(&["delete", "statefulset/db", "--wait=false"]));
    silent(&other.patch("statefulset/db", &json!({"metadata": {"finalizers": null}})));
    wait_for("the StatefulSet to be gone", || {
        let left = other.as_admin(&["get", "statefulsets", "-o", "name"]).ok()?;
        ensure!(left.is_empty(), "{left}");
        Ok(())
    })
    .unwrap();
    silent(&cluster.kubectl(&["delete", "namespace", &other.namespace, "--timeout=180s"]).run().unwrap());
    record(
        "ways::deleting::with_quorate_gone_deletion_finalizers_and_autoscalers_work_l20_l92",
        &Row {
            tried: "Quorate is gone, with `failurePolicy: Fail`, and its policies are the strictest",
            amount: "once".to_owned(),
            result: "pods return; the real autoscaler scales up; deletion, finalizers and the whole namespace go"
                .to_owned(),
        },
    );
}

fn ready(place: &Place<'_>, replicas: i64) {
    wait_for("the pods to become ready", || {
        let status: Value = place.object("statefulset", "db")?["status"].clone();
        ensure!(status["readyReplicas"] == replicas, "{status}");
        Ok(())
    })
    .unwrap();
}
