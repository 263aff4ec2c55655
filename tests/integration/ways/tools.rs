//! Helm and kubectl with a chart of four: no step fails that should not, and nothing is left behind.

use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Place, denied};
use crate::controlplane::kubectl::Output;
use crate::controlplane::{Quorate, shared, wait_for};

const CHART: &str = "tests/fixtures/charts/ha-database";

/// Both shipped policies, and the namespaces that they are the strictest for.
fn shipped() -> Quorate<'static> {
    Quorate::builder(shared()).policies("policies/baseline.yaml").policies("policies/production.yaml").start().unwrap()
}

fn production<'c>(quorate: &Quorate<'_>, name: &str) -> Place<'c> {
    Place::labelled(shared(), quorate, name, &[("environment", "production")])
}

impl Place<'_> {
    /// helm in the namespace, as a developer.
    fn helm(&self, words: &[&str]) -> Output {
        let home = self.cluster.run().path("helm");
        let output = Command::new(self.cluster.program("helm"))
            .args(words)
            .args(["--namespace", &self.namespace, "--kube-context", "developer"])
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .envs(["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"].map(|name| (name, home.join(name))))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        Output {
            words: words.iter().map(|&word| format!("(helm) {word}")).collect(),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// That of the four kinds, and of pods, nothing is left.
    fn is_empty(&self) {
        wait_for("everything to be gone", || {
            let kinds = "statefulsets,services,hpa,pdb,pods";
            let left = self.as_admin(&["get", kinds, "-o", "name"]).ok()?;
            ensure!(left.is_empty(), "{left}");
            Ok(())
        })
        .unwrap();
    }

    /// The chart's objects as one file, in the order in which Helm installs them.
    fn rendered(&self) -> Vec<String> {
        let rendered = self.helm(&["template", "db", CHART, "--set", "storageClassName=none-such"]);
        assert!(rendered.success(), "{rendered}");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&rendered.stdout).unwrap();
        let rank = |object: &Value| {
            ["PodDisruptionBudget", "Service", "HorizontalPodAutoscaler", "StatefulSet"]
                .iter()
                .position(|kind| object["kind"] == *kind)
                .with_context(|| format!("another kind: {object}"))
                .unwrap()
        };
        let mut documents: Vec<&Value> = documents.iter().filter(|document| !document.is_null()).collect();
        documents.sort_by_key(|document| rank(document));
        assert_eq!(documents.len(), 4);
        documents.into_iter().map(ToString::to_string).collect()
    }
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.success(), "{output}");
}

#[test]
fn helm_installs_upgrades_and_uninstalls_l74_l75() {
    let quorate = shipped();
    let place = production(&quorate, "helm");
    let installed = place.helm(&["install", "db", CHART]);
    succeeds(&installed);
    assert!(!installed.stderr.contains("quorate") && !installed.stderr.contains("spec."), "{installed}");
    wait_for("the pods to become ready", || {
        let status = &place.object("statefulset", "db")?["status"];
        ensure!(status["readyReplicas"] == 3, "{status}");
        Ok(())
    })
    .unwrap();
    succeeds(&place.helm(&["upgrade", "db", CHART, "--set", "image=database.example/server:2"]));
    let few = place.helm(&["upgrade", "db", CHART, "--set", "autoscaling.minReplicas=1"]);
    assert!(
        !few.success() && few.stderr.contains("spec.minReplicas of HorizontalPodAutoscaler db: 1 is below"),
        "{few}"
    );
    succeeds(&place.helm(&["upgrade", "db", CHART, "--set", "autoscaling.maxReplicas=3"]));
    succeeds(&place.helm(&["rollback", "db", "1"]));
    // The Service goes before the StatefulSet.
    succeeds(&place.helm(&["uninstall", "db"]));
    place.is_empty();
    // The volumes are others' again.
    place.as_admin(&["delete", "namespace", &place.namespace, "--wait=false"]).ok().unwrap();
}

#[test]
fn kubectl_applies_and_deletes_the_same_in_one_file_l72_l74_l75() {
    let quorate = shipped();
    let place = production(&quorate, "one-file");
    let in_order = place.rendered();
    let reversed: Vec<String> = in_order.iter().rev().cloned().collect();
    let kubectl = |words: &[&str], objects: &[String]| {
        place.as_user("developer", words).stdin(&objects.join("\n---\n")).run().unwrap()
    };
    for applied in [&in_order, &reversed] {
        for deleted in [&in_order, &reversed] {
            if applied == &reversed {
                // Neither its Service nor its autoscaler are there: denied, while the others are applied (L72).
                denied(&kubectl(&["apply", "-f", "-"], applied), "apply the headless Service first");
            }
            let output = kubectl(&["apply", "-f", "-"], applied);
            succeeds(&output);
            assert!(!output.stderr.contains("Warning"), "{output}");
            // Applied again, nothing changes (L26).
            let generation = || place.object("statefulset", "db").unwrap()["metadata"]["generation"].clone();
            place.has_replicas(3);
            let before = generation();
            succeeds(&kubectl(&["apply", "-f", "-"], applied));
            assert_eq!(generation(), before);
            succeeds(&kubectl(&["delete", "-f", "-", "--timeout=180s"], deleted));
            place.is_empty();
        }
    }
}

#[test]
fn the_same_under_the_baseline_alone_l72_l74_l75() {
    let quorate = Quorate::builder(shared()).policies("policies/baseline.yaml").start().unwrap();
    let place = Place::governed(shared(), &quorate, "baseline");
    succeeds(&place.helm(&["install", "db", CHART, "--set", "storageClassName=none-such"]));
    succeeds(&place.helm(&["upgrade", "db", CHART, "--set", "storageClassName=none-such", "--set", "image=server:2"]));
    succeeds(&place.helm(&["uninstall", "db"]));
    place.is_empty();
    let mut objects = place.rendered();
    for _ in 0..2 {
        let all = objects.join("\n---\n");
        let apply = || place.as_user("developer", &["apply", "-f", "-"]).stdin(&all).run().unwrap();
        if !apply().success() {
            succeeds(&apply());
        }
        let delete = place.as_user("developer", &["delete", "-f", "-", "--timeout=180s"]).stdin(&all).run().unwrap();
        succeeds(&delete);
        place.is_empty();
        objects.reverse();
    }
}
