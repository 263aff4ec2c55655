//! `examples/mysql` under the policies as shipped: the story that `make demo` tells.

use std::collections::BTreeSet;

use anyhow::ensure;
use rstest::rstest;

use super::{PRODUCTION, is_denied, is_injected, shipped};
use crate::controlplane::kubectl::Output;
use crate::controlplane::{shared, wait_for};

fn kubectl(namespace: &str, words: &[&str], file: &str) -> Output {
    let file = format!("examples/mysql/{file}.yaml");
    let words = [words, &["-f", &file]].concat();
    shared().kubectl(&words).as_user("developer").namespace(namespace).run().unwrap()
}

#[test]
fn a_mysql_of_three_is_admitted_and_spread_over_three_nodes() {
    let cluster = shared();
    let namespace = shipped().namespace("mysql", &[PRODUCTION]).unwrap();
    for file in ["service", "statefulset"] {
        let applied = kubectl(&namespace, &["apply"], file);
        assert!(applied.success(), "{applied}");
    }
    assert!(is_injected(&cluster.object(&namespace, "statefulset", "mysql").unwrap()));
    wait_for("three members", || {
        let status = cluster.object(&namespace, "statefulset", "mysql")?["status"].clone();
        ensure!(status["readyReplicas"] == 3, "{status}");
        Ok(())
    })
    .unwrap();
    let pods = cluster.kubectl(&["get", "pods", "-n", &namespace, "-o", "json"]).json().unwrap();
    let nodes: BTreeSet<_> =
        pods["items"].as_array().unwrap().iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
    assert_eq!(nodes.len(), 3, "{nodes:?}");
}

#[test]
fn the_stateful_set_before_its_service_is_denied_and_admitted_when_applied_again_l72() {
    let namespace = shipped().namespace("l72-first", &[]).unwrap();
    let denied = kubectl(&namespace, &["apply"], "statefulset-first");
    assert!(is_denied(&denied, "apply the headless Service first, then apply this StatefulSet again"), "{denied}");
    assert!(denied.stdout.contains("service/mysql created"), "{denied}");
    let admitted = kubectl(&namespace, &["apply"], "statefulset-first");
    assert!(admitted.success(), "{admitted}");
}

#[test]
fn the_service_before_its_stateful_set_is_admitted_at_once_l72() {
    let namespace = shipped().namespace("l72-second", &[]).unwrap();
    // One call of kubectl, as of a directory whose files sort well.
    let words = ["apply", "-f", "examples/mysql/service.yaml"];
    let admitted = kubectl(&namespace, &words, "statefulset");
    assert!(admitted.success(), "{admitted}");
}

#[rstest]
#[case("one-replica", "spec.replicas: 1 is below the minimum 2")]
#[case("service-with-cluster-ip", "names a Service that is not headless")]
#[case("selector-mismatch", "names a Service that selects app.kubernetes.io/name=mysql-router")]
fn what_is_wrong_is_denied_also_in_a_dry_run(#[case] file: &str, #[case] reason: &str) {
    let namespace = shipped().namespace(file, &[]).unwrap();
    let denied = kubectl(&namespace, &["apply"], file);
    assert!(is_denied(&denied, reason), "{denied}");
    // The Service is there now, so that the dry run of the StatefulSet sees it.
    let denied = kubectl(&namespace, &["apply", "--dry-run=server"], file);
    assert!(is_denied(&denied, reason), "{denied}");
}

#[test]
fn a_missing_service_is_but_a_warning_in_a_dry_run_l91() {
    let namespace = shipped().namespace("l91-missing", &[]).unwrap();
    let warned = kubectl(&namespace, &["apply", "--dry-run=server"], "statefulset");
    assert!(warned.success(), "{warned}");
    assert!(warned.stderr.contains("Warning: ") && warned.stderr.contains("names no Service"), "{warned}");
    let denied = kubectl(&namespace, &["apply"], "statefulset");
    assert!(is_denied(&denied, "names no Service"), "{denied}");
}
