//! The Service that gives the pods their names: before the StatefulSet, after it, and when it changes or goes.

use serde_json::{Value, json};

use super::{Place, database, denied, list, policy, silent, warned};
use crate::controlplane::{Quorate, shared};

/// A policy about headless Services with these settings beside `action: Deny`.
fn headless(settings: &Value) -> String {
    let mut rule = json!({"action": "Deny"});
    rule.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    policy("headless", &json!({"validate": {"headlessService": rule}}))
}

fn service(spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"}, "spec": spec})
}

fn only_statefulset() -> Value {
    list(&[database(3)["items"][1].clone()])
}

#[test]
fn each_cause_has_a_message_of_its_own_l70_l71() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&headless(&json!({}))).start().unwrap();
    let ports = json!([{"name": "sql", "port": 5432}]);
    let with_cluster_ip = service(&json!({"selector": {"app": "db"}, "ports": ports}));
    let external = service(&json!({"type": "ExternalName", "externalName": "db.example.com"}));
    let of_others = service(&json!({"clusterIP": "None", "selector": {"app": "web"}, "ports": ports}));
    let unselective = service(&json!({"clusterIP": "None", "ports": ports}));
    for (name, service, phrase) in [
        ("missing", None, "spec.serviceName: \"db\" names no Service in namespace"),
        ("cluster-ip", Some(with_cluster_ip), "\"db\" names a Service that is not headless (its clusterIP is 10.96."),
        ("external", Some(external), "\"db\" names a Service that is not headless (its type is ExternalName)"),
        ("others", Some(of_others), "\"db\" names a Service that selects app=web, but the pods have app=db"),
        ("unselective", Some(unselective), "\"db\" names a Service without a selector"),
    ] {
        let place = Place::governed(cluster, &quorate, name);
        if let Some(service) = service {
            silent(&place.apply(&service));
        }
        denied(&place.apply(&only_statefulset()), phrase);
    }
    let place = Place::governed(cluster, &quorate, "nameless");
    let mut nameless = database(3);
    nameless["items"][1]["spec"].as_object_mut().unwrap().remove("serviceName");
    denied(&place.apply(&nameless), "spec.serviceName: is absent and must name a headless Service");
}

#[test]
fn a_stateful_set_before_its_service_is_denied_once_or_warned_about_l72() {
    let cluster = shared();
    let strict = Quorate::builder(cluster).policy(&headless(&json!({}))).start().unwrap();
    let lenient = Quorate::builder(cluster).policy(&headless(&json!({"missing": "Warn"}))).start().unwrap();
    let service_first = database(3);
    let mut statefulset_first = database(3);
    statefulset_first["items"].as_array_mut().unwrap().reverse();

    silent(&Place::governed(cluster, &strict, "service-first").apply(&service_first));
    let place = Place::governed(cluster, &strict, "statefulset-first");
    denied(&place.apply(&statefulset_first), "apply the headless Service first, then apply this StatefulSet again");
    silent(&place.apply(&statefulset_first));
    let place = Place::governed(cluster, &lenient, "lenient");
    warned(&place.apply(&statefulset_first), "apply the headless Service first");
    silent(&place.apply(&statefulset_first));
}

#[test]
fn a_service_that_others_stand_on_cannot_be_taken_away_from_under_them_l73() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&headless(&json!({"serviceUpdate": "Deny"}))).start().unwrap();
    let place = Place::governed(cluster, &quorate, "service-changes");
    silent(&place.apply(&database(3)));
    denied(
        &place.patch("service/db", &json!({"spec": {"selector": {"app": "web"}}})),
        "StatefulSet db: spec.serviceName: \"db\" names a Service that selects app=web, but the pods have app=db",
    );
    denied(&place.patch("service/db", &json!({"spec": {"selector": null}})), "names a Service without a selector");
    let external = json!({"spec": {"type": "ExternalName", "externalName": "db.example.com", "clusterIP": null, "clusterIPs": null}});
    denied(&place.patch("service/db", &external), "its type is ExternalName");
    // What doesn't concern the pods' names is nobody's business.
    silent(&place.patch("service/db", &json!({"spec": {"ports": [{"name": "sql", "port": 5433}]}})));
    silent(&place.kubectl(&["label", "service/db", "team=a"]));
    let mut other = service(&json!({"selector": {"app": "web"}, "ports": [{"port": 80}]}));
    other["metadata"]["name"] = json!("web");
    silent(&place.apply(&other));
    silent(&place.patch("service/web", &json!({"spec": {"selector": {"app": "other"}}})));
}

#[test]
fn a_service_that_was_wrong_before_can_be_changed_and_repaired_l25_l73() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&headless(&json!({}))).start().unwrap();
    let place = Place::ungoverned(cluster, "service-wrong");
    let wrong = json!({"clusterIP": "None", "selector": {"app": "web"}, "ports": [{"name": "sql", "port": 5432}]});
    silent(&place.apply(&list(&[service(&wrong), database(3)["items"][1].clone()])));
    place.govern(&quorate);
    warned(&place.patch("service/db", &json!({"spec": {"ports": [{"name": "sql", "port": 5433}]}})), "app=web");
    silent(&place.patch("service/db", &json!({"spec": {"selector": {"app": "db"}}})));
    denied(&place.patch("service/db", &json!({"spec": {"selector": {"app": "web"}}})), "app=web");
}

#[test]
fn a_late_service_that_is_not_headless_is_denied_l73() {
    let cluster = shared();
    let rule = json!({"missing": "Warn", "serviceUpdate": "Deny"});
    let quorate = Quorate::builder(cluster).policy(&headless(&rule)).start().unwrap();
    let place = Place::governed(cluster, &quorate, "service-late");
    warned(&place.apply(&only_statefulset()), "names no Service");
    let late = service(&json!({"selector": {"app": "db"}, "ports": [{"port": 5432}]}));
    denied(&place.apply(&late), "StatefulSet db: spec.serviceName: \"db\" names a Service that is not headless");
    let headless = service(&json!({"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 5432}]}));
    silent(&place.apply(&headless));
}

#[test]
fn deleting_the_service_warns_unless_a_policy_denies_it_l74() {
    let cluster = shared();
    let lenient = Quorate::builder(cluster).policy(&headless(&json!({}))).start().unwrap();
    let place = Place::governed(cluster, &lenient, "delete-warns");
    silent(&place.apply(&database(3)));
    warned(&place.kubectl(&["delete", "service/db"]), "StatefulSet db: spec.serviceName: \"db\" names no Service");

    let strict = Quorate::builder(cluster).policy(&headless(&json!({"serviceDelete": "Deny"}))).start().unwrap();
    let place = Place::governed(cluster, &strict, "delete-denied");
    silent(&place.apply(&database(3)));
    denied(&place.kubectl(&["delete", "service/db"]), "StatefulSet db: spec.serviceName: \"db\" names no Service");
    // Of a StatefulSet that is going, too.
    silent(&place.patch("statefulset/db", &json!({"metadata": {"finalizers": ["example.com/backup"]}})));
    silent(&place.kubectl(&["delete", "statefulset/db", "--wait=false"]));
    silent(&place.kubectl(&["delete", "service/db"]));
    silent(&place.patch("statefulset/db", &json!({"metadata": {"finalizers": null}})));
}
