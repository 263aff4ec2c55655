//! Quorate's own manifests, as they are shipped, pointed at a process on this host.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::cluster::ControlPlane;
use super::wait::wait_for;

/// The namespace that the manifests install Quorate in.
pub(crate) const NAMESPACE: &str = "quorate-system";

/// The namespace label that says whose instance a namespace's objects are sent to.
pub(crate) const INSTANCE: &str = "quorate.dev/test-instance";

/// Where the API server finds an instance.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The Service's name, which the certificate has to bear.
    pub(crate) service: String,
    /// The port on this host.
    pub(crate) port: u16,
    /// The certificate's authority, PEM; empty where Quorate fills that in.
    pub(crate) authority: Vec<u8>,
}

/// All objects of the files in `deploy/manifests`.
pub(crate) fn manifests() -> Result<Vec<Value>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/manifests");
    let mut files: Vec<_> = fs::read_dir(&directory)
        .with_context(|| format!("cannot read {}", directory.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let mut objects = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&text).with_context(|| format!("{} is no YAML", file.display()))?;
        objects.extend(documents.into_iter().filter(|document| !document.is_null()));
    }
    Ok(objects)
}

/// Makes the shipped webhook configurations be sent to `target`.
///
/// With an instance they are named after it, and only namespaces labelled for it are sent.
pub(crate) fn configurations(target: &Target, instance: Option<&str>) -> Result<Vec<Value>> {
    let mut configurations = of_kinds(&["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"])?;
    ensure!(configurations.len() == 2, "deploy/manifests holds {} webhook configurations, not 2", configurations.len());
    for configuration in &mut configurations {
        if let Some(instance) = instance {
            configuration["metadata"]["name"] = json!(format!("quorate-{instance}"));
        }
        let rules = rules(configuration)?;
        let Some(webhooks) = configuration["webhooks"].as_array_mut() else {
            bail!("a webhook configuration without webhooks: {configuration}");
        };
        for webhook in webhooks {
            let client = &mut webhook["clientConfig"];
            if !target.authority.is_empty() {
                client["caBundle"] = json!(ByteString(target.authority.clone()));
            }
            client["service"]["name"] = json!(target.service);
            client["service"]["namespace"] = json!(NAMESPACE);
            client["service"]["port"] = json!(target.port);
            // As Quorate does once it is ready, to those named `quorate`.
            webhook["rules"] = webhook["name"].as_str().map_or(Value::Null, |name| rules[name].clone());
            // As the chart says where it enforces.
            if webhook["name"] == "statefulsets.validate.quorate.dev" {
                webhook["failurePolicy"] = json!("Fail");
            }
            if let Some(instance) = instance {
                let ours = json!({"key": INSTANCE, "operator": "In", "values": [instance]});
                match &mut webhook["namespaceSelector"]["matchExpressions"] {
                    Value::Array(expressions) => expressions.push(ours),
                    none => *none = json!([ours]),
                }
            }
        }
    }
    Ok(configurations)
}

/// The rules that each webhook of a configuration will have, by its name.
pub(crate) fn rules(configuration: &Value) -> Result<Value> {
    let rules = configuration["metadata"]["annotations"]["quorate.dev/rules"].as_str();
    Ok(serde_json::from_str(rules.context("a webhook configuration without the annotation quorate.dev/rules")?)?)
}

impl ControlPlane {
    /// Installs what Quorate needs in a cluster, once: its namespace, its ServiceAccount and what that may do.
    pub(crate) fn install(&self) -> Result<()> {
        let mut installed = self.installed.lock().map_err(|_| anyhow::anyhow!("the installation failed before"))?;
        if !*installed {
            self.apply_all(&of_kinds(&["Namespace"])?)?;
            let kinds =
                ["ServiceAccount", "Lease", "Secret", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];
            self.apply_all(&of_kinds(&kinds)?)?;
            *installed = true;
        }
        Ok(())
    }

    /// Applies these objects in their order.
    pub(crate) fn apply_all(&self, items: &[Value]) -> Result<()> {
        self.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())?;
        Ok(())
    }

    /// Returns when the API server acts on every webhook configuration written so far.
    ///
    /// It learns of them by a watch, in the order they were written: once it acts on a marker written last, it knows the
    /// others. The marker's webhooks can't be reached, and match nothing but the object that asks for them.
    pub(crate) fn settle_webhooks(&self) -> Result<()> {
        static MARKERS: AtomicUsize = AtomicUsize::new(0);
        let name = format!("marker-{}", MARKERS.fetch_add(1, Ordering::Relaxed));
        let kinds = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];
        self.apply_all(&kinds.map(|kind| marker(kind, &name)))?;
        for kind in kinds {
            let probe = json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": {kind: name}},
            });
            wait_for("the API server to learn of webhook configurations", || {
                let answer =
                    self.kubectl(&["create", "--dry-run=server", "-f", "-"]).stdin(&probe.to_string()).run()?;
                ensure!(answer.stderr.contains("failed calling webhook"), "{answer}");
                Ok(())
            })?;
        }
        for kind in kinds {
            self.kubectl(&["delete", kind, &name]).ok()?;
        }
        Ok(())
    }
}

fn marker(kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "webhooks": [{
            "name": "marker.quorate.dev",
            "clientConfig": {"url": "https://127.0.0.1:1/"},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
            "objectSelector": {"matchLabels": {kind: name}},
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 5,
        }],
    })
}

/// The shipped objects of these kinds.
pub(crate) fn of_kinds(kinds: &[&str]) -> Result<Vec<Value>> {
    let mut objects = manifests()?;
    objects.retain(|object| kinds.iter().any(|kind| object["kind"] == *kind));
    Ok(objects)
}
