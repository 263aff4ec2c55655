//! Every right that the chart grants is used, and none is missing: read from the API server's audit log.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use super::cluster;
use super::helm::NAMESPACE;
use super::life::Installation;
use super::writer::statefulset;
use crate::controlplane::cluster::QUORATE;
use crate::controlplane::{ControlPlane, wait_for};

/// Who, the verb, the resource and, where the right is for one object only, its name.
type Right = (String, String, String, Option<String>);

/// Leads Quorate through what it does, so that it needs each of its rights.
#[test]
fn every_right_is_used_and_none_is_missing() {
    let (cluster, _turn) = cluster();
    let before = cluster.audit_log().unwrap().len();
    let release = Installation::prepare(cluster);
    // One that rests on the Namespace's labels, which are read before it denies.
    let rule = json!({"tour": {
        "match": {"namespaceSelector": {"matchExpressions": [{"key": "absent", "operator": "DoesNotExist"}]}},
        "validate": {"persistentStorage": {"action": "Deny"}},
    }});
    let policies = format!("policies.inline={rule}");
    let values = ["--set", "enforce=true", "--set", "policies.shipped={baseline,production}", "--set-json", &policies];
    release.apply(&["install", "--create-namespace"], &values).unwrap();
    release.says("denied the request: spec.replicas: 1 is below the minimum 2");
    release.rolled_out();
    tour(&release);
    let granted = granted(cluster).unwrap();
    assert!(granted.len() > 30, "{granted:#?}");
    let (mut used, mut denied) = (BTreeSet::new(), Vec::new());
    let mut look = || {
        (used, denied) = asked(&cluster.audit_log().unwrap()[before..]).unwrap();
        // Most caches are filled by a watch; API servers that can't do that yet list, and then watch.
        let watched: Vec<Right> = used
            .iter()
            .filter(|(_, verb, ..)| verb == "watch")
            .map(|(who, _, what, name)| (who.clone(), "list".to_owned(), what.clone(), name.clone()))
            .collect();
        used.extend(watched);
        let unused: Vec<_> = granted.difference(&used).collect();
        ensure!(unused.is_empty(), "not used: {unused:#?}");
        Ok(())
    };
    wait_for("every right to be used", &mut look).unwrap();
    assert!(denied.is_empty(), "{denied:#?}");

    // The rights of the Job that uninstalls, which exist while it runs.
    let hooks = release.helm.ok(&["get", "hooks", "quorate", "-n", NAMESPACE]).unwrap();
    let hooks: Vec<Value> = serde_saphyr::from_multiple(&hooks).unwrap();
    let uninstalling = hooks.iter().find(|hook| hook["kind"] == "ClusterRole").unwrap();
    let mut granted = BTreeSet::new();
    rights("quorate-uninstall", uninstalling, &mut granted);
    release.remove();
    let (used, denied) = asked(&cluster.audit_log().unwrap()[before..]).unwrap();
    assert!(granted.is_subset(&used), "not used: {:#?}", granted.difference(&used).collect::<Vec<_>>());
    let of_job: Vec<_> = denied.iter().filter(|event| event.contains("quorate-uninstall")).collect();
    assert!(of_job.is_empty(), "{of_job:#?}");
}

