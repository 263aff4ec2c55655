//! The control plane that the other tests stand on: nodes, volumes, ordered starts and evictions work as in production.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::controlplane::{ControlPlane, run::Run, shared, wait_for};

const DATABASE: &str = include_str!("../fixtures/database.yaml");

#[test]
fn runs_a_stateful_set_with_a_volume_for_each_pod() {
    let cluster = shared();
    let namespace = cluster.namespace("stateful", &[]).unwrap();
    cluster.kubectl(&["apply", "-f", "-"]).as_user("developer").namespace(&namespace).stdin(DATABASE).ok().unwrap();
    ready(cluster, &namespace, 3).unwrap();

    let before = placements(cluster, &namespace).unwrap();
    let nodes: BTreeSet<_> = before.iter().map(|(_, node, _)| node).collect();
    assert!(nodes.len() == 3, "not on three nodes: {before:?}");

    let old = cluster.object(&namespace, "pod", "database-1").unwrap();
    cluster.kubectl(&["delete", "pod", "database-1", "-n", &namespace]).ok().unwrap();
    wait_for("a new database-1", || {
        let new = cluster.object(&namespace, "pod", "database-1")?;
        ensure!(new["metadata"]["uid"] != old["metadata"]["uid"], "still the old one");
        Ok(())
    })
    .unwrap();
    ready(cluster, &namespace, 3).unwrap();
    assert!(placements(cluster, &namespace).unwrap() == before, "not where its volume is");
}

#[test]
fn evictions_ask_the_budget() {
    let cluster = shared();
    let namespace = cluster.namespace("evictions", &[]).unwrap();
    cluster.kubectl(&["apply", "-f", "-"]).namespace(&namespace).stdin(DATABASE).ok().unwrap();
    let budget = json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "database"},
        "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "database"}}},
    });
    cluster.kubectl(&["apply", "-f", "-"]).namespace(&namespace).stdin(&budget.to_string()).ok().unwrap();
    ready(cluster, &namespace, 3).unwrap();
    let healthy = |allowed: i64| {
        wait_for("the disruption controller", || {
            let budget = cluster.object(&namespace, "poddisruptionbudget", "database")?;
            let status = &budget["status"];
            ensure!(status["currentHealthy"] == 3 && status["disruptionsAllowed"] == allowed, "{status}");
            Ok(())
        })
    };
    healthy(0).unwrap();
    let refused = evict(cluster, &namespace, "database-0").unwrap();
    assert!(refused.contains("would violate the pod's disruption budget"), "{refused}");

    let relaxed = r#"{"spec":{"minAvailable":2}}"#;
    cluster.kubectl(&["patch", "pdb", "database", "-n", &namespace, "--type=merge", "-p", relaxed]).ok().unwrap();
    healthy(1).unwrap();
    let evicted = evict(cluster, &namespace, "database-0").unwrap();
    assert!(evicted.contains("Success"), "{evicted}");
}

#[test]
fn a_released_volume_can_be_claimed_again() {
    let cluster = shared();
    let namespace = cluster.namespace("recycled", &[]).unwrap();
    cluster.kubectl(&["apply", "-f", "-"]).namespace(&namespace).stdin(DATABASE).ok().unwrap();
    ready(cluster, &namespace, 3).unwrap();
    let volumes: Vec<String> =
        placements(cluster, &namespace).unwrap().into_iter().map(|(_, _, volume)| volume).collect();
    cluster.kubectl(&["delete", "namespace", &namespace]).ok().unwrap();
    for volume in volumes {
        wait_for("the volume to be free", || {
            let volume = cluster.object("", "pv", &volume)?;
            // Another test may have claimed it in the meantime.
            let holder = &volume["spec"]["claimRef"]["namespace"];
            ensure!(*holder != json!(namespace), "{}", volume["status"]);
            Ok(())
        })
        .unwrap();
    }
}

#[tokio::test]
async fn a_client_sees_the_cluster() {
    let cluster = shared();
    let nodes: kube::Api<k8s_openapi::api::core::v1::Node> = kube::Api::all(cluster.client().await.unwrap());
    assert!(nodes.list(&kube::api::ListParams::default()).await.unwrap().items.len() >= 3);
}

