//! The life of a budget. Every step is checked by a real eviction where there is something to evict.

use std::fs;

use anyhow::ensure;
use serde_json::{Value, json};

use super::*;
use crate::controlplane::shared;

fn app(name: &str) -> Value {
    json!({"app": name})
}

const DENYING: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: denying }
spec:
  match: { objectSelector: { matchLabels: { denied: 'yes' } } }
  validate: { replicas: { action: Deny, minimum: 9 } }
";

/// What will follow is announced, by a dry run too; what stays as it is, is not.
#[test]
fn admission_announces_it() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(POLICIES).policy(DENYING).start().unwrap();
    let namespace = quorate.namespace("announced", &[("budgets", "quorum")]).unwrap();
    let warnings = |set: &Value, flags: &[&str]| {
        let call = cluster.kubectl(&[&["apply", "-f", "-"], flags].concat()).namespace(&namespace);
        let output = call.stdin(&set.to_string()).run().unwrap();
        assert!(output.success(), "{output}");
        output.stderr
    };
    let announced = |count: i32| {
        format!("Warning: PodDisruptionBudget db-quorate (maxUnavailable {count}) will follow (policy quorum)\n")
    };
    let mut set = statefulset("db", 3, &app("db"));
    assert_eq!(warnings(&set, &["--dry-run=server"]), announced(1));
    assert_eq!(warnings(&set, &[]), announced(1));
    set["spec"]["replicas"] = json!(4);
    assert_eq!(warnings(&set, &[]), "");
    set["spec"]["replicas"] = json!(5);
    assert_eq!(warnings(&set, &[]), announced(2));
    assert_eq!(warnings(&statefulset("one", 1, &app("one")), &[]), "");
    let mut denied = statefulset("denied", 3, &app("denied"));
    denied["metadata"]["labels"] = json!({"denied": "yes"});
    let output = cluster.kubectl(&["apply", "-f", "-"]).namespace(&namespace).stdin(&denied.to_string()).run().unwrap();
    assert!(!output.success() && !output.stderr.contains("will follow"), "{output}");
    apply(cluster, &namespace, &budget("theirs", &json!({"matchLabels": {"app": "web"}})));
    wait_for("the cache", || {
        let found = warnings(&statefulset("web", 3, &app("web")), &["--dry-run=server"]);
        ensure!(found.is_empty(), "{found}");
        Ok(())
    })
    .unwrap();
}

/// L50, L56: theirs comes, in every shape of selector, and goes.
#[test]
fn a_users_budget_goes_first_and_ours_comes_back_l50() {
    let (cluster, namespace) = namespace("overlap", "quorum");
    apply(cluster, &namespace, &statefulset("db", 3, &app("db")));
    let ours = budget_allows(cluster, &namespace, "db-quorate", 1);
    assert_eq!(ours["metadata"]["labels"], json!({"app.kubernetes.io/managed-by": "quorate"}));
    let owner = &ours["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["controller"], &owner["blockOwnerDeletion"]), (&json!(true), &json!(false)), "{owner}");
    assert_eq!(ours["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    event(cluster, &namespace, "db", "BudgetCreated", "db-quorate now has maxUnavailable 1");
    evicted(cluster, &namespace, "db", 3);

    apply(cluster, &namespace, &budget("unrelated", &json!({"matchLabels": {"app": "web"}})));
    let selectors = [
        json!({"matchLabels": {"app": "db"}}),
        json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "web"]}]}),
        json!({}),
    ];
    for selector in selectors {
        apply(cluster, &namespace, &budget("theirs", &selector));
        budgets_are(cluster, &namespace, &["theirs", "unrelated"]);
        if selector == json!({}) {
            // It selects the pods of the other one too, which is theirs to settle.
            kubectl(cluster, &namespace, &["delete", "pdb", "unrelated"]);
        }
        evicted(cluster, &namespace, "db", 3);
        kubectl(cluster, &namespace, &["delete", "pdb", "theirs"]);
        apply(cluster, &namespace, &budget("unrelated", &json!({"matchLabels": {"app": "web"}})));
        budgets_are(cluster, &namespace, &["db-quorate", "unrelated"]);
        evicted(cluster, &namespace, "db", 3);
    }
    event(cluster, &namespace, "db", "BudgetWithdrawn", "PodDisruptionBudget theirs covers the pods");

    let before = cluster.object(&namespace, "pdb", "db-quorate").unwrap();
    kubectl(cluster, &namespace, &["delete", "pdb", "unrelated"]);
    budgets_are(cluster, &namespace, &["db-quorate"]);
    let after = cluster.object(&namespace, "pdb", "db-quorate").unwrap();
    assert_eq!(before["metadata"]["uid"], after["metadata"]["uid"], "an unrelated budget changed ours");
}

