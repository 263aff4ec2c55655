//! The alert rules: each fires when it should and stays silent otherwise, and says where to read on.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::{read, repository, tool};

const RULES: &str = "deploy/helm/quorate/files/alerts.yaml";
const TESTS: &str = "tests/integration/observability/alerts.test.yaml";

/// The rules of the shipped file.
pub(super) fn rules() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&read(RULES)).unwrap();
    file["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
}

fn promtool(arguments: &[&str]) {
    let output = Command::new(tool("promtool")).args(arguments).current_dir(repository()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {arguments:?}:\n{}", String::from_utf8_lossy(&said));
}

#[test]
fn rules_are_valid() {
    promtool(&["check", "rules", RULES]);
}

#[test]
fn every_alert_fires_when_it_should_and_not_before() {
    promtool(&["test", "rules", TESTS]);

    let tests: Value = serde_saphyr::from_str(&read(TESTS)).unwrap();
    for rule in rules() {
        let alert = rule["alert"].as_str().unwrap();
        let test = tests["tests"].as_array().unwrap().iter().find(|test| test["name"] == alert);
        let test = test.unwrap_or_else(|| panic!("{TESTS} has no test of {alert}"));
        let cases: Vec<&Value> = test["promql_expr_test"].as_array().unwrap().iter().collect();
        let fires = |case: &&&Value| case["exp_samples"].to_string().contains(&format!(r#"alertname=\"{alert}\""#));
        assert!(cases.iter().any(|case| fires(&case)), "{alert} never fires in {TESTS}");
        assert!(!cases.iter().all(|case| fires(&case)), "{alert} always fires in {TESTS}");
        assert!(cases.iter().all(|case| case["expr"].as_str().unwrap().contains("ALERTS")), "{alert}");
    }
}

#[test]
fn every_alert_says_what_to_do() {
    let documentation = read("docs/metrics.md");
    let documented: BTreeSet<&str> = documentation.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let rules = rules();
    let alerts: BTreeSet<&str> = rules.iter().map(|rule| rule["alert"].as_str().unwrap()).collect();
    assert_eq!(alerts, documented, "the headings of docs/metrics.md");
    for rule in &rules {
        let alert = rule["alert"].as_str().unwrap();
        let severity = rule["labels"]["severity"].as_str().unwrap();
        let summary = rule["annotations"]["summary"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{alert}: {severity}");
        assert!(documentation.contains(&format!("### {alert}\n\n`{severity}` · {summary}.\n")), "{alert}: {summary}");
        assert!(rule["annotations"]["description"].as_str().unwrap().len() > summary.len(), "{alert}");
        let anchor = format!("docs/metrics.md#{}", alert.to_lowercase());
        assert_eq!(rule["annotations"]["runbook_url"], anchor.as_str(), "{alert}");
    }
}