#[test]
fn people_have_different_rights() {
    let cluster = shared();
    let namespace = cluster.namespace("rights", &[]).unwrap();
    for user in ["platform", "developer", "gitops"] {
        let may = cluster.kubectl(&["auth", "can-i", "create", "statefulsets", "-n", &namespace]).as_user(user);
        assert!(may.run().unwrap().success(), "{user} may not create StatefulSets");
        let may = cluster.kubectl(&["auth", "can-i", "create", "validatingwebhookconfigurations"]).as_user(user);
        assert!(!may.run().unwrap().success(), "{user} may write webhook configurations");
    }
}

/// Started by [`nothing_is_left_of_a_killed_run`] in a process of its own.
#[test]
#[ignore = "ends only when it is killed"]
fn runs_until_it_is_killed() {
    let run = Run::new().unwrap();
    println!("directory={}", run.directory().display());
    let cluster = ControlPlane::start_in(&run).unwrap();
    println!("server={}", cluster.server());
    loop {
        std::thread::park();
    }
}

#[test]
fn nothing_is_left_of_a_killed_run() {
    use std::io::{BufRead, BufReader};

    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "control_plane::runs_until_it_is_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().context("no stdout").unwrap()).lines();
    let mut next = |key: &str| -> Result<String> {
        for line in lines.by_ref() {
            if let Some((_, value)) = line?.split_once(key) {
                return Ok(value.to_owned());
            }
        }
        anyhow::bail!("it ended without saying {key}")
    };
    let directory = next("directory=").unwrap();
    let started = next("server=");
    let processes = std::fs::read_dir(format!("{directory}/processes"))
        .unwrap()
        .map(|entry| Ok(std::fs::read_to_string(entry?.path())?.trim().to_owned()))
        .collect::<Result<Vec<String>>>()
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    started.unwrap();
    assert!(processes.len() == 5, "{processes:?}");
    wait_for("the run to be gone", || {
        ensure!(!std::path::Path::new(&directory).exists(), "{directory} exists");
        Ok(())
    })
    .unwrap();
    for pid in processes {
        // The pid may be another process's by now, but not in this directory.
        let place = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        assert!(!place.starts_with(&directory), "process {pid} is left");
    }
}

fn ready(cluster: &ControlPlane, namespace: &str, replicas: i64) -> Result<()> {
    wait_for("the pods to become ready", || {
        let set = cluster.object(namespace, "statefulset", "database")?;
        let pods = cluster.kubectl(&["get", "pods,pvc,events", "-n", namespace, "-o", "wide"]).ok()?;
        ensure!(set["status"]["readyReplicas"] == replicas, "{}\n{pods}", set["status"]);
        Ok(())
    })
}

/// Each pod with its node and its volume.
fn placements(cluster: &ControlPlane, namespace: &str) -> Result<Vec<(String, String, String)>> {
    let pods = cluster.kubectl(&["get", "pods", "-n", namespace, "-o", "json"]).json()?;
    let text = |value: &Value| value.as_str().map(str::to_owned).with_context(|| format!("no text: {value}"));
    let mut found = Vec::new();
    for pod in pods["items"].as_array().into_iter().flatten() {
        let name = text(&pod["metadata"]["name"])?;
        let claim = cluster.object(namespace, "pvc", &format!("data-{name}"))?;
        ensure!(claim["status"]["phase"] == "Bound", "{claim}");
        found.push((name, text(&pod["spec"]["nodeName"])?, text(&claim["spec"]["volumeName"])?));
    }
    Ok(found)
}

/// Asks for one eviction; what the API server answers.
pub(crate) fn evict(cluster: &ControlPlane, namespace: &str, pod: &str) -> Result<String> {
    let eviction = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": namespace},
    });
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/eviction");
    let answer = cluster.kubectl(&["create", "--raw", &path, "-f", "-"]).stdin(&eviction.to_string()).run()?;
    Ok(answer.stdout + &answer.stderr)
}
