//! No rollout that nobody asked for, and no fight with whoever writes the object again.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{pod, policy, settled, stateless};
use crate::controlplane::{ControlPlane, Quorate, shared, wait_for};

fn soft() -> String {
    policy(
        "soft",
        None,
        &json!({
            "podAntiAffinity": [{"topologyKey": "kubernetes.io/hostname", "mode": "Required"}],
            "topologySpreadConstraints": [
                {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
            ]
        }),
    )
}

/// The update revision of each StatefulSet, once the controller has seen all of them as they are.
fn revisions(cluster: &ControlPlane, namespace: &str) -> Result<BTreeMap<String, String>> {
    wait_for("the controller to see every StatefulSet", || {
        let sets = cluster.kubectl(&["get", "statefulsets", "-n", namespace, "-o", "json"]).json()?;
        let mut found = BTreeMap::new();
        for set in sets["items"].as_array().into_iter().flatten() {
            ensure!(set["status"]["observedGeneration"] == set["metadata"]["generation"], "{}", set["status"]);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            found.insert(text(&set["metadata"]["name"]), text(&set["status"]["updateRevision"]));
        }
        Ok(found)
    })
}

/// L24, L60, L64, L65: fifty StatefulSets that were there before Quorate.
#[test]
fn what_was_there_before_rolls_out_only_when_asked_l24_l64_l65() {
    const COUNT: usize = 50;
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&soft()).unregistered().start().unwrap();
    let namespace = quorate.namespace("before", &[]).unwrap();
    let mut sets: Vec<Value> = (0..COUNT).map(|number| stateless(&format!("db-{number}"), 0, &json!({}))).collect();
    for set in &mut sets {
        // A label of the template that is not in the selector never gets into a term (L60).
        set["spec"]["template"]["metadata"]["labels"]["release"] = json!("1");
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": sets});
    cluster.kubectl(&["create", "-f", "-"]).namespace(&namespace).stdin(&list.to_string()).ok().unwrap();
    let before = revisions(cluster, &namespace).unwrap();
    assert_eq!(before.len(), COUNT);

    quorate.register().unwrap();
    let all = |words: &[&str]| {
        let said = cluster.kubectl(words).namespace(&namespace).as_user("developer").run().unwrap();
        assert!(said.success(), "{said}");
        said
    };
    let labelled = all(&["label", "statefulset", "--all", "team=a"]);
    assert!(labelled.stderr.contains("pending injection"), "{labelled}");
    all(&["annotate", "statefulset", "--all", "example.com/note=a"]);
    all(&["scale", "statefulset", "--all", "--replicas=1"]);
    assert_eq!(revisions(cluster, &namespace).unwrap(), before, "a label, an annotation or a scale made a revision");

    let imaged = all(&["set", "image", "statefulset", "--all", "db=db.example/server:2"]);
    assert!(imaged.stderr.contains("preferred, not required: the StatefulSet exists already"), "{imaged}");
    let after = revisions(cluster, &namespace).unwrap();
    assert!(before.iter().all(|(name, revision)| after.get(name) != Some(revision)), "no rollout");
    let set = cluster.object(&namespace, "statefulset", "db-7").unwrap();
    let own = json!({"matchLabels": {"app": "db-7"}});
    let term = &pod(&set, "affinity/podAntiAffinity")["preferredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(term["podAffinityTerm"], json!({"labelSelector": own, "topologyKey": "kubernetes.io/hostname"}));
    assert_eq!(pod(&set, "topologySpreadConstraints")[0]["labelSelector"], own);
    assert!(set["metadata"]["annotations"]["quorate.dev/injected"].is_string());

    all(&["scale", "statefulset", "--all", "--replicas=0"]);
    all(&["label", "statefulset", "--all", "team=b", "--overwrite"]);
    assert_eq!(revisions(cluster, &namespace).unwrap(), after, "a second rollout");
}

/// L24: what was stored while Quorate was not called is counted until it has what it lacks.
#[test]
fn what_was_stored_without_an_injection_is_counted_l24() {
    const POLICY: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: counted }
spec:
  match: { namespaceSelector: { matchLabels: { counted: l24 } } }
  mutate:
    podAntiAffinity: [{ topologyKey: kubernetes.io/hostname, mode: Preferred }]
";
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(POLICY).unregistered().start().unwrap();
    let namespace = quorate.namespace("counted", &[("counted", "l24")]).unwrap();
    let pending = |count: usize| {
        wait_for("the pending injections to be counted", || {
            let metrics = quorate.metrics()?;
            let line = format!("quorate_pending_injections {count}");
            ensure!(metrics.lines().any(|each| each == line), "{metrics}");
            Ok(())
        })
        .unwrap();
    };
    for name in ["one", "two", "three"] {
        let set = stateless(name, 0, &json!({})).to_string();
        cluster.kubectl(&["create", "-f", "-"]).namespace(&namespace).stdin(&set).ok().unwrap();
    }
    pending(3);
    quorate.register().unwrap();
    let image = ["set", "image", "statefulset/one", "db=db.example/server:2"];
    cluster.kubectl(&image).namespace(&namespace).ok().unwrap();
    pending(2);
}

/// L26, L95: whoever writes the same again changes nothing.
#[test]
fn writing_the_same_again_changes_nothing_l26_l95() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&soft()).start().unwrap();
    let namespace = quorate.namespace("again", &[]).unwrap();
    let own = json!({"matchLabels": {"app": "sets-a-list"}});
    let zone = json!({"topologyKey": "example.com/rack", "maxSkew": 2, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": own});
    let plain = stateless("plain", 1, &json!({}));
    let charted = stateless(
        "charted",
        1,
        &json!({"affinity": {"podAffinity": null, "podAntiAffinity": {}, "nodeAffinity": null}}),
    );
    let with_list = stateless("sets-a-list", 1, &json!({"topologySpreadConstraints": [zone]}));
    for manifest in [&plain, &charted, &with_list] {
        let name = manifest["metadata"]["name"].as_str().unwrap();
        let text = manifest.to_string();
        let call = |words: &[&str]| {
            let said = cluster.kubectl(words).namespace(&namespace).as_user("developer").stdin(&text).run().unwrap();
            assert!(said.success(), "{name}: {said}");
            let set = cluster.object(&namespace, "statefulset", name).unwrap();
            assert!(
                pod(&set, "topologySpreadConstraints").to_string().contains("topology.kubernetes.io/zone"),
                "{set}"
            );
            assert!(set["metadata"]["annotations"]["quorate.dev/injected"].is_string(), "{name} {words:?}: {set}");
            (set["metadata"]["generation"].clone(), set["spec"]["template"].clone())
        };
        let first = call(&["apply", "-f", "-"]);
        assert_eq!(call(&["apply", "-f", "-"]), first, "{name}");
        // Its exit code is 1 where there is a difference.
        call(&["diff", "-f", "-"]);
        // A client that read nothing and knows nothing: PUT of the bare manifest.
        assert_eq!(call(&["replace", "-f", "-"]), first, "{name}");
        assert_eq!(call(&["apply", "--server-side", "--force-conflicts", "-f", "-"]), first, "{name}");
        assert_eq!(call(&["apply", "--server-side", "--force-conflicts", "-f", "-"]), first, "{name}");
    }
    settled(cluster, &namespace, "plain").unwrap();
}

/// L95: with `userTerms: Leave` the lists that a manifest sets are stored as they are; others are ours alone. And when the
/// policy no longer wants it, ours goes with the next change of the template.
#[test]
fn lists_of_the_user_are_left_alone_l95() {
    let cluster = shared();
    let leave = json!({
        "podAntiAffinity": [{"topologyKey": "kubernetes.io/hostname", "mode": "Preferred"}],
        "topologySpreadConstraints": [
            {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "userTerms": "Leave"
    });
    let mut file: Value = serde_json::from_str(&policy("leave", None, &leave)).unwrap();
    file["spec"]["exemptions"] = json!({"requireReason": true, "groups": ["platform-admins"]});
    let quorate = Quorate::builder(cluster).policy(&file.to_string()).start().unwrap();
    let namespace = quorate.namespace("leave", &[]).unwrap();
    let own = json!({"matchLabels": {"app": "web"}});
    let mine = json!([{"topologyKey": "example.com/rack", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": own}]);
    let set = stateless("web", 1, &json!({"topologySpreadConstraints": mine})).to_string();
    let apply = |user: &str, text: &str| {
        cluster.kubectl(&["apply", "-f", "-"]).namespace(&namespace).as_user(user).stdin(text).run().unwrap()
    };
    let applied = apply("developer", &set);
    assert!(applied.stderr.contains("not injected beside your own, as userTerms: Leave says"), "{applied}");
    let stored = cluster.object(&namespace, "statefulset", "web").unwrap();
    assert_eq!(*pod(&stored, "topologySpreadConstraints"), mine);
    assert!(pod(&stored, "affinity/podAntiAffinity").to_string().contains("kubernetes.io/hostname"), "{stored}");

    // Whoever opts out needs leave to do so; then ours goes with the next change of the template, and theirs stays.
    let annotate = |user: &str, note: &str| {
        cluster.kubectl(&["annotate", "statefulset", "web", note]).namespace(&namespace).as_user(user).run().unwrap()
    };
    let refused = annotate("developer", "quorate.dev/inject=disabled");
    assert!(refused.stderr.contains("may not add, change or extend an exemption"), "{refused}");
    let allowed = cluster
        .kubectl(&["annotate", "statefulset", "web", "quorate.dev/inject=disabled", "quorate.dev/exempt-reason=trial"])
        .namespace(&namespace)
        .as_user("platform")
        .run()
        .unwrap();
    assert!(allowed.success() && !allowed.stderr.contains("pending"), "{allowed}");
    let unchanged = cluster.object(&namespace, "statefulset", "web").unwrap();
    assert_eq!(unchanged["spec"]["template"], stored["spec"]["template"]);
    let imaged = cluster
        .kubectl(&["set", "image", "statefulset", "web", "db=db.example/server:2"])
        .namespace(&namespace)
        .as_user("developer")
        .run()
        .unwrap();
    assert!(imaged.success(), "{imaged}");
    let bare = cluster.object(&namespace, "statefulset", "web").unwrap();
    assert!(
        pod(&bare, "affinity").is_null() && bare["metadata"]["annotations"]["quorate.dev/injected"].is_null(),
        "{bare}"
    );
    assert_eq!(*pod(&bare, "topologySpreadConstraints"), mine);
}
