//! The examples are what their comments say: good, or bad for one reason only.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate::facts::{Budget, Service, StatefulSet, Surroundings, Way};
use quorate::rules::{Provided, Rule, Subject, Validate};
use rstest::rstest;
use serde_json::{Value, from_value, json};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn objects(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Rule and cause of everything that the strictest settings of the rules object to.
fn findings(files: &[PathBuf]) -> Vec<(&'static str, &'static str)> {
    let objects: Vec<Value> = files.iter().flat_map(|file| objects(file)).collect();
    let of_kind = |kind: &str| objects.iter().find(|object| object["kind"] == kind).cloned();
    let statefulset: StatefulSet = from_value(of_kind("StatefulSet").expect("a StatefulSet")).unwrap();
    let service = of_kind("Service").map(|service| from_value::<Service>(service).unwrap());
    let service = service.filter(|service| Some(&service.name) == statefulset.service_name.as_ref());
    let budgets = objects.iter().filter(|object| object["kind"] == "PodDisruptionBudget").cloned();
    let budgets: Vec<Budget> = budgets.map(|budget| from_value(budget).unwrap()).collect();
    // A budget follows by policy, unless the example is about budgets.
    let provided = Provided { budget: budgets.is_empty(), ..Provided::default() };
    let by_name = budgets.into_iter().map(|budget| (budget.name.clone(), Arc::new(budget)));
    let surroundings = Surroundings {
        service: service.map(Arc::new),
        budgets: Arc::new(by_name.collect()),
        ..Surroundings::default()
    };
    let validate: Validate = from_value(json!({
        "headlessService": {"action": "Deny"},
        "replicas": {"action": "Deny", "minimum": 3, "even": "Deny", "allowZero": false},
        "persistentStorage": {"action": "Deny"},
        "readinessProbe": {"action": "Deny"},
        "updateStrategy": {"action": "Deny"},
        "terminationGracePeriod": {"action": "Deny", "minimumSeconds": 10},
        "podDisruptionBudget": {"action": "Deny"},
        // The other examples leave it to the policy to spread their pods.
        "spread": {"action": if files[0].components().any(|part| part.as_os_str() == "spread") { "Deny" } else { "Off" }},
    }))
    .unwrap();
    let subject = Subject { statefulset: &statefulset, surroundings: &surroundings, way: Way::StatefulSet, provided };
    let findings = validate.check(&subject);
    findings.into_iter().map(|(rule, finding)| (rule.name(), finding.cause)).collect()
}

#[rstest]
#[case::service_first(&["service", "statefulset"], &[])]
#[case::statefulset_alone(&["statefulset"], &[("headlessService", "missing")])]
#[case::statefulset_first(&["statefulset-first"], &[])]
#[case::one_replica(&["one-replica"], &[("replicas", "minimum")])]
#[case::service_with_cluster_ip(&["service-with-cluster-ip"], &[("headlessService", "notHeadless")])]
#[case::selector_mismatch(&["selector-mismatch"], &[("headlessService", "selectorMismatch")])]
fn mysql_is_wrong_for_one_reason_only(#[case] names: &[&str], #[case] expected: &[(&str, &str)]) {
    let directory = repository().join("examples/mysql");
    let files: Vec<_> = names.iter().map(|name| directory.join(format!("{name}.yaml"))).collect();
    assert_eq!(findings(&files), expected);
}

#[test]
fn statefulset_first_has_the_statefulset_first() {
    let objects = objects(&repository().join("examples/mysql/statefulset-first.yaml"));
    let kinds: Vec<_> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    assert_eq!(kinds, ["StatefulSet", "Service"]);
}

#[test]
fn every_rule_has_a_good_and_a_bad_example() {
    let directory = repository().join("examples/rules");
    for rule in Rule::ALL {
        let example = |name: &str| findings(&[directory.join(rule.name()).join(name)]);
        assert_eq!(example("good.yaml"), [], "{} objects to its good example", rule.name());
        let bad = example("bad.yaml");
        assert!(!bad.is_empty(), "{} lets its bad example pass", rule.name());
        assert!(bad.iter().all(|(name, _)| *name == rule.name()), "the bad example of {}: {bad:?}", rule.name());
    }
    for entry in fs::read_dir(&directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(Rule::ALL.iter().any(|rule| rule.name() == name), "examples/rules/{name}: there is no such rule");
    }
}
