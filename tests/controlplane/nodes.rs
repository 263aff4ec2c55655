//! Nodes that kwok keeps Ready, and volumes that are bound to them.

use std::sync::atomic::Ordering;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::cluster::ControlPlane;
use super::wait::wait_for;

impl ControlPlane {
    /// Adds nodes `node-1`, `node-2`, …, spread over the zones in turn; returns their names when they are Ready.
    pub(crate) fn add_nodes(&self, count: usize, zones: &[&str]) -> Result<Vec<String>> {
        let first = self.nodes.fetch_add(count, Ordering::Relaxed);
        let names: Vec<String> = (first + 1..=first + count).map(|number| format!("node-{number}")).collect();
        let nodes = names.iter().enumerate().map(|(index, name)| {
            let labels = json!({
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": zones[index % zones.len()],
            });
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
        });
        self.create(&nodes.collect::<Vec<_>>())?;
        wait_for("the nodes", || {
            let nodes = self.kubectl(&["get", "nodes", "-o", "json"]).json()?;
            for node in nodes["items"].as_array().into_iter().flatten() {
                let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
                let ready = conditions.into_iter().any(|it| it["type"] == "Ready" && it["status"] == "True");
                let tainted = node["spec"]["taints"].is_array() && node["spec"]["unschedulable"] != true;
                let name = &node["metadata"]["name"];
                ensure!(ready && !tainted, "{name} is not ready: {} {}", node["spec"], node["status"]["conditions"]);
            }
            Ok(())
        })?;
        Ok(names)
    }

    /// Adds `local` volumes of 10 GiB to each of these nodes.
    ///
    /// A volume whose claim is deleted can be claimed again a moment later, wherever it was used before.
    pub(crate) fn add_volumes(&self, nodes: &[String], per_node: usize) -> Result<()> {
        let volumes = nodes.iter().flat_map(|node| {
            (0..per_node).map(move |_| {
                let name = format!("{node}-volume-{}", self.volumes.fetch_add(1, Ordering::Relaxed) + 1);
                let hostname = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [node]});
                json!({
                    "apiVersion": "v1",
                    "kind": "PersistentVolume",
                    "metadata": {"name": name},
                    "spec": {
                        "storageClassName": "local",
                        "capacity": {"storage": "10Gi"},
                        "accessModes": ["ReadWriteOnce"],
                        "persistentVolumeReclaimPolicy": "Retain",
                        "local": {"path": format!("/volumes/{name}")},
                        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [hostname]}]}},
                    },
                })
            })
        });
        self.create(&volumes.collect::<Vec<_>>())
    }

    fn create(&self, items: &[Value]) -> Result<()> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        self.kubectl(&["create", "-f", "-"]).stdin(&list.to_string()).ok()?;
        Ok(())
    }
}
