//! Ways to be without a budget, or under one that lets no pod go (L137, L138, L140), by an editor of the namespace; each proved
//! by real evictions.

use std::fs;
use std::net::TcpListener;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::control_plane::evict;
use crate::controlplane::kubectl::Output;
use crate::controlplane::{ControlPlane, Quorate, shared, wait_for};

const POLICY: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: quorum }
spec:
  validate: { podDisruptionBudget: { action: Deny } }
  podDisruptionBudget: { maxUnavailable: Quorum }
";

/// A control plane of these tests' own: a controller looks after the whole cluster.
struct Stage {
    cluster: ControlPlane,
    policies: std::path::PathBuf,
}

fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        let cluster = ControlPlane::start().unwrap();
        cluster.add_nodes(3, &["zone-a", "zone-b", "zone-c"]).unwrap();
        let policies = cluster.run().path("red-team-policies");
        fs::create_dir(&policies).unwrap();
        let by_label =
            POLICY.replace("spec:\n", "spec:\n  match: { namespaceSelector: { matchLabels: { red: team } } }\n");
        fs::write(policies.join("policy.yaml"), by_label).unwrap();
        Stage { cluster, policies }
    })
}

/// A namespace whose budgets a controller looks after, without webhooks.
struct Place {
    cluster: &'static ControlPlane,
    namespace: String,
}

impl Place {
    fn new(prefix: &str) -> Self {
        static QUORATE: OnceLock<Quorate<'static>> = OnceLock::new();
        let Stage { cluster, policies } = stage();
        QUORATE.get_or_init(|| Quorate::builder(cluster).policies(policies).budgets().unregistered().start().unwrap());
        Self { cluster, namespace: cluster.namespace(prefix, &[("red", "team")]).unwrap() }
    }

    fn run(&self, words: &[&str], stdin: &str) -> Output {
        let call = self.cluster.kubectl(words).as_user("developer").namespace(&self.namespace);
        call.stdin(stdin).run().unwrap()
    }

    #[track_caller]
    fn kubectl(&self, words: &[&str]) -> String {
        let output = self.run(words, "");
        assert!(output.success(), "{output}");
        output.stdout
    }

    #[track_caller]
    fn apply(&self, object: &Value) {
        let output = self.run(&["apply", "-f", "-"], &object.to_string());
        assert!(output.success(), "{output}");
    }

    #[track_caller]
    fn patch(&self, object: &str, patch: &Value) {
        self.kubectl(&["patch", object, "--type=merge", "-p", &patch.to_string()]);
    }

    /// The same, however long the patch is, if the API server takes it.
    fn fill(&self, object: &str, patch: &Value) -> Result<()> {
        let output = self.run(&["patch", object, "--type=merge", "--patch-file=/dev/stdin"], &patch.to_string());
        ensure!(output.success(), "{output}");
        Ok(())
    }

    fn object(&self, kind: &str, name: &str) -> Result<Value> {
        self.cluster.object(&self.namespace, kind, name)
    }

    #[track_caller]
    fn budgets_are(&self, expected: &[&str]) {
        wait_for("the budgets", || {
            let names = self.cluster.kubectl(&["get", "pdb", "-o", "name"]).namespace(&self.namespace).ok()?;
            let names: Vec<_> =
                names.lines().map(|name| name.trim_start_matches("poddisruptionbudget.policy/")).collect();
            ensure!(names == expected, "{names:?}, not {expected:?}");
            Ok(())
        })
        .unwrap();
    }

    #[track_caller]
    fn ready(&self, name: &str, replicas: i64) {
        wait_for("the pods to be ready", || {
            let status = &self.object("statefulset", name)?["status"];
            ensure!(status["readyReplicas"] == replicas && status["replicas"] == replicas, "{status}");
            Ok(())
        })
        .unwrap();
    }

    /// Waits until a budget lets so many pods go.
    #[track_caller]
    fn allows(&self, name: &str, allowed: i64) -> Value {
        wait_for("the disruption controller", || {
            let budget = self.object("pdb", name)?;
            let status = &budget["status"];
            ensure!(status["disruptionsAllowed"] == allowed, "{budget}");
            ensure!(status["observedGeneration"] == budget["metadata"]["generation"], "{budget}");
            Ok(budget)
        })
        .unwrap()
    }

