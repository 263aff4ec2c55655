//! What is said where nothing is denied: to people, and in the API server's audit log.

use anyhow::{Context, ensure};
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{apply, kubectl, plain, said, service, statefulset};
use crate::controlplane::{shared, wait_for};

/// L5: the API server cuts warnings, so each is one short line.
#[test]
fn a_warning_is_a_line_of_kubectl_l5() {
    let namespace = plain().namespace("l5", &[]).unwrap();
    apply(&namespace, &service());
    let warned = apply(&namespace, &statefulset(2));
    assert_snapshot!(said(&warned, &namespace), @r#"Warning: spec.replicas: 2 is even; set spec.replicas to an odd number, as 2 tolerates no more losses than 1 (policy plain)"#);
    let quiet = kubectl(&["apply"], &namespace, &statefulset(3));
    assert!(quiet.success() && quiet.stderr.is_empty(), "{quiet}");
}

#[test]
fn the_audit_log_says_what_was_decided_l93() {
    let namespace = plain().namespace("l93", &[]).unwrap();
    assert!(!kubectl(&["apply"], &namespace, &statefulset(1)).success());
    apply(&namespace, &service());
    apply(&namespace, &statefulset(2));
    let decisions = wait_for("both events in the audit log", || {
        let events = shared().audit("statefulsets", &namespace, "db")?;
        // The status that the StatefulSet controller writes is none of Quorate's business.
        let decisions: Vec<Value> = events
            .iter()
            .filter(|event| event["verb"] == "create" && event["objectRef"]["subresource"].is_null())
            .map(|event| json!([event["responseStatus"]["code"], ours(&event["annotations"])]))
            .collect();
        ensure!(decisions.len() == 2, "{events:?}");
        Ok(decisions)
    })
    .unwrap();
    assert_snapshot!(serde_json::to_string_pretty(&decisions).context("JSON").unwrap(), @r#"
    [
      [
        403,
        {
          "statefulsets.mutate.quorate.dev/policies": "plain",
          "statefulsets.mutate.quorate.dev/verdict": "allow",
          "statefulsets.validate.quorate.dev/policies": "plain",
          "statefulsets.validate.quorate.dev/verdict": "deny",
          "statefulsets.validate.quorate.dev/violations": "headlessService=Deny,replicas=Deny"
        }
      ],
      [
        201,
        {
          "statefulsets.mutate.quorate.dev/policies": "plain",
          "statefulsets.mutate.quorate.dev/verdict": "allow",
          "statefulsets.validate.quorate.dev/policies": "plain",
          "statefulsets.validate.quorate.dev/verdict": "warn",
          "statefulsets.validate.quorate.dev/violations": "replicas=Warn"
        }
      ]
    ]
    "#);
}

/// The annotations that Quorate's webhooks made; the API server's own tell of patches with their order number.
fn ours(annotations: &Value) -> Value {
    let all = annotations.as_object().into_iter().flatten();
    all.filter(|(key, _)| key.contains(".quorate.dev/")).map(|(key, value)| (key.clone(), value.clone())).collect()
}