/// Each kind of live read, each write of budgets, and Events about them.
fn tour(release: &Installation) {
    let cluster = release.cluster;
    let on = |words: &[&str]| cluster.kubectl(&[words, &["-n", &release.tenant]].concat()).run().unwrap();
    let apply = |object: &Value| {
        cluster.kubectl(&["apply", "-f", "-", "-n", &release.tenant]).stdin(&object.to_string()).run().unwrap()
    };
    wait_for("a budget", || release.budget()).unwrap();

    // A denied scale reads the StatefulSet; a denied creation, its Namespace, Service, budgets and autoscalers.
    let scaled = on(&["scale", "statefulset/database", "--replicas=1"]);
    assert!(scaled.stderr.contains("denied the request"), "{scaled}");
    let mut lonely = statefulset("lonely", 1);
    lonely["spec"]["serviceName"] = json!("nowhere");
    lonely["spec"]["volumeClaimTemplates"].take();
    let denied = apply(&lonely);
    assert!(denied.stderr.contains("denied the request"), "{denied}");

    an_account_writes_what_a_custom_resource_controls(release);

    // Another count, another budget: it is patched.
    on(&["scale", "statefulset/database", "--replicas=5"]);
    allows(release, 2);
    // What others change comes back.
    on(&["patch", "pdb", "database-quorate", "--type=merge", "-p", r#"{"spec":{"maxUnavailable":4}}"#]);
    allows(release, 2);
    on(&[
        "patch",
        "pdb",
        "database-quorate",
        "--type=merge",
        "-p",
        r#"{"spec":{"maxUnavailable":null,"minAvailable":1}}"#,
    ]);
    allows(release, 2);

    // Somebody's own budget: ours is withdrawn, and an Event says so. Then one that may cover, for which Pods are looked at.
    for (labels, covers) in
        [(json!({"set": "database"}), true), (json!({"statefulset.kubernetes.io/pod-name": "database-0"}), true)]
    {
        let own = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "own"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}},
        });
        assert!(apply(&own).success());
        wait_for("ours to go", || {
            ensure!(release.budget().is_err() == covers, "it is there");
            Ok(())
        })
        .unwrap();
        on(&["delete", "pdb", "own"]);
        allows(release, 2);
    }
    // One of another application: when policies change, all is looked at anew, Pods included.
    let other = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "other"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    });
    assert!(apply(&other).success());
    release.apply(&["upgrade", "--reuse-values"], &["--set", "policies.shipped={baseline}"]).unwrap();

    names_are_taken(release, &other);

    // An empty Secret: replicas that are outrun by another one read what that wrote.
    wait_for("a replica to be outrun", || {
        let emptied = r#"[{"op": "remove", "path": "/data"}]"#;
        let words = ["patch", "secret", "quorate-tls", "-n", NAMESPACE, "--type=json", "-p", emptied];
        cluster.kubectl(&words).run()?;
        let right = ("quorate", "get", "/secrets", Some("quorate-tls"));
        let used = asked(&cluster.audit_log()?)?.0;
        ensure!(
            used.iter()
                .any(|(who, verb, what, name)| (who.as_str(), verb.as_str(), what.as_str(), name.as_deref()) == right),
            "not yet"
        );
        Ok(())
    })
    .unwrap();

    // A StatefulSet that comes back to its claims.
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data-back-0"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    assert!(apply(&claim).success());
    wait_for("its claims to be known", || {
        let words = ["create", "--dry-run=server", "-f", "-", "-n", &release.tenant];
        cluster.kubectl(&words).stdin(&statefulset("back", 3).to_string()).ok()?;
        let used = asked(&cluster.audit_log()?)?.0;
        ensure!(
            used.iter().any(|(_, verb, resource, _)| verb == "list" && resource == "apps/controllerrevisions"),
            "not yet"
        );
        Ok(())
    })
    .unwrap();
}

/// It may or may not run that: who has the right there is looked at, too.
fn an_account_writes_what_a_custom_resource_controls(release: &Installation) {
    let cluster = release.cluster;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "databases.operator.example"},
        "spec": {
            "group": "operator.example", "scope": "Namespaced",
            "names": {"kind": "Database", "plural": "databases", "singular": "database"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }],
        },
    });
    cluster.apply(&definition.to_string()).unwrap();
    cluster.kubectl(&["wait", "--for=condition=Established", "crd/databases.operator.example"]).ok().unwrap();
    let mut owned = statefulset("owned", 3);
    owned["metadata"]["ownerReferences"] = json!([
        {"apiVersion": "operator.example/v1", "kind": "Database", "name": "db", "uid": "1", "controller": true}
    ]);
    let binding = ["create", "rolebinding", "operator", "--clusterrole=edit", "--serviceaccount=default:operator"];
    cluster.kubectl(&binding).namespace(&release.tenant).ok().unwrap();
    let account = "--as=system:serviceaccount:default:operator";
    let words = ["create", "--dry-run=server", "-f", "-", "-n", &release.tenant, account];
    let written = cluster.kubectl(&words).stdin(&owned.to_string()).run().unwrap();
    assert!(written.success(), "{written}");
}

