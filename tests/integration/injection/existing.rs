//! What has volumes, and what runs already.

use anyhow::ensure;
use serde_json::json;

use super::{pod, pods, policy, settled, stateful};
use crate::controlplane::{Quorate, shared, wait_for};

const REQUIRED: &str = "affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution";

fn hard() -> String {
    policy("hard", None, &json!({"podAntiAffinity": [{"topologyKey": "kubernetes.io/hostname", "mode": "Required"}]}))
}

/// Two pods on one node, whose volumes are bound to it: under a hard term the second would stay Pending for ever.
#[test]
fn volumes_on_one_node_do_not_wedge_a_rollout_l63() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&hard()).unregistered().start().unwrap();
    let namespace = quorate.namespace("pinned", &[]).unwrap();
    let apply = |object: &serde_json::Value| {
        let kubectl = cluster.kubectl(&["apply", "-f", "-"]).as_user("developer").namespace(&namespace);
        kubectl.stdin(&object.to_string()).run().unwrap()
    };
    let here = stateful("db", 2, &json!({"nodeSelector": {"kubernetes.io/hostname": "node-2"}}));
    let applied = apply(&here);
    assert!(applied.success(), "{applied}");
    settled(cluster, &namespace, "db").unwrap();

    quorate.register().unwrap();
    let anywhere = json!({"containers": [{"name": "db", "image": "db.example/server:2"}]});
    let updated = apply(&stateful("db", 2, &anywhere));
    let told = "anti-affinity on kubernetes.io/hostname: preferred, not required: the StatefulSet exists already";
    assert!(updated.success() && updated.stderr.contains(told), "{updated}");
    let set = settled(cluster, &namespace, "db").unwrap();
    assert!(pod(&set, REQUIRED).is_null() && pod(&set, PREFERRED).is_array(), "{set}");
    assert!(pods(cluster, &namespace).unwrap().iter().all(|(_, _, node)| node == "node-2"));

    // Deleted with its pods, and created anew: the claims are still there.
    cluster.kubectl(&["delete", "statefulset", "db", "-n", &namespace]).ok().unwrap();
    wait_for("the pods to go", || {
        let left = pods(cluster, &namespace)?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .unwrap();
    let recreated = apply(&stateful("db", 2, &anywhere));
    assert!(recreated.stderr.contains("preferred, not required: the StatefulSet has volumes"), "{recreated}");
    settled(cluster, &namespace, "db").unwrap();
}

/// The usual way to change `volumeClaimTemplates`.
#[test]
fn adopted_pods_are_not_restarted_l94() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&hard()).unregistered().start().unwrap();
    let injected = quorate.namespace("adopted", &[]).unwrap();
    let bare = quorate.namespace("adopted-bare", &[]).unwrap();
    let manifest = |storage: &str| {
        let mut set = stateful("db", 2, &json!({}));
        set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = json!(storage);
        set.to_string()
    };
    let apply = |namespace: &str, text: &str| {
        cluster.kubectl(&["apply", "-f", "-"]).as_user("developer").namespace(namespace).stdin(text).run().unwrap()
    };
    apply(&bare, &manifest("1Gi"));
    quorate.register().unwrap();
    apply(&injected, &manifest("1Gi"));
    for (namespace, has_ours) in [(&injected, true), (&bare, false)] {
        let before = settled(cluster, namespace, "db").unwrap();
        assert_eq!(pod(&before, REQUIRED).is_array(), has_ours, "{before}");
        let pods_before = pods(cluster, namespace).unwrap();
        cluster.kubectl(&["delete", "statefulset", "db", "--cascade=orphan", "-n", namespace]).ok().unwrap();
        let recreated = apply(namespace, &manifest("2Gi"));
        assert!(recreated.success(), "{recreated}");
        assert_eq!(recreated.stderr.contains("pending injection"), !has_ours, "{recreated}");
        let after = settled(cluster, namespace, "db").unwrap();
        assert_eq!(after["spec"]["template"], before["spec"]["template"]);
        assert_eq!(after["status"]["updateRevision"], before["status"]["updateRevision"]);
        assert_eq!(pods(cluster, namespace).unwrap(), pods_before, "pods were restarted");
        assert_eq!(after["metadata"]["annotations"]["quorate.dev/injected"].is_string(), has_ours);
    }
}
