//! Two replicas, and the end of the one that leads.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

/// How many StatefulSets are made.
const COUNT: usize = 200;

#[test]
fn when_the_leader_is_killed_every_statefulset_ends_with_one_budget() {
    let (cluster, namespace) = namespace("failover", "quorum");
    let items: Vec<Value> = (0..COUNT)
        .map(|number| {
            let name = format!("db-{number}");
            let mut set = statefulset(&name, 2, &json!({"app": name}));
            // Nothing here is about pods, and 400 of them would be about nothing else.
            set["spec"]["template"]["spec"]["schedulerName"] = json!("nobody");
            set
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let making = {
        let namespace = namespace.clone();
        thread::spawn(move || cluster.kubectl(&["create", "-f", "-"]).namespace(&namespace).stdin(&list).ok().unwrap())
    };
    let mut replicas = replicas();
    let (leader, follower) = replicas.leader();
    wait_for("some of the budgets", || {
        let some = budgets(cluster, &namespace)?.len();
        ensure!(some >= COUNT / 10, "{some}");
        Ok(())
    })
    .unwrap();
    let made = budgets(cluster, &namespace).unwrap().len();
    leader.kill().unwrap();
    let killed = Instant::now();
    assert!(made < COUNT, "it was not in the middle");
    making.join().unwrap();
    let expected: Vec<String> = {
        let mut names: Vec<_> = (0..COUNT).map(|number| format!("db-{number}-quorate")).collect();
        names.sort();
        names
    };
    wait_for("all budgets", || {
        let found = budgets(cluster, &namespace)?;
        ensure!(found == expected, "{} of {COUNT}", found.len());
        Ok(())
    })
    .unwrap();
    println!("{made} of {COUNT} budgets when the leader was killed; all of them {:?} later", killed.elapsed());
    wait_for("the gauge", || {
        let metrics = follower.metrics()?;
        ensure!(metrics.contains("quorate_budget_controller_leader 1"), "{metrics}");
        let managed = metrics.lines().find_map(|line| line.strip_prefix("quorate_budgets_managed "));
        ensure!(managed.is_some_and(|count| count.parse().is_ok_and(|count: usize| count >= COUNT)), "{managed:?}");
        Ok(())
    })
    .unwrap();
    leader.start_again().unwrap();

    // Each was made once, and none was ever deleted: two controllers never undo each other's work.
    let log = fs::read_to_string(cluster.run().path("logs/audit.log")).unwrap();
    let mut made: BTreeMap<String, usize> = BTreeMap::new();
    for line in log.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let object = &event["objectRef"];
        if object["resource"] != "poddisruptionbudgets" || object["namespace"] != namespace.as_str() {
            continue;
        }
        assert_ne!(event["verb"], "delete", "{event}");
        if event["verb"] == "create" && event["responseStatus"]["code"] == 201 {
            *made.entry(object["name"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    // Of the requests that were in flight when it was killed, up to eight, the log knows no outcome.
    assert!(made.len() + 8 >= COUNT && made.values().all(|times| *times == 1), "{made:?}");

    // Told to end, it gives the Lease back.
    let (leader, _) = replicas.leader();
    leader.terminate().unwrap();
    let log = leader.log();
    assert!(log.contains("no longer looking after budgets") && log.contains("released=true"), "{log}");
    leader.start_again().unwrap();
    drop(replicas);
    kubectl(cluster, &namespace, &["delete", "namespace", &namespace, "--wait=false"]);
    thread::sleep(Duration::from_millis(1));
}