/// L51, L52
#[test]
fn replicas_withdraw_it_and_size_it_l51_l52() {
    let (cluster, namespace) = namespace("scaled", "quorum");
    apply(cluster, &namespace, &statefulset("db", 3, &app("db")));
    budget_allows(cluster, &namespace, "db-quorate", 1);
    evicted(cluster, &namespace, "db", 3);
    let scale = |replicas: &str| kubectl(cluster, &namespace, &["scale", "sts/db", "--replicas", replicas]);
    scale("1");
    budgets_are(cluster, &namespace, &[]);
    event(cluster, &namespace, "db", "BudgetWithdrawn", "fewer than 2 replicas");
    evicted(cluster, &namespace, "db", 1);
    scale("3");
    ready(cluster, &namespace, "db", 3);
    budget_allows(cluster, &namespace, "db-quorate", 1);
    evicted(cluster, &namespace, "db", 3);
    scale("5");
    ready(cluster, &namespace, "db", 5);
    budget_allows(cluster, &namespace, "db-quorate", 2);
    evicted(cluster, &namespace, "db", 5);
    scale("0");
    budgets_are(cluster, &namespace, &[]);
}

#[test]
fn a_changed_policy_changes_it() {
    let (cluster, namespace) = namespace("changing", "changing");
    apply(cluster, &namespace, &statefulset("db", 4, &app("db")));
    ready(cluster, &namespace, "db", 4);
    budget_allows(cluster, &namespace, "db-quorate", 1);
    let file = stage().policies.join("changing.yaml");
    fs::write(&file, changing("podDisruptionBudget: { maxUnavailable: 3 }")).unwrap();
    budget_allows(cluster, &namespace, "db-quorate", 3);
    fs::write(&file, changing("validate: {}")).unwrap();
    budgets_are(cluster, &namespace, &[]);
    event(cluster, &namespace, "db", "BudgetWithdrawn", "no policy asks for one");

    // A pod that somebody labelled by hand is under their budget too, as only the pods tell.
    let mut theirs = budget("theirs", &json!({"matchLabels": {"special": "yes"}}));
    // Of one pod among four, maxUnavailable 1 would let none go: Kubernetes counts those of the whole StatefulSet.
    theirs["spec"] = json!({"minAvailable": 0, "selector": theirs["spec"]["selector"]});
    apply(cluster, &namespace, &theirs);
    kubectl(cluster, &namespace, &["label", "pod", "db-0", "special=yes"]);
    // By another name, so that a replica's log tells that it has this one: from a reload, or from its start, where the test of
    // failover has started it again meanwhile.
    let renamed =
        changing("podDisruptionBudget: { maxUnavailable: 50% }").replace("name: changing", "name: changing-again");
    fs::write(&file, renamed).unwrap();
    wait_for("the policy to be read", || {
        let (first, second) = {
            let pair = replicas();
            (pair.first.log(), pair.second.log())
        };
        for log in [first, second] {
            ensure!(log.contains("changing-again"), "{log}");
        }
        Ok(())
    })
    .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    budgets_are(cluster, &namespace, &["theirs"]);
    evicted(cluster, &namespace, "db", 4);
    kubectl(cluster, &namespace, &["delete", "pdb", "theirs"]);
    budgets_are(cluster, &namespace, &["db-quorate"]);
    let ours = cluster.object(&namespace, "pdb", "db-quorate").unwrap();
    assert_eq!(ours["spec"]["maxUnavailable"], "50%");
}

