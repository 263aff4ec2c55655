//! Install, upgrade, rollback, uninstall: each does what it says, and nobody is ever held up.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::helm::{Helm, NAMESPACE, RELEASE};
use super::kubelet::Kubelet;
use super::service::Service;
use super::writer::{Writer, statefulset};
use super::{CHART, cluster};
use crate::controlplane::{ControlPlane, wait_for};

/// A release whose Pods run, beside a client that never rests.
pub(super) struct Installation {
    pub(super) cluster: &'static ControlPlane,
    pub(super) helm: Helm,
    /// Where the client and a StatefulSet `database` of three replicas are.
    pub(super) tenant: String,
    /// What leads the API server to the Pods.
    address: String,
    writer: Option<Writer>,
    _kubelet: Kubelet,
}

impl Installation {
    /// Everything but the release.
    pub(super) fn prepare(cluster: &'static ControlPlane) -> Self {
        let tenant = cluster.namespace("tenant", &[]).unwrap();
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "headless"},
            "spec": {"clusterIP": "None", "selector": {"app": "database"}, "ports": [{"port": 80}]},
        });
        for object in [service, statefulset("database", 3)] {
            cluster.kubectl(&["apply", "-f", "-", "-n", &tenant]).stdin(&object.to_string()).ok().unwrap();
        }
        let service = Service::start();
        let address =
            format!("service.type=ExternalName,service.externalName=localhost,service.port={}", service.port());
        let writer = Some(Writer::start(cluster, &tenant));
        Self { cluster, helm: Helm::of(cluster), tenant, address, writer, _kubelet: Kubelet::start(cluster, service) }
    }

    /// `helm install` and `helm upgrade` alike, with these values beside the address.
    pub(super) fn apply(&self, verb: &[&str], values: &[&str]) -> Result<String> {
        let words = [verb, &[RELEASE, CHART, "-n", NAMESPACE, "--set", &self.address], values].concat();
        let printed = self.helm.ok(&words)?;
        self.goes_on();
        Ok(printed)
    }

    pub(super) fn goes_on(&self) {
        self.writer.as_ref().unwrap().goes_on();
    }

    /// What the API server says to a StatefulSet of one replica, once that is what is expected.
    pub(super) fn says(&self, phrase: &str) {
        let single = statefulset("single", 1).to_string();
        wait_for("Quorate to be asked", || {
            let words = ["create", "--dry-run=server", "-f", "-", "-n", &self.tenant];
            let output = self.cluster.kubectl(&words).stdin(&single).run()?;
            ensure!(output.stderr.contains(phrase), "{output}");
            Ok(())
        })
        .unwrap();
        self.goes_on();
    }

    /// Returns when all Pods are of the Deployment as it is now, and ready.
    pub(super) fn rolled_out(&self) {
        self.cluster
            .kubectl(&["rollout", "status", "deployment/quorate", "-n", NAMESPACE, "--timeout=180s"])
            .ok()
            .unwrap();
        self.goes_on();
    }

    pub(super) fn budget(&self) -> Result<Value> {
        self.cluster.object(&self.tenant, "poddisruptionbudget", "database-quorate")
    }

    /// What Quorate wrote into what the chart made: data of Secrets, rules and authorities of webhooks.
    pub(super) fn written(&self) -> Result<Value> {
        let secrets = ["quorate-ca", "quorate-tls"].map(|name| {
            self.cluster.object(NAMESPACE, "secret", name).map(|secret| secret["data"].clone()).unwrap_or_default()
        });
        let mut webhooks = Vec::new();
        for kind in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
            let configuration = self.cluster.object("", kind, "quorate")?;
            for webhook in configuration["webhooks"].as_array().context("no webhooks")? {
                let (name, rules) = (&webhook["name"], &webhook["rules"]);
                let authority = &webhook["clientConfig"]["caBundle"];
                ensure!(rules.is_array() && authority.is_string(), "{name} is not asked: {webhook}");
                webhooks.push(json!([name, rules, authority]));
            }
        }
        Ok(json!([secrets, webhooks]))
    }

    /// `helm uninstall`; says how often the client wrote.
    pub(super) fn remove(mut self) -> (usize, String) {
        self.helm.ok(&["uninstall", RELEASE, "-n", NAMESPACE, "--timeout=3m"]).unwrap();
        self.goes_on();
        // Made by the test, not by the chart.
        self.cluster.kubectl(&["delete", "secret", "given", "-n", NAMESPACE, "--ignore-not-found"]).ok().unwrap();
        nothing_is_left(self.cluster);
        let set = statefulset("afterwards", 1).to_string();
        self.cluster.kubectl(&["create", "-f", "-", "-n", &self.tenant]).stdin(&set).ok().unwrap();
        (self.writer.take().unwrap().end(), self.tenant.clone())
    }
}