    /// Evicts these pods of a StatefulSet, none of which comes back meanwhile: how many went.
    #[track_caller]
    fn evicts(&self, pods: &[&str]) -> usize {
        let name = format!("sts/{}", pods[0].trim_end_matches("-0"));
        let scheduler = |name: &str| json!({"spec": {"template": {"spec": {"schedulerName": name}}}});
        self.patch(&name, &scheduler("nobody"));
        thread::sleep(Duration::from_secs(1));
        let answers = pods.iter().map(|pod| evict(self.cluster, &self.namespace, pod).unwrap());
        let count = answers.filter(|answer| answer.contains("Success")).count();
        self.patch(&name, &scheduler("default-scheduler"));
        thread::sleep(Duration::from_secs(1));
        self.kubectl(&["delete", "pods", "--field-selector=status.phase=Pending"]);
        count
    }

    #[track_caller]
    fn event(&self, reason: &str, phrase: &str) {
        wait_for("an Event", || {
            let events = self.cluster.kubectl(&["get", "events.events.k8s.io", "-o", "json"]);
            let events = events.namespace(&self.namespace).json()?;
            let events = events["items"].as_array().context("no list")?;
            let mut of_quorate = events.iter().filter(|event| event["reportingController"] == "quorate");
            let told = of_quorate.any(|event| {
                event["reason"] == reason && event["note"].as_str().is_some_and(|note| note.contains(phrase))
            });
            let notes: Vec<_> = events.iter().map(|event| (&event["reason"], &event["note"])).collect();
            ensure!(told, "{notes:?}");
            Ok(())
        })
        .unwrap();
    }
}

fn statefulset(name: &str, replicas: i32, labels: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "database", "image": "database.example/server:1"}],
                },
            },
        },
    })
}

fn budget(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec})
}

/// A selector of pods by their names.
fn named(names: &[&str]) -> Value {
    json!({"matchExpressions": [
        {"key": "statefulset.kubernetes.io/pod-name", "operator": "In", "values": names},
    ]})
}

const DB: [&str; 3] = ["db-0", "db-1", "db-2"];

#[test]
fn a_budget_on_nobodys_pods_takes_none_of_ours_away_l137() {
    let place = Place::new("nobody");
    place.apply(&statefulset("db", 3, &json!({"app": "db"})));
    place.ready("db", 3);
    for (name, selector) in [
        ("nobodys", named(&["nobody-0", "db-3"])),
        ("revision", json!({"matchLabels": {"controller-revision-hash": "nobodys"}})),
        ("zone", json!({"matchLabels": {"app": "db", "topology.kubernetes.io/zone": "nowhere"}})),
    ] {
        place.apply(&budget(name, &json!({"selector": selector, "maxUnavailable": "100%"})));
    }
    thread::sleep(Duration::from_secs(2));
    place.budgets_are(&["db-quorate", "nobodys", "revision", "zone"]);
    place.allows("db-quorate", 1);
    assert_eq!(place.evicts(&DB), 1, "the quorum is gone");
    place.ready("db", 3);

    // `db-3` comes and goes with the replicas, and ours goes and comes.
    place.kubectl(&["scale", "sts/db", "--replicas=4"]);
    place.budgets_are(&["nobodys", "revision", "zone"]);
    place.kubectl(&["scale", "sts/db", "--replicas=3"]);
    place.budgets_are(&["db-quorate", "nobodys", "revision", "zone"]);
    // So it does with the revision that pods have.
    let revision = place.object("sts", "db").unwrap()["status"]["updateRevision"].clone();
    place
        .patch("pdb/revision", &json!({"spec": {"selector": {"matchLabels": {"controller-revision-hash": revision}}}}));
    place.budgets_are(&["nobodys", "revision", "zone"]);
}

