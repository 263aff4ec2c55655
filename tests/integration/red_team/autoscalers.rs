//! An autoscaler that raises a StatefulSet and then goes, and one that is on its way out.

use serde_json::{Value, json};

use crate::controlplane::kubectl::Output;
use crate::controlplane::{Quorate, shared, wait_for};
use crate::ways::{Place, THREE, autoscaler, database, denied, policy, silent, warned};

const TOO_FEW: &str = "StatefulSet db: spec.replicas: 1 is below the minimum 3; set spec.replicas to 3 or more first, as HorizontalPodAutoscaler db no longer raises it";

/// Three at least, and no autoscaler may leave fewer.
fn closed() -> String {
    policy("closed", &json!({"validate": {"replicas": {"action": "Deny", "minimum": 3, "autoscalerDelete": "Deny"}}}))
}

fn held(mut object: Value) -> Value {
    object["metadata"]["finalizers"] = json!(["example.com/held"]);
    object
}

impl Place<'_> {
    /// What comes of taking the autoscaler away while `spec.replicas` is 1: the autoscaler makes 3 of that within seconds, so
    /// that whoever wants to be faster tries again.
    fn too_few_without(&self, take_away: impl Fn() -> Output) -> Output {
        for _ in 0..30 {
            silent(&self.apply(&autoscaler(3, 5)));
            silent(&self.patch("statefulset/db", &json!({"spec": {"replicas": 1}})));
            let output = take_away();
            if !output.success() || !output.stderr.trim().is_empty() {
                return output;
            }
        }
        panic!("the autoscaler was faster each time");
    }
}

/// A chart's or a person's deletion passes with a warning; a policy can close that way.
#[test]
fn an_autoscaler_that_is_deleted_or_pointed_elsewhere_is_reviewed_l135() {
    let cluster = shared();
    let elsewhere = json!({"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "db"}}});
    let another = json!({"spec": {"scaleTargetRef": {"name": "another"}}});
    for (name, text, is_closed) in [("open", THREE.to_owned(), false), ("closed", closed(), true)] {
        let quorate = Quorate::builder(cluster).policy(&text).start().unwrap();
        let place = Place::governed(cluster, &quorate, &format!("hpa-goes-{name}"));
        silent(&place.apply(&autoscaler(3, 5)));
        silent(&place.apply(&database(1)));
        let judge = if is_closed { denied } else { warned };
        judge(&place.too_few_without(|| place.patch("hpa/db", &elsewhere)), TOO_FEW);
        judge(&place.too_few_without(|| place.patch("hpa/db", &another)), TOO_FEW);
        judge(&place.too_few_without(|| place.kubectl(&["delete", "hpa/db", "--dry-run=server"])), TOO_FEW);
        // By an older version of the API, and all of them at once.
        judge(
            &place.too_few_without(|| place.kubectl(&["delete", "horizontalpodautoscalers.v1.autoscaling/db"])),
            TOO_FEW,
        );
        let all = format!("/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers", place.namespace);
        judge(&place.too_few_without(|| place.kubectl(&["delete", "--raw", &all])), TOO_FEW);
        judge(&place.too_few_without(|| place.kubectl(&["delete", "hpa/db"])), TOO_FEW);
        // With enough replicas nobody minds.
        silent(&place.apply(&autoscaler(3, 5)));
        place.has_replicas(3);
        silent(&place.kubectl(&["delete", "hpa/db"]));
        denied(&place.scale(1), "spec.replicas: 1 is below the minimum 3");
        // A namespace goes with all that is in it.
        silent(&place.apply(&autoscaler(3, 5)));
        place.as_admin(&["delete", "namespace", &place.namespace, "--timeout=120s"]).ok().unwrap();
    }
}

#[test]
fn an_autoscaler_that_is_being_deleted_raises_nothing_l135() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(THREE).start().unwrap();
    let place = Place::governed(cluster, &quorate, "hpa-ends");
    silent(&place.apply(&held(autoscaler(3, 5))));
    place.kubectl(&["delete", "hpa/db", "--wait=false"]);
    denied(&place.apply(&database(1)), "spec.replicas: 1 is below the minimum 3");
    // It can be edited to its end.
    silent(&place.patch("hpa/db", &json!({"spec": {"minReplicas": 1}})));
    silent(&place.patch("hpa/db", &json!({"metadata": {"finalizers": null}})));
    silent(&place.apply(&autoscaler(3, 5)));
    silent(&place.apply(&database(1)));
    place.has_replicas(3);
}

#[test]
fn a_service_that_is_being_deleted_is_missing_l142() {
    let cluster = shared();
    let validate = json!({"headlessService": {"action": "Deny"}});
    let quorate =
        Quorate::builder(cluster).policy(&policy("headless", &json!({"validate": validate}))).start().unwrap();
    let place = Place::governed(cluster, &quorate, "service-ends");
    let (service, set) = (database(3)["items"][0].clone(), database(3)["items"][1].clone());
    silent(&place.apply(&held(service.clone())));
    silent(&place.kubectl(&["delete", "service/db", "--wait=false"]));
    let ending = "spec.serviceName: \"db\" names a Service that is being deleted";
    denied(&place.apply(&set), ending);
    let dry_run = place.as_user("developer", &["apply", "--dry-run=server", "-f", "-"]).stdin(&set.to_string());
    denied(&dry_run.run().unwrap(), ending);
    silent(&place.patch("service/db", &json!({"metadata": {"finalizers": null}})));
    wait_for("the Service to go", || {
        anyhow::ensure!(place.object("service", "db").is_err(), "it is still there");
        Ok(())
    })
    .unwrap();
    silent(&place.apply(&held(service)));
    silent(&place.apply(&set));
    // What runs goes on while its Service ends, and is told.
    warned(&place.kubectl(&["delete", "service/db", "--wait=false"]), "names no Service");
    warned(&place.kubectl(&["set", "image", "statefulset/db", "db=server:2"]), ending);
    silent(&place.patch("service/db", &json!({"metadata": {"finalizers": null}})));
    let mut other = database(3)["items"][0].clone();
    other["spec"].as_object_mut().unwrap().remove("clusterIP");
    denied(&place.apply(&other), "\"db\" names a Service that is not headless");
}
