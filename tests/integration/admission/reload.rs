//! Policies that change while the API server asks.

use std::fs;

use anyhow::ensure;

use super::{PLAIN, is_denied, kubectl, statefulset, with};
use crate::controlplane::{Quorate, shared, wait_for};

#[test]
fn a_broken_policy_file_leaves_the_last_good_policies_in_force_l10() {
    let quorate = Quorate::builder(shared()).policy(PLAIN).start().unwrap();
    let namespace = quorate.namespace("l10", &[]).unwrap();
    let file = quorate.directory().join("policy-0.yaml");
    let refusal =
        || kubectl(&["create", "--dry-run=server"], &namespace, &with(statefulset(1), "/metadata/name", "db".into()));
    let denied = refusal();
    assert!(is_denied(&denied, "spec.replicas: 1 is below the minimum 2"), "{denied}");

    fs::write(&file, PLAIN.replace("minimum: 2", "minimun: 4")).unwrap();
    wait_for("the broken file to be noticed", || {
        let (status, body) = quorate.admin("/readyz?verbose")?;
        ensure!(status == 200, "not ready: {body}");
        ensure!(body.contains("[!]policies degraded"), "{body}");
        Ok(())
    })
    .unwrap();
    let metrics = quorate.metrics().unwrap();
    assert!(!metrics.contains(r#"quorate_policy_reloads_total{result="failure"} 0"#), "{metrics}");
    let log = quorate.log();
    assert!(log.contains("the last good policies stay in force") && log.contains("minimun"), "{log}");
    let denied = refusal();
    assert!(is_denied(&denied, "spec.replicas: 1 is below the minimum 2"), "{denied}");

    fs::write(&file, PLAIN.replace("minimum: 2", "minimum: 4")).unwrap();
    wait_for("the good file to be in force", || {
        let denied = refusal();
        ensure!(is_denied(&denied, "spec.replicas: 1 is below the minimum 4"), "{denied}");
        let (_, body) = quorate.admin("/readyz?verbose")?;
        ensure!(body.contains("[+]policies ok"), "{body}");
        Ok(())
    })
    .unwrap();
}
