//! Replicas by every way: the StatefulSet, `kubectl scale`, and the real autoscaler.

use anyhow::ensure;
use serde_json::json;

use super::{Place, THREE, autoscaler, database, denied, policy, silent, warned};
use crate::controlplane::{Quorate, shared, wait_for};

#[test]
fn kubectl_scale_is_judged_by_the_number_it_asks_for_l11_l82() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(THREE).start().unwrap();
    let place = Place::governed(cluster, &quorate, "scale");
    silent(&place.apply(&database(3)));
    silent(&place.scale(5));
    denied(&place.scale(2), "StatefulSet db: spec.replicas: 2 is below the minimum 3; set spec.replicas to 3 or more");
    silent(&place.scale(3));
    denied(&place.scale(2), "spec.replicas: 2 is below the minimum 3");
    denied(&place.scale(1), "spec.replicas: 1 is below the minimum 3");
    place.has_replicas(3);
    // An empty spec is what arrives for zero, which is legal by default.
    silent(&place.scale(0));
    place.has_replicas(0);
    // Growth is never denied, be it ever so small.
    warned(&place.scale(1), "spec.replicas: 1 is below the minimum 3");
    silent(&place.scale(3));
}

#[test]
fn zero_replicas_are_denied_on_scale_where_the_policy_says_so_l11_l82() {
    let cluster = shared();
    let validate = json!({"replicas": {"action": "Deny", "minimum": 3, "allowZero": false}});
    let quorate =
        Quorate::builder(cluster).policy(&policy("never-zero", &json!({"validate": validate}))).start().unwrap();
    let place = Place::governed(cluster, &quorate, "never-zero");
    silent(&place.apply(&database(3)));
    denied(&place.scale(0), "spec.replicas: 0 is not allowed");
    denied(&place.patch("statefulset/db", &json!({"spec": {"replicas": 0}})), "spec.replicas: 0 is not allowed");
    denied(&place.apply(&database(0)), "spec.replicas: 0 is not allowed");
}

/// L81: even counts occur in migrations.
#[test]
fn an_even_count_is_a_warning_by_every_way_l81() {
    let cluster = shared();
    let validate = json!({"replicas": {"action": "Deny", "minimum": 3, "even": "Warn"}});
    let quorate = Quorate::builder(cluster).policy(&policy("odd", &json!({"validate": validate}))).start().unwrap();
    let place = Place::governed(cluster, &quorate, "even");
    warned(&place.apply(&database(4)), "spec.replicas: 4 is even");
    silent(&place.apply(&database(3)));
    warned(&place.scale(4), "spec.replicas: 4 is even; set spec.replicas to an odd number");
    silent(&place.scale(5));
}

#[test]
fn an_autoscaler_before_its_stateful_set_decides_on_the_replicas_l75_l80() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(THREE).start().unwrap();
    let place = Place::governed(cluster, &quorate, "hpa-first");
    // Its target is not there yet.
    silent(&place.apply(&autoscaler(1, 5)));
    let by_autoscaler = "spec.minReplicas of HorizontalPodAutoscaler db: 1 is below the minimum 3; \
                         set spec.minReplicas to 3 or more";
    denied(&place.apply(&database(3)), by_autoscaler);
    silent(&place.patch("hpa/db", &json!({"spec": {"minReplicas": 3}})));
    // Charts leave replicas out under an autoscaler, and the API server makes 1 of that before anyone is asked.
    let mut database = database(1);
    database["items"][1]["spec"].as_object_mut().unwrap().remove("replicas");
    silent(&place.apply(&database));
    place.has_replicas(3);
}