/// L96: whatever somebody does to ours.
#[test]
fn what_somebody_does_to_it_is_put_right_l96() {
    let (cluster, namespace) = namespace("drift", "quorum");
    apply(cluster, &namespace, &statefulset("db", 3, &app("db")));
    let made = budget_allows(cluster, &namespace, "db-quorate", 1);
    let patches = [
        r#"{"spec":{"maxUnavailable":0}}"#,
        r#"{"spec":{"maxUnavailable":null,"minAvailable":3}}"#,
        r#"{"spec":{"selector":{"matchLabels":{"app":"web","more":"x"}}}}"#,
        r#"{"spec":{"unhealthyPodEvictionPolicy":"IfHealthyBudget"}}"#,
        r#"{"metadata":{"ownerReferences":null}}"#,
    ];
    for patch in patches {
        kubectl(cluster, &namespace, &["patch", "pdb", "db-quorate", "--type=merge", "-p", patch]);
        wait_for("the repair", || {
            let budget = cluster.object(&namespace, "pdb", "db-quorate")?;
            ensure!(budget["spec"] == made["spec"], "after {patch}: {}", budget["spec"]);
            let owners = &budget["metadata"]["ownerReferences"];
            ensure!(*owners == made["metadata"]["ownerReferences"], "after {patch}: {owners}");
            Ok(())
        })
        .unwrap();
        budget_allows(cluster, &namespace, "db-quorate", 1);
    }
    evicted(cluster, &namespace, "db", 3);
    kubectl(cluster, &namespace, &["delete", "pdb", "db-quorate"]);
    budget_allows(cluster, &namespace, "db-quorate", 1);
    evicted(cluster, &namespace, "db", 3);
    // And where nobody does anything, nothing is written.
    let before = cluster.object(&namespace, "pdb", "db-quorate").unwrap();
    kubectl(cluster, &namespace, &["annotate", "sts", "db", "some=thing"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let after = cluster.object(&namespace, "pdb", "db-quorate").unwrap();
    let written = |budget: &Value| (budget["metadata"]["uid"].clone(), budget["metadata"]["generation"].clone());
    assert_eq!(written(&before), written(&after));
}

/// L54, L96: the name is theirs, and stays so.
#[test]
fn a_name_that_is_taken_is_left_alone_l54_l96() {
    let (cluster, namespace) = namespace("taken", "quorum");
    let mut theirs = budget("db-quorate", &json!({"matchLabels": {"app": "web"}}));
    theirs["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm"});
    apply(cluster, &namespace, &theirs);
    let before = cluster.object(&namespace, "pdb", "db-quorate").unwrap();
    apply(cluster, &namespace, &statefulset("db", 3, &app("db")));
    event(cluster, &namespace, "db", "BudgetNameTaken", "There is a PodDisruptionBudget db-quorate");
    evicted(cluster, &namespace, "db", 3);
    let after = cluster.object(&namespace, "pdb", "db-quorate").unwrap();
    let written = |budget: &Value| {
        let metadata = &budget["metadata"];
        ["uid", "generation", "labels", "annotations", "ownerReferences"].map(|field| metadata[field].clone())
    };
    assert_eq!(written(&before), written(&after));
    kubectl(cluster, &namespace, &["delete", "pdb", "db-quorate"]);
    budget_allows(cluster, &namespace, "db-quorate", 1);
    evicted(cluster, &namespace, "db", 3);
}

/// L50, L56: a release-wide selector.
#[test]
fn overlapping_statefulsets_share_one_l50_l56() {
    let (cluster, namespace) = namespace("shared", "quorum");
    apply(cluster, &namespace, &statefulset("kafka", 3, &json!({"release": "kafka"})));
    apply(cluster, &namespace, &statefulset("zookeeper", 3, &json!({"release": "kafka"})));
    event(cluster, &namespace, "zookeeper", "BudgetShared", "PodDisruptionBudget kafka-quorate covers the pods");
    budgets_are(cluster, &namespace, &["kafka-quorate"]);
    evicted(cluster, &namespace, "kafka", 3);
    evicted(cluster, &namespace, "zookeeper", 3);
    kubectl(cluster, &namespace, &["delete", "sts", "kafka"]);
    budgets_are(cluster, &namespace, &["zookeeper-quorate"]);
    evicted(cluster, &namespace, "zookeeper", 3);
}

/// L27: an operator's own.
#[test]
fn what_an_operator_owns_has_none_unless_the_policy_enforces_l27() {
    for (policy, expected) in [("quorum", &[][..]), ("enforcing", &["owned-quorate"][..])] {
        let (cluster, namespace) = namespace("owned", policy);
        define_postgresql(cluster);
        let operator =
            json!({"apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {"name": "operator"}});
        apply(cluster, &namespace, &operator);
        let uid =
            cluster.object(&namespace, "postgresqls.acid.zalan.do", "operator").unwrap()["metadata"]["uid"].clone();
        let mut owned = statefulset("owned", 2, &app("owned"));
        owned["metadata"]["ownerReferences"] = json!([
            {"apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "name": "operator", "uid": uid, "controller": true}
        ]);
        apply(cluster, &namespace, &owned);
        apply(cluster, &namespace, &statefulset("plain", 2, &app("plain")));
        budgets_are(cluster, &namespace, &[expected, &["plain-quorate"]].concat());
    }
}

/// The kind that Zalando's operator looks after; one that isn't served is nobody's (L133).
fn define_postgresql(cluster: &ControlPlane) {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "postgresqls.acid.zalan.do"},
        "spec": {
            "group": "acid.zalan.do",
            "scope": "Namespaced",
            "names": {"kind": "postgresql", "listKind": "postgresqlList", "plural": "postgresqls", "singular": "postgresql"},
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
    cluster.kubectl(&["wait", "--for=condition=Established", "crd/postgresqls.acid.zalan.do"]).ok().unwrap();
}

/// L94: with the StatefulSet goes its budget, and a new one of its name has one of its own.
#[test]
fn it_goes_with_its_statefulset() {
    let (cluster, namespace) = namespace("gone", "quorum");
    let set = statefulset("db", 3, &app("db"));
    apply(cluster, &namespace, &set);
    budget_allows(cluster, &namespace, "db-quorate", 1);

    kubectl(cluster, &namespace, &["delete", "sts", "db", "--cascade=orphan"]);
    apply(cluster, &namespace, &set);
    let uid = cluster.object(&namespace, "sts", "db").unwrap()["metadata"]["uid"].clone();
    wait_for("the new one's budget", || {
        let budget = cluster.object(&namespace, "pdb", "db-quorate")?;
        let owner = &budget["metadata"]["ownerReferences"][0]["uid"];
        ensure!(*owner == uid, "it is of {owner}");
        Ok(())
    })
    .unwrap();
    evicted(cluster, &namespace, "db", 3);

    kubectl(cluster, &namespace, &["delete", "sts", "db"]);
    budgets_are(cluster, &namespace, &[]);
    apply(cluster, &namespace, &set);
    budget_allows(cluster, &namespace, "db-quorate", 1);
    kubectl(cluster, &namespace, &["delete", "namespace", &namespace, "--timeout=180s"]);
}

/// L57: while there are two, the disruption controller sees changes of pods to one of them only.
#[test]
fn where_theirs_is_stuck_an_event_says_so_l57() {
    let (cluster, namespace) = namespace("stuck", "quorum");
    apply(cluster, &namespace, &statefulset("db", 2, &app("db")));
    budget_allows(cluster, &namespace, "db-quorate", 1);
    let mut replicas = replicas();
    let (leader, _) = replicas.leader();
    let status = |ready: &str| {
        let patch = json!({"status": {"conditions": [{"type": "Ready", "status": ready}]}}).to_string();
        kubectl(cluster, &namespace, &["patch", "pod", "db-1", "--subresource=status", "-p", &patch]);
    };
    let allowed = || -> Result<Value> { Ok(cluster.object(&namespace, "pdb", "theirs")?["status"].clone()) };
    leader.process().signal("STOP").unwrap();
    let forgotten = wait_for("theirs to be forgotten", || {
        // Made while a pod isn't ready, it lets none go; then the pod becomes ready, and either of the two hears of it.
        status("False");
        apply(cluster, &namespace, &budget("theirs", &json!({"matchLabels": {"app": "db"}})));
        let seen = wait_for("its status", || {
            let status = allowed()?;
            ensure!(status["expectedPods"] == 2 && status["disruptionsAllowed"] == 0, "{status}");
            Ok(())
        });
        status("True");
        ready(cluster, &namespace, "db", 2);
        std::thread::sleep(std::time::Duration::from_millis(500));
        let status = allowed()?;
        seen?;
        if status["disruptionsAllowed"] != 0 {
            kubectl(cluster, &namespace, &["delete", "pdb", "theirs"]);
            anyhow::bail!("it heard of the pod");
        }
        Ok(())
    });
    leader.process().signal("CONT").unwrap();
    drop(replicas);
    forgotten.unwrap();
    budgets_are(cluster, &namespace, &["theirs"]);
    let told = event(cluster, &namespace, "db", "BudgetStuck", "disruptionsAllowed: 0 though all 2 pods are ready");
    assert_eq!(told["type"], "Warning");
    let theirs = cluster.object(&namespace, "pdb", "theirs").unwrap();
    assert_eq!(theirs["metadata"]["generation"], 1, "somebody wrote it: {theirs}");
    // What the Event says helps.
    kubectl(cluster, &namespace, &["annotate", "pdb", "theirs", "counted=again", "--overwrite"]);
    evicted(cluster, &namespace, "db", 2);
}
