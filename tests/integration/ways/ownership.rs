//! What an operator owns and writes is left to it (L27); an ownerReference of one's own is no escape.

use serde_json::{Value, json};

use super::{Place, database, denied, policy, silent, warned};
use crate::controlplane::{ControlPlane, Quorate, shared, wait_for};

/// A kind that is not Kubernetes' own.
fn define_clusters(cluster: &ControlPlane) {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "databaseclusters.operator.example"},
        "spec": {
            "group": "operator.example",
            "scope": "Namespaced",
            "names": {"kind": "DatabaseCluster", "plural": "databaseclusters", "singular": "databasecluster"},
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                "subresources": {"status": {}},
            }],
        },
    });
    cluster.apply(&definition.to_string()).unwrap();
    cluster.kubectl(&["wait", "--for=condition=Established", "crd/databaseclusters.operator.example"]).ok().unwrap();
    // The ServiceAccount that runs them.
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "databaseclusters"},
        "rules": [{"apiGroups": ["operator.example"], "resources": ["databaseclusters/status"], "verbs": ["update"]}],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "databaseclusters"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "databaseclusters"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "gitops-system", "name": "gitops"}],
    });
    cluster.apply_all(&[role, binding]).unwrap();
}

/// A database that an object of the place owns.
fn owned_by(place: &Place<'_>, api_version: &str, kind: &str, name: &str, replicas: i32) -> Value {
    let owner = wait_for("the owner", || place.object(kind, name)).unwrap();
    let mut database = database(replicas);
    database["items"][1]["metadata"]["ownerReferences"] = json!([{
        "apiVersion": api_version,
        "kind": kind,
        "name": name,
        "uid": owner["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": false,
    }]);
    database
}

fn three(owned_by_operator: &str) -> String {
    let spec = json!({
        "match": {"ownedByOperator": owned_by_operator},
        "validate": {"replicas": {"action": "Deny", "minimum": 3}},
        "mutate": {"podAntiAffinity": [{"topologyKey": "kubernetes.io/hostname", "mode": "Preferred"}]},
    });
    policy("three", &spec)
}

#[test]
fn what_an_operator_owns_and_writes_is_only_warned_about_l27() {
    let cluster = shared();
    define_clusters(cluster);
    let lenient = Quorate::builder(cluster).policy(&three("Warn")).start().unwrap();
    let strict = Quorate::builder(cluster).policy(&three("Enforce")).start().unwrap();
    let few = "spec.replicas: 1 is below the minimum 3";
    let injected = |place: &Place<'_>| {
        let stored = place.object("statefulset", "db").unwrap();
        !stored["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"].is_null()
    };
    for (quorate, enforces) in [(&lenient, false), (&strict, true)] {
        let place = Place::governed(cluster, quorate, "operator");
        let owner = json!({"apiVersion": "operator.example/v1", "kind": "DatabaseCluster", "metadata": {"name": "db"}});
        place.as_admin(&["create", "-f", "-"]).stdin(&owner.to_string()).ok().unwrap();
        let database =
            |replicas| owned_by(&place, "operator.example/v1", "DatabaseCluster", "db", replicas).to_string();
        let as_operator =
            |replicas| place.as_user("gitops", &["apply", "-f", "-"]).stdin(&database(replicas)).run().unwrap();
        if enforces {
            denied(&as_operator(1), few);
            silent(&as_operator(3));
            assert!(injected(&place));
            continue;
        }
        // A person's own request is judged as any other.
        denied(&place.as_user("developer", &["apply", "-f", "-"]).stdin(&database(1)).run().unwrap(), few);
        warned(&as_operator(1), few);
        silent(&as_operator(3));
        assert!(!injected(&place), "a tug of war with the operator");
        let scale = |user| place.as_user(user, &["scale", "statefulset/db", "--replicas=1"]).run().unwrap();
        denied(&scale("developer"), few);
        warned(&scale("gitops"), few);
    }
}

#[test]
fn an_owner_reference_to_a_config_map_is_no_escape_l27() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&three("Warn")).start().unwrap();
    let place = Place::governed(cluster, &quorate, "config-map");
    silent(&place.kubectl(&["create", "configmap", "owner"]));
    let few = "spec.replicas: 1 is below the minimum 3";
    for user in ["developer", "gitops"] {
        let owned = owned_by(&place, "v1", "ConfigMap", "owner", 1).to_string();
        denied(&place.as_user(user, &["apply", "-f", "-"]).stdin(&owned).run().unwrap(), few);
    }
    let owned = owned_by(&place, "v1", "ConfigMap", "owner", 3);
    silent(&place.apply(&owned));
    denied(&place.scale(1), few);
}