#[test]
fn an_autoscaler_after_its_stateful_set_is_judged_by_its_policy_l80() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(THREE).start().unwrap();
    let place = Place::governed(cluster, &quorate, "hpa-after");
    silent(&place.apply(&database(3)));
    denied(
        &place.apply(&autoscaler(1, 5)),
        "StatefulSet db: spec.minReplicas of HorizontalPodAutoscaler db: 1 is below the minimum 3",
    );
    silent(&place.apply(&autoscaler(3, 5)));
    denied(&place.patch("hpa/db", &json!({"spec": {"minReplicas": 2}})), "db: 2 is below the minimum 3");
    silent(&place.patch("hpa/db", &json!({"spec": {"maxReplicas": 7}})));
    // An old client's version of the API is the same object.
    let old = json!({
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "db"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"},
            "minReplicas": 1,
            "maxReplicas": 5,
        },
    });
    denied(&place.apply(&old), "db: 1 is below the minimum 3");
}

#[test]
fn an_autoscaler_scales_within_the_policy_and_no_further_l11_l83() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(THREE).start().unwrap();
    let place = Place::ungoverned(cluster, "hpa-scales");
    silent(&place.apply(&database(1)));
    silent(&place.apply(&autoscaler(1, 2)));
    place.govern(&quorate);

    // 1 to 2: better, if not good. So is the autoscaler's own change.
    warned(&place.patch("hpa/db", &json!({"spec": {"minReplicas": 2}})), "db: 2 is below the minimum 3");
    place.has_replicas(2);
    denied(&place.patch("hpa/db", &json!({"spec": {"minReplicas": 1}})), "db: 1 is below the minimum 3");
    // 2 to 3, then 3 to 5.
    silent(&place.patch("hpa/db", &json!({"spec": {"minReplicas": 3, "maxReplicas": 3}})));
    place.has_replicas(3);
    silent(&place.patch("hpa/db", &json!({"spec": {"minReplicas": 5, "maxReplicas": 5}})));
    place.has_replicas(5);
    // 5 to 3 is worse than before and good enough.
    silent(&place.patch("hpa/db", &json!({"spec": {"minReplicas": 3, "maxReplicas": 3}})));
    place.has_replicas(3);
}

#[test]
fn an_autoscaler_from_before_cannot_scale_down_a_violator_l11_l83() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(THREE).start().unwrap();
    let place = Place::ungoverned(cluster, "hpa-violates");
    silent(&place.apply(&database(2)));
    silent(&place.apply(&autoscaler(1, 2)));
    place.govern(&quorate);
    // What it asks for at least was too little before.
    warned(&place.patch("hpa/db", &json!({"spec": {"maxReplicas": 1}})), "db: 1 is below the minimum 3");
    wait_for("the autoscaler to be denied", || {
        let conditions = place.object("hpa", "db")?["status"]["conditions"].to_string();
        ensure!(conditions.contains("spec.replicas: 1 is below the minimum 3"), "{conditions}");
        Ok(())
    })
    .unwrap();
    place.has_replicas(2);
}

#[test]
fn an_autoscaler_that_comes_to_a_violator_is_judged_by_degree_l83() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(THREE).start().unwrap();
    let place = Place::ungoverned(cluster, "hpa-comes");
    silent(&place.apply(&database(2)));
    place.govern(&quorate);
    denied(&place.apply(&autoscaler(1, 5)), "db: 1 is below the minimum 3");
    warned(&place.apply(&autoscaler(2, 5)), "db: 2 is below the minimum 3");
    silent(&place.apply(&autoscaler(3, 5)));
    place.has_replicas(3);
}

/// L12: a write of ours would conflict with the autoscaler.
#[test]
fn nothing_of_quorate_may_write_a_stateful_set_l12() {
    let cluster = shared();
    let _quorate = Quorate::builder(cluster).policy(THREE).start().unwrap();
    let own = "--as=system:serviceaccount:quorate-system:quorate";
    for subresource in ["", "scale", "status"] {
        let subresource = format!("--subresource={subresource}");
        for verb in ["create", "update", "patch", "delete", "deletecollection"] {
            let words = ["auth", "can-i", verb, "statefulsets.apps", &subresource, "-A", own];
            let may = cluster.kubectl(&words).run().unwrap();
            assert!(!may.success() && may.stdout.trim() == "no", "{may}");
        }
    }
    let reads = cluster.kubectl(&["auth", "can-i", "watch", "statefulsets.apps", "-A", own]).run().unwrap();
    assert!(reads.success(), "{reads}");
}
