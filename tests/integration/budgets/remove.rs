//! `quorate budgets remove`, where no controller makes them anew.

use std::process::Command;

use serde_json::json;

use super::{apply, budget, budgets, statefulset};
use crate::controlplane::shared;

#[test]
fn removes_what_is_ours_and_nothing_else() {
    let cluster = shared();
    let namespaces = ["removed", "removed"].map(|prefix| cluster.namespace(prefix, &[]).unwrap());
    for namespace in &namespaces {
        apply(cluster, namespace, &statefulset("db", 2, &json!({"app": "db"})));
        let uid = cluster.object(namespace, "sts", "db").unwrap()["metadata"]["uid"].clone();
        let owner =
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": uid, "controller": true});
        for (name, label) in [("db-quorate", "quorate"), ("db", "quorate"), ("web-quorate", "Helm")] {
            let mut budget = budget(name, &json!({"matchLabels": {"app": "db"}}));
            budget["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": label});
            budget["metadata"]["ownerReferences"] = json!([owner]);
            apply(cluster, namespace, &budget);
        }
    }
    let remove = |context: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["budgets", "remove", "--context", context, "--kubeconfig"])
            .arg(cluster.kubeconfig())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, stdout, stderr) = remove("nobody");
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.starts_with("quorate: can't "), "{stderr}");
    assert_eq!(remove("admin"), (Some(0), "2 PodDisruptionBudgets deleted\n".to_owned(), String::new()));
    for namespace in &namespaces {
        assert_eq!(budgets(cluster, namespace).unwrap(), ["db", "web-quorate"]);
    }
    assert_eq!(remove("admin").1, "0 PodDisruptionBudgets deleted\n");
}
