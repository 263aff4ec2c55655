//! The dashboard: every query, run by a real Prometheus that scrapes a Quorate at work, returns data; alert rules run too.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::prometheus::Prometheus;
use super::{DATABASE, POLICY, alerts, namespace, observed, read};
use crate::controlplane::{ControlPlane, wait_for};

fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/helm/quorate/files/dashboard.json")).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("{key} is no list"))
}

/// The panels that show something.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(dashboard, "panels").iter().filter(|panel| panel["type"] != "row")
}

/// An expression with Grafana's variables as Grafana fills them in while everything is selected.
fn expression(target: &Value) -> String {
    let mut expression = target["expr"].as_str().unwrap().to_owned();
    for (variable, value) in
        [("$__rate_interval", "30s"), ("$__range", "5m"), ("$namespace", ".*"), ("$instance", ".*")]
    {
        expression = expression.replace(variable, value);
    }
    assert!(!expression.contains('$'), "a variable that Grafana doesn't know: {expression}");
    expression
}

/// What people do all day: some of it denied, warned about, exempt, deleted.
fn work(cluster: &ControlPlane, namespace: &str) {
    let developer = |words: &[&str], text: &str| {
        cluster.kubectl(words).as_user("developer").namespace(namespace).stdin(text).run().unwrap()
    };
    let applied = developer(&["apply", "-f", "-"], DATABASE);
    assert!(applied.success(), "{applied}");
    let denied = developer(&["scale", "statefulset", "database", "--replicas=1"], "");
    assert!(!denied.success(), "{denied}");
    let exempt = DATABASE.replace("name: database", "name: exempt").replace("replicas: 3", "replicas: 1").replace(
        "{ name: exempt }\nspec:\n  serviceName",
        "{ name: exempt, annotations: { quorate.dev/exempt: replicas } }\nspec:\n  serviceName",
    );
    let exempted = developer(&["apply", "-f", "-"], &exempt);
    assert!(exempted.success(), "{exempted}");
    developer(&["delete", "service", "database"], "");
    developer(&["delete", "statefulset", "database", "exempt"], "");
}

/// The series of an expression that have a number for a value.
fn numbers(prometheus: &Prometheus, expression: &str) -> Result<usize> {
    let series = prometheus.query(expression)?;
    Ok(series.iter().filter(|series| series["value"][1] != "NaN").count())
}

#[test]
fn every_query_returns_data_and_every_alert_is_evaluated() {
    let (cluster, namespace) = namespace("dashboard");
    let prometheus = Prometheus::start().unwrap();
    let dashboard = dashboard();
    let queries: Vec<(&str, String)> = panels(&dashboard)
        .flat_map(|panel| {
            let title = panel["title"].as_str().unwrap();
            list(panel, "targets").iter().map(move |target| (title, expression(target)))
        })
        .collect();
    // What a dashboard that shows only zeros would hide.
    let moving = [
        r#"sum(rate(quorate_admission_requests_total{verdict="deny"}[30s])) > 0"#,
        r#"sum(rate(quorate_admission_requests_total{verdict="warn"}[30s])) > 0"#,
        r#"sum(rate(quorate_admission_requests_total{operation="DELETE"}[30s])) > 0"#,
        r#"sum(rate(quorate_violations_total{rule="replicas", action="Deny"}[30s])) > 0"#,
        r#"sum(rate(quorate_violations_total{rule="replicas", action="Exempt"}[30s])) > 0"#,
        r#"sum(increase(quorate_budget_writes_total{operation="create", result="success"}[5m])) > 0"#,
        "quorate_budget_controller_leader == 1",
        "quorate_ready == 1",
        "quorate_certificate_expiry_timestamp_seconds > time()",
        "abs(time() - process_start_time_seconds) < 3600",
        "process_resident_memory_bytes > 1e6",
        "process_cpu_seconds_total > 0",
        "process_max_fds > process_open_fds",
    ];
    let expressions = || queries.iter().map(|(title, query)| (*title, query.as_str()));
    let moving = || moving.iter().map(|query| ("what moves", *query));
    wait_for("every query to return data", || {
        work(cluster, &namespace);
        let mut empty = Vec::new();
        for (title, query) in expressions().chain(moving()) {
            if numbers(&prometheus, query)? == 0 {
                empty.push(format!("{title}: {query}"));
            }
        }
        ensure!(empty.is_empty(), "no data for\n{}", empty.join("\n"));
        Ok(())
    })
    .unwrap();

    for variable in list(&dashboard["templating"], "list").iter().filter(|variable| variable["type"] == "query") {
        let query = variable["query"]["query"].as_str().unwrap().replace("$namespace", ".*");
        let inner = query.strip_prefix("label_values(").and_then(|query| query.strip_suffix(')')).unwrap();
        let (selector, label) = inner.rsplit_once(", ").unwrap();
        assert!(!prometheus.label_values(label, selector).unwrap().is_empty(), "{query}");
    }

    let rules = wait_for("rules to be evaluated", || {
        let rules = prometheus.rules()?;
        ensure!(rules.iter().all(|rule| rule["health"] != "unknown"), "{rules:?}");
        Ok(rules)
    })
    .unwrap();
    assert_eq!(rules.len(), alerts::rules().len());
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule:#}");
        assert_ne!(rule["state"], "firing", "{rule:#}");
    }

    // The one thing that goes wrong here shows, and shows again when it is right.
    let file = observed().directory().join("policy-0.yaml");
    let degraded = |value: u8| {
        wait_for("the policies' state", || {
            let query = format!(r#"quorate_degraded{{part="policies"}} == {value}"#);
            ensure!(numbers(&prometheus, &query)? == 1, "not {value}: {}", observed().log());
            Ok(())
        })
    };
    fs::write(&file, POLICY.replace("spec:", "spek:")).unwrap();
    degraded(1).unwrap();
    fs::write(&file, POLICY).unwrap();
    degraded(0).unwrap();
    prometheus.end().unwrap();
}

#[test]
fn panels_are_complete_and_apart() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in list(&dashboard, "panels") {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for (x, y) in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            assert!(x < 24 && cells.insert((x, y)), "{} lies over another panel", panel["title"]);
        }
    }
    for panel in panels(&dashboard) {
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{}", panel["title"]);
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string() || panel["type"] == "heatmap",
            "{}",
            panel["title"]
        );
        for target in list(panel, "targets") {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
            let expression = target["expr"].as_str().unwrap();
            assert!(expression.contains(r#"namespace=~"$namespace", instance=~"$instance""#), "{expression}");
        }
    }
}

/// Whoever adds a metric decides whether it is to be seen.
#[test]
fn every_metric_is_on_the_dashboard() {
    let dashboard = read("deploy/helm/quorate/files/dashboard.json");
    let text = observed().metrics().unwrap();
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).filter_map(|line| line.split(' ').next());
    let absent: Vec<&str> = names.filter(|name| !dashboard.contains(*name)).collect();
    assert!(absent.is_empty(), "{absent:?}");
}