/// Somebody takes the name of a budget between Quorate's look at its cache and its write (L96): it reads whose that is.
fn names_are_taken(release: &Installation, budget: &Value) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut number = 0;
    wait_for("a name to be taken at the last moment", || {
        // The moment is some milliseconds long, and Quorate gathers changes for 50 before it looks.
        for delay in (44..76).step_by(4) {
            number += 1;
            let name = format!("taken-{number}");
            let mut budget = budget.clone();
            budget["metadata"]["name"] = json!(format!("{name}-quorate"));
            runtime.block_on(async {
                let client = release.cluster.client().await?;
                let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &release.tenant);
                let budgets: Api<PodDisruptionBudget> = Api::namespaced(client, &release.tenant);
                let set = serde_json::from_value(statefulset(&name, 3))?;
                sets.create(&PostParams::default(), &set).await?;
                tokio::time::sleep(Duration::from_millis(delay)).await;
                let _ = budgets.create(&PostParams::default(), &serde_json::from_value(budget)?).await;
                sets.delete(&name, &DeleteParams::default()).await?;
                // Whoever's it is: nothing of the test is to be left either.
                let _ = budgets.delete(&format!("{name}-quorate"), &DeleteParams::default()).await;
                anyhow::Ok(())
            })?;
        }
        let used = asked(&release.cluster.audit_log()?)?.0;
        let right = ("quorate", "get", "policy/poddisruptionbudgets");
        ensure!(
            used.iter().any(|(who, verb, what, _)| (who.as_str(), verb.as_str(), what.as_str()) == right),
            "not yet"
        );
        Ok(())
    })
    .unwrap();
}

fn allows(release: &Installation, disruptions: u64) {
    wait_for("the budget to be as it shall be", || {
        let spec = release.budget()?["spec"].clone();
        ensure!(spec["maxUnavailable"] == disruptions && spec["minAvailable"].is_null(), "{spec}");
        Ok(())
    })
    .unwrap();
}

/// What the objects in the cluster grant.
fn granted(cluster: &ControlPlane) -> Result<BTreeSet<Right>> {
    let mut granted = BTreeSet::new();
    rights("quorate", &cluster.object("", "clusterrole", "quorate")?, &mut granted);
    rights("quorate", &cluster.object(NAMESPACE, "role", "quorate")?, &mut granted);
    Ok(granted)
}

fn rights(account: &str, role: &Value, granted: &mut BTreeSet<Right>) {
    let strings = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    for rule in role["rules"].as_array().into_iter().flatten() {
        let names = strings(&rule["resourceNames"]);
        let names: Vec<_> = if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                for (verb, name) in
                    strings(&rule["verbs"]).iter().flat_map(|verb| names.iter().map(move |name| (verb, name)))
                {
                    granted.insert((account.to_owned(), verb.clone(), format!("{group}/{resource}"), name.clone()));
                }
            }
        }
    }
}

/// What the ServiceAccounts asked for, with and without the object's name, and what they were denied.
fn asked(events: &[Value]) -> Result<(BTreeSet<Right>, Vec<String>)> {
    let (mut used, mut denied) = (BTreeSet::new(), Vec::new());
    for event in events {
        let username = event["user"]["username"].as_str().context("an event without user")?;
        let Some(account) = username.starts_with(QUORATE).then(|| username.rsplit(':').next()).flatten() else {
            continue;
        };
        let object = &event["objectRef"];
        if event["annotations"]["authorization.k8s.io/decision"] == "forbid" {
            denied.push(format!("{account}: {} {}", event["verb"], event["requestURI"]));
        }
        let (Some(verb), Some(resource)) = (event["verb"].as_str(), object["resource"].as_str()) else { continue };
        let resource = format!("{}/{resource}", object["apiGroup"].as_str().unwrap_or_default());
        // A list of one object names it in the field selector.
        for name in [None, object["name"].as_str().map(str::to_owned)] {
            used.insert((account.to_owned(), verb.to_owned(), resource.clone(), name));
        }
    }
    Ok((used, denied))
}
