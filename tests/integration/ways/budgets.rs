//! Budgets: the arithmetic of the real disruption controller, and how those of users are judged.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, ensure};
use quorate::facts::Budget;
use serde_json::{Value, from_value, json};

use super::{Place, database, denied, list, policy, silent, warned};
use crate::controlplane::{Quorate, shared, wait_for};

const REPLICAS: std::ops::RangeInclusive<i32> = 1..=7;

fn limits() -> Vec<Value> {
    let amounts = [
        "0", "1", "2", "3", "7", "8", "\"0%\"", "\"1%\"", "\"30%\"", "\"34%\"", "\"50%\"", "\"51%\"", "\"99%\"",
        "\"100%\"",
    ];
    let mut limits = vec![json!({})];
    for field in ["minAvailable", "maxUnavailable"] {
        for amount in amounts {
            let amount: Value = serde_json::from_str(amount).unwrap();
            limits.push(json!({field: amount}));
        }
    }
    limits
}

fn budget(name: &str, app: &str, limit: &Value) -> Value {
    let mut budget = json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": app}}},
    });
    budget["spec"].as_object_mut().unwrap().extend(limit.as_object().unwrap().clone());
    budget
}

/// For 1 to 7 replicas and every limit: what we compute is what the disruption controller says with all pods healthy.
#[test]
fn the_arithmetic_is_that_of_the_disruption_controller_l52() {
    let cluster = shared();
    let place = Place::ungoverned(cluster, "arithmetic");
    let sets = REPLICAS.map(|replicas| {
        let name = format!("db-{replicas}");
        let mut set = database(replicas)["items"][1].clone();
        set["metadata"]["name"] = json!(name);
        set["spec"]["selector"]["matchLabels"]["app"] = json!(name);
        set["spec"]["template"]["metadata"]["labels"]["app"] = json!(name);
        set
    });
    silent(&place.apply(&list(&sets.collect::<Vec<_>>())));
    wait_for("the pods to become ready", || {
        let sets = place.as_admin(&["get", "statefulsets", "-o", "json"]).json()?;
        for set in sets["items"].as_array().context("no list")? {
            ensure!(set["status"]["readyReplicas"] == set["spec"]["replicas"], "{}", set["status"]);
        }
        Ok(())
    })
    .unwrap();

    let mut budgets = BTreeMap::new();
    for replicas in REPLICAS {
        for (number, limit) in limits().iter().enumerate() {
            let name = format!("budget-{replicas}-{number}");
            budgets.insert(name.clone(), (replicas, budget(&name, &format!("db-{replicas}"), limit)));
        }
    }
    let all: Vec<Value> = budgets.values().map(|(_, budget)| budget.clone()).collect();
    place.as_admin(&["create", "-f", "-"]).stdin(&list(&all).to_string()).ok().unwrap();
    let mut compared = 0;
    wait_for("the disruption controller", || {
        let mut differences = String::new();
        compared = 0;
        for live in place.as_admin(&["get", "pdb", "-o", "json"]).json()?["items"].as_array().context("no list")? {
            let name = live["metadata"]["name"].as_str().context("no name")?;
            let (replicas, written) = &budgets[name];
            let status = &live["status"];
            ensure!(status["currentHealthy"] == *replicas && status["observedGeneration"] == 1, "{name}: {status}");
            let ours = from_value::<Budget>(written.clone())?.limit.disruptions_allowed(*replicas);
            if status["disruptionsAllowed"] != ours {
                writeln!(differences, "{replicas} replicas, {}: {ours}, but {status}", written["spec"])?;
            }
            compared += 1;
        }
        ensure!(differences.is_empty(), "{differences}");
        Ok(())
    })
    .unwrap();
    assert_eq!(compared, budgets.len());
}

#[test]
fn a_budget_that_blocks_every_eviction_or_overlaps_is_denied_l50_l52_l75() {
    let cluster = shared();
    let rule = json!({"validate": {"podDisruptionBudget": {"action": "Deny"}}, "podDisruptionBudget": {"maxUnavailable": "Quorum"}});
    let quorate = Quorate::builder(cluster).policy(&policy("budgets", &rule)).start().unwrap();
    let place = Place::governed(cluster, &quorate, "budgets");
    // Before its StatefulSet nothing can be said about it, as Helm wants (L75).
    silent(&place.apply(&budget("early", "db", &json!({"minAvailable": 3}))));
    denied(
        &place.apply(&database(3)),
        "spec.minAvailable of PodDisruptionBudget early: 3 lets none of 3 pods be evicted",
    );
    silent(&place.kubectl(&["delete", "pdb/early"]));
    warned(&place.apply(&database(3)), "PodDisruptionBudget db-quorate (maxUnavailable 1) will follow");

    for (limit, phrase) in [
        (json!({"minAvailable": 3}), "spec.minAvailable of PodDisruptionBudget db: 3 lets none of 3 pods be evicted"),
        (json!({"minAvailable": "67%"}), "spec.minAvailable of PodDisruptionBudget db: 67% lets none"),
        (json!({"maxUnavailable": 0}), "spec.maxUnavailable of PodDisruptionBudget db: 0 lets none"),
        (json!({}), "spec.maxUnavailable of PodDisruptionBudget db: is absent, which lets none"),
    ] {
        denied(&place.apply(&budget("db", "db", &limit)), phrase);
    }
    silent(&place.apply(&budget("db", "db", &json!({"minAvailable": "66%"}))));
    denied(&place.apply(&budget("second", "db", &json!({"maxUnavailable": 1}))), "cover the same pods");
    silent(&place.apply(&budget("web", "web", &json!({"maxUnavailable": 0}))));
    // A label that each pod has of its own: what it selects can't be told beforehand.
    let mut of_one = budget("one", "db", &json!({"maxUnavailable": 0}));
    of_one["spec"]["selector"]["matchLabels"]["apps.kubernetes.io/pod-index"] = json!("0");
    warned(&place.apply(&of_one), "spec.maxUnavailable of PodDisruptionBudget one: 0 lets none");
}