#[test]
fn all_pods_by_their_names_are_all_pods_l137() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(POLICY).start().unwrap();
    let place = Governed(cluster, quorate.namespace("by-name", &[]).unwrap());
    place.apply(&statefulset("db", 3, &json!({"app": "db"})), None);
    let blocks =
        |name: &str, names: &[&str], pods: i32| budget(name, &json!({"selector": named(names), "minAvailable": pods}));
    place.apply(&blocks("all", &DB, 3), Some("spec.minAvailable of PodDisruptionBudget all: 3 lets none of 3 pods"));
    place.apply(&blocks("more", &["db-2", "db-1", "db-0", "web-0"], 3), Some("3 lets none of 3 pods"));
    place.apply(&blocks("nobodys", &["nobody-0"], 1), None);
    let warning = place.apply(&blocks("two", &DB[..2], 2), None);
    assert!(warning.contains("2 lets none of 2 pods be evicted"), "{warning}");

    // One that says it is ours is judged as any other (L138).
    let uid = cluster.object(&place.1, "sts", "db").unwrap()["metadata"]["uid"].clone();
    let mut forged = budget("db-quorate", &json!({"selector": {"matchLabels": {"app": "db"}}, "minAvailable": "100%"}));
    forged["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "quorate"});
    forged["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": uid, "controller": true}]);
    place.apply(&forged, Some("100% lets none of 3 pods"));
    forged["spec"] = json!({"selector": {"matchLabels": {"app": "db"}}, "maxUnavailable": 1});
    place.apply(&forged, None);
    forged["spec"]["maxUnavailable"] = json!(0);
    place.apply(&forged, Some("0 lets none of 3 pods"));

    // Another with the same labels: the warning names both (L140).
    let warning = place.apply(&statefulset("cache", 3, &json!({"app": "db"})), None);
    assert!(warning.contains("StatefulSet cache and StatefulSet db select each other's pods"), "{warning}");
}

/// A namespace in front of which the webhooks are.
struct Governed<'c>(&'c ControlPlane, String);

impl Governed<'_> {
    /// Applies as a developer; it is denied with this phrase, or admitted. What was said.
    #[track_caller]
    fn apply(&self, object: &Value, denied: Option<&str>) -> String {
        let call = self.0.kubectl(&["apply", "-f", "-"]).as_user("developer").namespace(&self.1);
        let output = call.stdin(&object.to_string()).run().unwrap();
        match denied {
            Some(phrase) => assert!(!output.success() && output.stderr.contains(phrase), "{output}"),
            None => assert!(output.success(), "{output}"),
        }
        output.stderr
    }
}

#[test]
fn one_of_ours_that_a_finalizer_holds_is_put_right_l138() {
    let place = Place::new("held");
    place.apply(&statefulset("db", 3, &json!({"app": "db"})));
    place.ready("db", 3);
    place.allows("db-quorate", 1);
    place.patch("pdb/db-quorate", &json!({"metadata": {"finalizers": ["example.com/mine"]}}));
    place.kubectl(&["delete", "pdb", "db-quorate", "--wait=false"]);
    for spec in [
        json!({"maxUnavailable": 0}),
        json!({"maxUnavailable": null, "minAvailable": "100%"}),
        json!({"selector": {"matchLabels": {"app": "web"}}}),
    ] {
        place.patch("pdb/db-quorate", &json!({"spec": spec}));
        let budget = place.allows("db-quorate", 1);
        assert_eq!(budget["spec"]["selector"], json!({"matchLabels": {"app": "db"}}), "after {spec}");
    }
    place.event("BudgetHeld", "metadata.finalizers hold it: example.com/mine");
    assert_eq!(place.evicts(&DB), 1);
    place.ready("db", 3);

    // Where there must be none, it selects nothing: theirs is the only one.
    place.apply(&budget("theirs", &json!({"selector": {"matchLabels": {"app": "db"}}, "maxUnavailable": 1})));
    wait_for("ours to be empty", || {
        let ours = place.object("pdb", "db-quorate")?;
        ensure!(ours["spec"].get("selector").is_none(), "{ours}");
        Ok(())
    })
    .unwrap();
    place.allows("theirs", 1);
    assert_eq!(place.evicts(&DB), 1);
    place.patch("pdb/db-quorate", &json!({"metadata": {"finalizers": null}}));
    place.kubectl(&["delete", "pdb", "theirs"]);
    place.allows("db-quorate", 1);
}