fn nothing_is_left(cluster: &ControlPlane) {
    let kinds = cluster.kubectl(&["api-resources", "--verbs=list,delete", "-o", "name"]).ok().unwrap();
    // Events tell what was; a namespace has its own ServiceAccount and authority; Pods end when their processes do.
    let others = ["serviceaccount/default", "configmap/kube-root-ca.crt"];
    wait_for("nothing to be left", || {
        let kinds: Vec<_> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
        let words = ["get", &kinds.join(","), "-A", "-o", "json", "--ignore-not-found"];
        let all = cluster.kubectl(&words).json()?;
        let mut left = Vec::new();
        for object in all["items"].as_array().context("no list")? {
            let (kind, metadata) = (object["kind"].as_str().unwrap_or_default(), &object["metadata"]);
            let name = format!("{}/{}", kind.to_lowercase(), metadata["name"].as_str().unwrap_or_default());
            let ours = metadata["namespace"] == NAMESPACE && !others.contains(&name.as_str())
                || metadata["labels"]["app.kubernetes.io/managed-by"] == "quorate"
                || metadata["labels"]["app.kubernetes.io/name"] == "quorate"
                || name.contains("quorate") && kind != "Namespace";
            if ours {
                left.push(name);
            }
        }
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .unwrap();
}

/// A Secret as others would make it, and the values that name it.
fn given_certificate(cluster: &ControlPlane) -> Vec<String> {
    let directory = cluster.run().path("given");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(["certs", "--service=quorate", "--namespace", NAMESPACE, "--out"]).arg(&directory);
    assert!(command.output().unwrap().status.success());
    let file = |name: &str| directory.join(name).display().to_string();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    cluster.apply(&namespace.to_string()).unwrap();
    let (certificate, key) = (format!("--cert={}", file("tls.pem")), format!("--key={}", file("tls-key.pem")));
    cluster.kubectl(&["create", "secret", "tls", "given", "-n", NAMESPACE, &certificate, &key]).ok().unwrap();
    let authority = format!("certificates.caBundle={}", file("ca.pem"));
    ["--set", "certificates.mode=secret,certificates.secretName=given", "--set-file", &authority]
        .map(str::to_owned)
        .into()
}

/// From observing to enforcing with a policy of one's own, back, and away.
#[test]
fn the_defaults_from_install_to_uninstall_l97_l23() {
    let (cluster, _turn) = cluster();
    let release = Installation::prepare(cluster);
    let notes = release.apply(&["install", "--create-namespace"], &[]).unwrap();
    assert!(notes.contains("--reset-then-reuse-values --set enforce=true"), "{notes}");
    release.says("Warning: spec.replicas: 1 is below the minimum 3");
    release.rolled_out();
    assert!(release.budget().is_err(), "who observes makes no budgets");
    let before = release.written().unwrap();

    let policy = r#"policies.inline={"five":{"validate":{"replicas":{"action":"Deny","minimum":5}}}}"#;
    let values = ["--reset-then-reuse-values", "--set", "enforce=true", "--set-json", policy];
    release.apply(&["upgrade"], &values).unwrap();
    release.says("denied the request: spec.replicas: 1 is below the minimum 5");
    assert_eq!(failure_policy(cluster), "Fail");
    wait_for("a budget", || release.budget()).unwrap();
    release.rolled_out();
    assert_eq!(release.written().unwrap(), before);

    release.helm.ok(&["rollback", RELEASE, "1", "-n", NAMESPACE]).unwrap();
    release.says("Warning: spec.replicas: 1 is below the minimum 3");
    assert_eq!(failure_policy(cluster), "Ignore");
    release.rolled_out();
    assert_eq!(release.written().unwrap(), before);

    let (rounds, _) = release.remove();
    println!("the client wrote {rounds} StatefulSets meanwhile");
}

/// Enforcing from the first moment, and then with other Pods; by three-way merges in place of server-side apply, as Helm 3
/// does it.
#[test]
fn enforcing_from_install_to_uninstall_l97_l23() {
    let (cluster, _turn) = cluster();
    let release = Installation::prepare(cluster);
    let how = ["install", "--create-namespace", "--server-side=false"];
    release.apply(&how, &["--set", "enforce=true"]).unwrap();
    assert_eq!(failure_policy(cluster), "Fail");
    release.says("denied the request: spec.replicas: 1 is below the minimum 2");
    wait_for("a budget", || release.budget()).unwrap();
    release.rolled_out();
    let before = release.written().unwrap();

    let values = "log.format=text,policies.shipped={baseline,production},webhooks.failurePolicies.statefulsets=Ignore";
    release.apply(&["upgrade"], &["--reuse-values", "--set", values]).unwrap();
    release.rolled_out();
    assert_eq!(failure_policy(cluster), "Ignore");
    release.says("denied the request: spec.replicas: 1 is below the minimum 2");
    assert_eq!(release.written().unwrap(), before);

    release.helm.ok(&["rollback", RELEASE, "1", "-n", NAMESPACE]).unwrap();
    release.rolled_out();
    assert_eq!(failure_policy(cluster), "Fail");
    assert_eq!(release.written().unwrap(), before);

    let (rounds, tenant) = release.remove();
    println!("the client wrote {rounds} StatefulSets meanwhile");
    assert!(cluster.object(&tenant, "statefulset", "database").is_ok());
}

/// Nothing is written into Secrets then, and the authority is the chart's to tell.
#[test]
fn a_given_certificate_is_served_l97_l23() {
    let (cluster, _turn) = cluster();
    let release = Installation::prepare(cluster);
    let given = given_certificate(cluster);
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    release.apply(&["install", "--set", "enforce=true"], &given).unwrap();
    release.says("denied the request: spec.replicas: 1 is below the minimum 2");
    assert!(cluster.object(NAMESPACE, "secret", "quorate-tls").is_err(), "a Secret that nobody uses");
    release.remove();
}

fn failure_policy(cluster: &ControlPlane) -> String {
    let configuration = cluster.object("", "validatingwebhookconfiguration", "quorate").unwrap();
    configuration["webhooks"][0]["failurePolicy"].as_str().unwrap_or_default().to_owned()
}
