//! Values: what is wrong is said, and what is right gives objects that the API server takes.

use std::fs;

use rstest::rstest;
use serde_json::{Value, json};

use super::helm::{Helm, NAMESPACE};
use super::{CHART, cluster};

#[test]
fn the_chart_is_in_order() {
    let helm = Helm::alone();
    helm.ok(&["lint", "--strict", CHART]).unwrap();
    helm.ok(&["lint", "--strict", CHART, "--set", "enforce=true"]).unwrap();
}

#[rstest]
#[case("replicas=three", "at '/replicas': got string, want integer")]
#[case("replica=3", "additional properties 'replica' not allowed")]
#[case("certificates.mode=foo", "at '/certificates/mode': value must be one of 'selfManaged', 'certManager', 'secret'")]
#[case("webhooks.timeoutSeconds=10", "at '/webhooks/timeoutSeconds': maximum: got 10, want 3")]
#[case("webhooks.failurePolicies.scale=fail", "value must be one of 'Ignore', 'Fail'")]
#[case("policies.shipped={strict}", "at '/policies/shipped/0': value must be one of 'observe', 'baseline'")]
#[case("policies.inline.Mine.validate=1", "invalid propertyName 'Mine'")]
#[case("enforce=yes", "at '/enforce': got string, want boolean")]
#[case("certificates.mode=secret", "certificates.caBundle: with mode secret, the PEM certificates of the authorities")]
#[case("service.type=ExternalName", "service.externalName: a Service of type ExternalName needs one")]
#[case(
    "policies.inline.observe.validate.replicas=Warn",
    "policies.inline.observe: a shipped policy that is loaded has this name"
)]
#[case("image.digest=latest", "at '/image/digest'")]
fn wrong_values_are_named(#[case] set: &str, #[case] message: &str) {
    let (code, _, stderr) = Helm::alone().run(&["template", CHART, "--set", set]);
    assert!(code == 1 && stderr.contains(message), "{stderr}");
}

#[test]
fn older_clusters_are_refused() {
    let (code, _, stderr) = Helm::alone().run(&["template", CHART, "--kube-version", "1.29.9"]);
    assert!(code == 1 && stderr.contains(">=1.30.0-0"), "{stderr}");
    Helm::alone().ok(&["template", CHART, "--kube-version", "v1.30.0-gke.1"]).unwrap();
}

/// Whatever is in the chart, the API server takes it.
#[test]
fn the_api_server_takes_every_combination() {
    let (cluster, _turn) = cluster();
    for (group, kind, plural) in [
        ("monitoring.coreos.com", "ServiceMonitor", "servicemonitors"),
        ("monitoring.coreos.com", "PrometheusRule", "prometheusrules"),
        ("cert-manager.io", "Issuer", "issuers"),
        ("cert-manager.io", "Certificate", "certificates"),
    ] {
        cluster.apply(&definition(group, kind, plural).to_string()).unwrap();
    }
    let helm = Helm::of(cluster);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    cluster.apply(&namespace.to_string()).unwrap();
    let everything =
        fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/values/everything.yaml")).unwrap();
    let everything = everything.to_str().unwrap();
    let monitored = "serviceMonitor.enabled=true,networkPolicy.enabled=true";
    for arguments in [
        &[][..],
        &["--set", "enforce=true"],
        &["--set", monitored],
        &["--set", "certificates.mode=certManager"],
        &["--set", "certificates.mode=certManager,certificates.certManager.issuerRef.name=corporate"],
        &["--set", "certificates.mode=secret,certificates.caBundle=PEM"],
        &["--set", "budgetController.enabled=false"],
        &["--set", "budgetController.enabled=false,certificates.mode=secret,certificates.caBundle=PEM"],
        &["--set", "priorityClass.name="],
        &["--set", "service.type=ExternalName,service.externalName=quorate.example.com"],
        &["-f", everything],
    ] {
        let rendered = helm.ok(&[&["template", "quorate", CHART, "-n", NAMESPACE], arguments].concat()).unwrap();
        // The API server would find fault with these four letters.
        let rendered = rendered.replace("caBundle: UEVN", "caBundle: \"\"");
        let applied = cluster.kubectl(&["apply", "--dry-run=server", "-f", "-"]).stdin(&rendered).run().unwrap();
        assert!(applied.success() && !applied.stderr.contains("Warning"), "{arguments:?}: {applied}");
    }
}

/// Pod Security's strictest profile, as the namespace of the manifests asks for it.
#[test]
fn pods_ask_for_no_privilege() {
    let (cluster, _turn) = cluster();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "restricted", "labels": {"pod-security.kubernetes.io/warn": "restricted"},
    }});
    cluster.apply(&namespace.to_string()).unwrap();
    let rendered = Helm::of(cluster).ok(&["template", "quorate", CHART, "-n", "restricted"]).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
    let mut seen = 0;
    for object in
        objects.iter().filter(|object| ["Deployment", "Job"].contains(&object["kind"].as_str().unwrap_or_default()))
    {
        let applied =
            cluster.kubectl(&["apply", "--dry-run=server", "-f", "-"]).stdin(&object.to_string()).run().unwrap();
        assert!(applied.success() && !applied.stderr.contains("PodSecurity"), "{applied}");
        let container = &object["spec"]["template"]["spec"]["containers"][0];
        assert!(container["resources"]["limits"].get("cpu").is_none(), "{container}");
        seen += 1;
    }
    assert_eq!(seen, 2);
}

/// A kind that others define, as far as the API server has to know it here.
fn definition(group: &str, kind: &str, plural: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}