/// One that is planted beforehand, with our label: under our name, and under another one.
#[test]
fn what_is_planted_before_the_statefulset_is_taken_over_or_emptied_l138() {
    let place = Place::new("planted");
    for name in ["db-quorate", "planted-quorate"] {
        let mut planted = budget(name, &json!({"selector": {"matchLabels": {"app": "db"}}, "minAvailable": "100%"}));
        planted["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "quorate"});
        planted["metadata"]["finalizers"] = json!(["example.com/mine"]);
        place.apply(&planted);
    }
    place.apply(&statefulset("db", 3, &json!({"app": "db"})));
    place.ready("db", 3);
    wait_for("the planted one to be empty", || {
        let planted = place.object("pdb", "planted-quorate")?;
        ensure!(planted["spec"].get("selector").is_none(), "{planted}");
        Ok(())
    })
    .unwrap();
    place.allows("db-quorate", 1);
    assert_eq!(place.evicts(&DB), 1);
}

/// Ready pods of others would be counted as members, and those of a Job can't be counted at all.
#[test]
fn pods_that_the_statefulset_does_not_own_neither_block_nor_count_l140() {
    let place = Place::new("strangers");
    place.apply(&statefulset("db", 3, &json!({"app": "db"})));
    place.ready("db", 3);
    place.allows("db-quorate", 1);
    let spec = json!({"containers": [{"name": "job", "image": "job.example/job:1"}], "restartPolicy": "Never"});
    place.apply(&json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "backup"},
        "spec": {"parallelism": 2, "completions": 2, "template": {"metadata": {"labels": {"app": "db"}}, "spec": spec}},
    }));
    for number in 0..2 {
        let metadata = json!({"name": format!("bare-{number}"), "labels": {"app": "db"}});
        place.apply(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}));
    }
    let ours = wait_for("ours to name its pods", || {
        let ours = place.object("pdb", "db-quorate")?;
        ensure!(ours["spec"]["minAvailable"] == 2, "{ours}");
        Ok(ours)
    });
    assert_eq!(ours.unwrap()["spec"]["selector"]["matchExpressions"][0]["values"], json!(DB));
    place.event("PodsNotOwned", "more; PodDisruptionBudget db-quorate names the StatefulSet's own pods");
    place.allows("db-quorate", 1);
    assert_eq!(place.evicts(&DB), 1, "the quorum is gone, or nothing can be drained");
    place.ready("db", 3);
    // It is kept in step.
    place.kubectl(&["scale", "sts/db", "--replicas=5"]);
    place.ready("db", 5);
    place.allows("db-quorate", 2);
    // And is as before when they are gone.
    place.kubectl(&["delete", "job/backup", "pod/bare-0", "pod/bare-1"]);
    wait_for("ours to be as before", || {
        let ours = place.object("pdb", "db-quorate")?;
        ensure!(ours["spec"]["maxUnavailable"] == 2, "{ours}");
        Ok(())
    })
    .unwrap();
}

