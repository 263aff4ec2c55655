//! Zero replicas as a step on the way to too few, and the wake-ups that are none.

use serde_json::{Value, json};

use crate::controlplane::{Quorate, shared, wait_for};
use crate::ways::{Place, THREE, autoscaler, database, denied, policy, silent, warned};

const TOO_FEW: &str = "spec.replicas: 1 is below the minimum 3; set spec.replicas to 3 or more";
const KEDA: &str = "--as=system:serviceaccount:keda:keda-operator";
const HPA: &str = "--as=system:serviceaccount:kube-system:horizontal-pod-autoscaler";
const OPERATOR: &str = "--as=system:serviceaccount:wakers:waker";

fn awake() -> String {
    let validate = json!({"replicas": {"action": "Deny", "minimum": 3, "fromZero": "Deny"}});
    policy("awake", &json!({"match": {"operators": ["wakers/*"]}, "validate": validate}))
}

fn with_volumes(replicas: i32) -> Value {
    let mut database = database(replicas);
    database["items"][1]["spec"]["volumeClaimTemplates"] = json!([{
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "none-such",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }]);
    database
}

#[test]
fn zero_is_no_way_to_too_few_l136() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&awake()).start().unwrap();
    let place = Place::governed(cluster, &quorate, "from-zero");
    silent(&place.apply(&database(0)));
    let one = json!({"spec": {"replicas": 1}});
    let again = || {
        denied(&place.scale(1), TOO_FEW);
        denied(&place.scale(2), "spec.replicas: 2 is below the minimum 3");
        denied(&place.patch("statefulset/db", &one), TOO_FEW);
        let patch =
            ["patch", "statefulset/db", "--subresource=scale", "--type=merge", "-p", r#"{"spec":{"replicas":1}}"#];
        denied(&place.kubectl(&patch), TOO_FEW);
        let by_git_ops = place.as_user("gitops", &["apply", "--server-side", "--force-conflicts", "-f", "-"]);
        denied(&by_git_ops.stdin(&database(1)["items"][1].to_string()).run().unwrap(), TOO_FEW);
    };
    again();
    // Nightly hibernation.
    for _ in 0..2 {
        silent(&place.scale(3));
        silent(&place.scale(0));
    }
    again();
    // Whoever has a second person scale it up has won nothing: it was as small for neither of them.
    silent(&place.scale(3));
    denied(&place.scale(1), TOO_FEW);
    // With the default it is a warning.
    let open = Quorate::builder(cluster).policy(THREE).start().unwrap();
    let place = Place::governed(cluster, &open, "from-zero-open");
    silent(&place.apply(&database(0)));
    warned(&place.scale(2), "spec.replicas: 2 is below the minimum 3");
    denied(&place.scale(1), TOO_FEW);
}

#[test]
fn what_was_as_small_before_wakes_as_it_was_l136() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&awake()).start().unwrap();
    for (replicas, wakes) in [(1, true), (2, false)] {
        let place = Place::ungoverned(cluster, "was-small");
        silent(&place.apply(&with_volumes(replicas)));
        let last = format!("data-db-{}", replicas - 1);
        wait_for("the claims", || place.object("persistentvolumeclaim", &last)).unwrap();
        place.govern(&quorate);
        silent(&place.scale(0));
        if wakes { warned(&place.scale(1), TOO_FEW) } else { denied(&place.scale(1), TOO_FEW) }
    }
}

/// Neither the autoscalers of Kubernetes and KEDA nor those that the policy names are kept from waking what sleeps.
#[test]
fn autoscalers_wake_from_zero_l136() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&awake()).start().unwrap();
    let place = Place::governed(cluster, &quorate, "wakes");
    let accounts = ["--serviceaccount=keda:keda-operator", "--serviceaccount=wakers:waker", "--clusterrole=admin"];
    let words: Vec<&str> = ["create", "rolebinding", "wakers"].into_iter().chain(accounts).collect();
    place.as_admin(&words).ok().unwrap();
    for account in [KEDA, HPA, OPERATOR] {
        silent(&place.apply(&database(0)));
        // As controllers do it: by an update of the scale. The API server may learn of the role a moment later.
        let path = format!("/apis/apps/v1/namespaces/{}/statefulsets/db/scale", place.namespace);
        let scale = json!({
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": "db", "namespace": place.namespace},
            "spec": {"replicas": 1},
        });
        wait_for("the autoscaler to be let", || {
            let words = ["replace", "--raw", &path, "-f", "-", account];
            let woken = place.as_admin(&words).stdin(&scale.to_string()).run()?;
            anyhow::ensure!(woken.success() && woken.stderr.contains(TOO_FEW), "{woken}");
            Ok(())
        })
        .unwrap();
        silent(&place.scale(0));
        denied(&place.scale(1), TOO_FEW);
    }
    // One that asks for three at least raises it whoever wakes it, and however few that asks for.
    silent(&place.apply(&autoscaler(3, 5)));
    warned(&place.scale(1), TOO_FEW);
    place.has_replicas(3);
}
