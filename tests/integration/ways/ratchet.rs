//! What was there before Quorate is not stuck because of it, and gets no worse.

use serde_json::json;

use super::{Place, THREE, database, denied, policy, silent, warned};
use crate::controlplane::{Quorate, shared, wait_for};

#[test]
fn a_violator_from_before_can_do_all_but_get_worse_l22_l25_l83() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(THREE).start().unwrap();
    let place = Place::ungoverned(cluster, "violator");
    silent(&place.apply(&database(1)));
    place.govern(&quorate);
    let few = |replicas: i32| format!("spec.replicas: {replicas} is below the minimum 3");

    silent(&place.kubectl(&["label", "statefulset/db", "team=a"]));
    silent(&place.kubectl(&["annotate", "statefulset/db", "example.com/owner=a"]));
    warned(&place.kubectl(&["set", "image", "statefulset/db", "db=database.example/server:2"]), &few(1));
    warned(&place.scale(1), &few(1));
    warned(&place.scale(2), &few(2));
    warned(&place.scale(2), &few(2));
    warned(&place.apply(&database(2)), &few(2));
    denied(&place.scale(1), &few(1));
    denied(&place.patch("statefulset/db", &json!({"spec": {"replicas": 1}})), &few(1));
    denied(&place.apply(&database(1)), &few(1));

    let finalizers = |finalizers: &[&str]| json!({"metadata": {"finalizers": finalizers}});
    silent(&place.patch("statefulset/db", &finalizers(&["example.com/backup"])));
    silent(&place.patch("statefulset/db", &finalizers(&[])));
    silent(&place.patch("statefulset/db", &finalizers(&["example.com/backup"])));
    silent(&place.kubectl(&["delete", "statefulset/db", "--wait=false"]));
    // What is being deleted can be done anything with.
    silent(&place.patch("statefulset/db", &json!({"spec": {"replicas": 1}})));
    silent(&place.patch("statefulset/db", &finalizers(&[])));
    wait_for("the StatefulSet to be gone", || {
        let left = place.as_admin(&["get", "statefulsets", "-o", "name"]).ok()?;
        anyhow::ensure!(left.is_empty(), "{left}");
        Ok(())
    })
    .unwrap();
    denied(&place.apply(&database(1)), &few(1));
}

#[test]
fn growing_is_never_denied_whatever_comes_with_it_l25() {
    let cluster = shared();
    let validate = json!({
        "replicas": {"action": "Deny", "minimum": 5, "even": "Deny"},
        "podDisruptionBudget": {"action": "Deny"},
        "readinessProbe": {"action": "Deny"},
        "spread": {"action": "Deny"},
    });
    let spec = json!({"validate": validate, "existing": {"enforceAfter": "2020-01-01"}});
    let quorate = Quorate::builder(cluster).policy(&policy("strict", &spec)).start().unwrap();
    let place = Place::ungoverned(cluster, "growing");
    let replicas = |replicas: i32| place.patch("statefulset/db", &json!({"spec": {"replicas": replicas}}));
    silent(&place.apply(&database(0)));
    place.govern(&quorate);
    // With the second replica come an even count, pods on one node, and no budget for them.
    warned(&replicas(1), "spec.replicas: 1 is below the minimum 5");
    warned(&replicas(2), "nothing keeps all 2 pods from one node");
    warned(&replicas(4), "is covered by no PodDisruptionBudget");
    warned(&replicas(5), "nothing keeps all 5 pods from one node");
    // Growth is no cover for something else.
    let moved = json!({"spec": {"replicas": 7, "template": {"spec": {"terminationGracePeriodSeconds": 1}}}});
    denied(&place.patch("statefulset/db", &moved), "readinessProbe");
    denied(&replicas(4), "spec.replicas: 4 is below the minimum 5");
}

#[test]
fn after_its_last_day_the_ratchet_holds_only_what_can_be_updated_l8_l22() {
    let cluster = shared();
    let validate = json!({
        "headlessService": {"action": "Deny"},
        "persistentStorage": {"action": "Deny"},
        "readinessProbe": {"action": "Deny"},
        "replicas": {"action": "Deny", "minimum": 3},
    });
    let spec = json!({"validate": validate, "existing": {"enforceAfter": "2020-01-01"}});
    let quorate = Quorate::builder(cluster).policy(&policy("over", &spec)).start().unwrap();
    let place = Place::ungoverned(cluster, "over");
    let mut without_service = database(3);
    without_service["items"][1]["spec"].as_object_mut().unwrap().remove("serviceName");
    silent(&place.apply(&without_service));
    place.govern(&quorate);

    let image = |tag: &str| ["set".to_owned(), "image".into(), "statefulset/db".into(), format!("db=server:{tag}")];
    let update = |tag: &str| place.kubectl(&image(tag).each_ref().map(String::as_str));
    let refused = update("2");
    denied(&refused, "readinessProbe");
    assert!(
        refused.stderr.lines().all(|line| line.starts_with("Warning: ") || !line.contains("spec.serviceName")),
        "a field that can't be updated is held against an update: {refused}"
    );
    // Neither metadata, nor growth, nor writing what is there already.
    silent(&place.kubectl(&["label", "statefulset/db", "team=a"]));
    silent(&place.scale(5));
    silent(&place.scale(5));

    let probe = json!([{
        "op": "add",
        "path": "/spec/template/spec/containers/0/readinessProbe",
        "value": {"tcpSocket": {"port": 5432}},
    }]);
    let repaired = place.kubectl(&["patch", "statefulset/db", "--type=json", "-p", &probe.to_string()]);
    warned(&repaired, "spec.serviceName: is absent");
    // What is left can't be repaired by an update, so that it stops none.
    warned(&update("3"), "spec.volumeClaimTemplates");
}

#[test]
fn after_its_last_day_too_few_replicas_can_still_grow_l83() {
    let cluster = shared();
    let spec = json!({
        "validate": {"replicas": {"action": "Deny", "minimum": 3}},
        "existing": {"enforceAfter": "2020-01-01"},
    });
    let quorate = Quorate::builder(cluster).policy(&policy("over", &spec)).start().unwrap();
    let place = Place::ungoverned(cluster, "grows");
    silent(&place.apply(&database(1)));
    place.govern(&quorate);
    let few = |replicas: i32| format!("spec.replicas: {replicas} is below the minimum 3");
    denied(&place.kubectl(&["set", "image", "statefulset/db", "db=server:2"]), &few(1));
    warned(&place.scale(2), &few(2));
    // Nothing changes, so that nothing is enforced.
    warned(&place.scale(2), &few(2));
    denied(&place.scale(1), &few(1));
    silent(&place.scale(3));
    silent(&place.kubectl(&["set", "image", "statefulset/db", "db=server:2"]));
}