/// What an editor writes into the metadata of one of ours, which no webhook is asked about, so that no eviction fits beside it.
#[test]
fn one_of_ours_that_is_filled_up_is_slimmed_l138() {
    let place = Place::new("full");
    place.apply(&statefulset("db", 3, &json!({"app": "db"})));
    place.ready("db", 3);
    let before = place.allows("db-quorate", 1);
    let ours = before["metadata"]["ownerReferences"][0].clone();
    let slim = || {
        wait_for("ours to be slim", || {
            let budget = place.object("pdb", "db-quorate")?;
            let length = budget["metadata"].to_string().len();
            ensure!(length < 4_000, "{length} bytes of metadata");
            ensure!(budget["metadata"]["ownerReferences"] == json!([ours]), "{budget}");
            ensure!(budget["metadata"]["labels"] == before["metadata"]["labels"], "{budget}");
            ensure!(budget["spec"] == before["spec"], "{budget}");
            Ok(budget)
        })
        .unwrap()
    };
    let members = |count: usize, value: &Value| -> Value {
        (0..count).map(|number| (format!("example.com/{}-{number}", "x".repeat(40)), value.clone())).collect()
    };
    let owner = |length: usize| {
        let other = json!({"apiVersion": "example.com/v1", "kind": "K", "uid": "u", "name": "y".repeat(length)});
        json!({"metadata": {"ownerReferences": [ours, other]}})
    };
    let fields: Value = (0..10_000).map(|number| (format!("f:example.com/{number}"), json!({}))).collect();
    let managed = json!([{
        "manager": "me", "operation": "Apply", "apiVersion": "policy/v1", "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:labels": fields}},
    }]);
    let fills = [
        json!({"metadata": {"labels": members(10_000, &json!("v"))}}),
        json!({"metadata": {"annotations": members(2_000, &json!("v"))}, "spec": {"maxUnavailable": 0}}),
        json!({"metadata": {"managedFields": managed}}),
    ];
    for fill in &fills {
        place.fill("pdb/db-quorate", fill).unwrap();
        slim();
    }
    // The longest that etcd takes: not a byte is left for `status.disruptedPods`.
    let longest =
        (0..50).map(|step| 1_572_400 - 40 * step).find(|length| place.fill("pdb/db-quorate", &owner(*length)).is_ok());
    assert!(longest.is_some_and(|length| length > 1_500_000), "{longest:?}");
    slim();
    place.event("BudgetCorrected", "bytes of labels, annotations, ownerReferences, finalizers and managedFields");
    place.allows("db-quorate", 1);
    assert_eq!(place.evicts(&DB), 1, "no pod can be evicted, or the quorum is gone");
    place.ready("db", 3);

    // One that a finalizer holds keeps it; thousands of finalizers hold nothing.
    place.patch("pdb/db-quorate", &json!({"metadata": {"finalizers": ["example.com/mine"]}}));
    place.kubectl(&["delete", "pdb", "db-quorate", "--wait=false"]);
    place.fill("pdb/db-quorate", &owner(1_500_000)).unwrap();
    assert_eq!(slim()["metadata"]["finalizers"], json!(["example.com/mine"]));
    place.patch("pdb/db-quorate", &json!({"metadata": {"finalizers": null}}));
    place.allows("db-quorate", 1);
    let finalizers: Vec<String> = (0..5_000).map(|number| format!("example.com/{number}")).collect();
    place.fill("pdb/db-quorate", &json!({"metadata": {"finalizers": finalizers}})).unwrap();
    assert_eq!(slim()["metadata"].get("finalizers"), None);
}

/// Nobody makes the pods any more that it is to have, and the disruption controller counts each as disrupted.
#[test]
fn one_that_is_being_deleted_and_scaled_up_can_be_drained_l138() {
    let place = Place::new("leaving");
    place.apply(&statefulset("db", 3, &json!({"app": "db"})));
    place.ready("db", 3);
    place.allows("db-quorate", 1);
    place.patch("sts/db", &json!({"metadata": {"finalizers": ["example.com/hold"]}}));
    place.kubectl(&["delete", "sts", "db", "--wait=false"]);
    thread::sleep(Duration::from_secs(1));
    place.allows("db-quorate", 1);
    place.kubectl(&["scale", "sts/db", "--replicas=100"]);
    // None of them comes back.
    for pod in DB {
        thread::sleep(Duration::from_secs(2));
        let answer = evict(place.cluster, &place.namespace, pod).unwrap();
        assert!(answer.contains("Success"), "{pod}: {answer}");
    }
    place.patch("sts/db", &json!({"metadata": {"finalizers": null}}));
}

/// One that has more pods than a budget names, none of which start, blocks nobody's drain either.
#[test]
fn a_large_neighbour_with_the_same_labels_blocks_no_drain_l140() {
    let place = Place::new("large");
    let labels = json!({"release": "shop"});
    place.apply(&statefulset("db", 3, &labels));
    place.ready("db", 3);
    let mut large = statefulset("large", 1_001, &labels);
    large["spec"]["podManagementPolicy"] = json!("OrderedReady");
    large["spec"]["template"]["spec"]["schedulerName"] = json!("nobody");
    place.apply(&large);
    place.budgets_are(&["db-quorate", "large-quorate"]);
    let ours = place.object("pdb", "large-quorate").unwrap();
    let name = "statefulset.kubernetes.io/pod-name";
    let expected = json!([{"key": name, "operator": "Exists"}, {"key": name, "operator": "NotIn", "values": DB}]);
    assert_eq!(ours["spec"]["selector"]["matchExpressions"], expected);
    assert_eq!(ours["spec"]["minAvailable"], 501);
    place.allows("db-quorate", 1);
    assert_eq!(place.evicts(&DB), 1, "the healthy one can't be drained, or lost its quorum");
    // Two that are too large: they can't be told from each other, and the small one keeps its own.
    large["metadata"]["name"] = json!("larger");
    place.apply(&large);
    place.event("BudgetImpossible", "StatefulSet larger has the same labels");
    place.budgets_are(&["db-quorate"]);
    place.ready("db", 3);
    place.allows("db-quorate", 1);
}

/// One whose pods never start blocks nobody's drain; of two that are healthy none loses its quorum.
#[test]
fn of_two_with_the_same_labels_each_keeps_its_quorum_l140() {
    let place = Place::new("neighbours");
    let labels = json!({"release": "shop"});
    place.apply(&statefulset("db", 3, &labels));
    place.ready("db", 3);
    let mut never = statefulset("never", 3, &labels);
    never["spec"]["template"]["spec"]["schedulerName"] = json!("nobody");
    place.apply(&never);
    place.budgets_are(&["db-quorate", "never-quorate"]);
    place.allows("db-quorate", 1);
    assert_eq!(place.evicts(&DB), 1, "the healthy one can't be drained, or lost its quorum");
    place.ready("db", 3);
    // Once its pods start it has a quorum to keep, and the other one still has its own.
    place.patch("sts/never", &json!({"spec": {"template": {"spec": {"schedulerName": "default-scheduler"}}}}));
    place.kubectl(&["delete", "pods", "-l", "release=shop", "--field-selector=status.phase=Pending"]);
    place.ready("never", 3);
    place.allows("never-quorate", 1);
    place.allows("db-quorate", 1);
    assert_eq!(place.evicts(&["never-0", "never-1", "never-2"]), 1);
    assert_eq!(place.evicts(&DB), 1);
}

/// Where each write takes nine seconds, as of a webhook of somebody else's that does not answer, others' budgets are there at once.
#[test]
fn nobody_waits_for_the_budgets_of_a_slow_namespace_l141() {
    let (slow, other) = (Place::new("slow"), Place::new("swift"));
    let (cluster, silent) = (slow.cluster, TcpListener::bind("127.0.0.1:0").unwrap());
    let webhooks = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "silent"},
        "webhooks": [{
            "name": "silent.example.com",
            "clientConfig": {"url": format!("https://{}/", silent.local_addr().unwrap())},
            "rules": [{"apiGroups": ["policy"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["*"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": slow.namespace}},
            "timeoutSeconds": 9,
            "failurePolicy": "Ignore",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }],
    });
    cluster.kubectl(&["apply", "-f", "-"]).stdin(&webhooks.to_string()).ok().unwrap();
    let without_pods = |name: &str| {
        let mut set = statefulset(name, 3, &json!({"app": name}));
        set["spec"]["template"]["spec"]["serviceAccountName"] = json!("absent");
        set
    };
    // It takes the API server a moment to ask about it.
    wait_for("the webhook", || {
        let dry_run = budget("probe", &json!({"maxUnavailable": 1}));
        let begun = Instant::now();
        let call = slow.run(&["create", "--dry-run=server", "-f", "-"], &dry_run.to_string());
        ensure!(call.success() && begun.elapsed() > Duration::from_secs(8), "{call}");
        Ok(())
    })
    .unwrap();
    let sets: Vec<_> = (0..20).map(|number| without_pods(&format!("db{number}"))).collect();
    slow.apply(&json!({"apiVersion": "v1", "kind": "List", "items": sets}));
    thread::sleep(Duration::from_secs(1));
    for name in ["a", "b", "c"] {
        other.apply(&without_pods(name));
        let begun = Instant::now();
        wait_for("the budget", || other.object("pdb", &format!("{name}-quorate"))).unwrap();
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "the budget of {name} took {took:?}");
    }
    cluster.kubectl(&["delete", "validatingwebhookconfiguration", "silent"]).ok().unwrap();
}
