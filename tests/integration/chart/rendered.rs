//! What is made of the chart, or for it, and lies beside it: `make manifests` writes these files, and this says when they are stale.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::CHART;
use super::helm::Helm;
use crate::controlplane::programs;
use crate::controlplane::run::Run;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The shipped policies that the chart has copies of.
const POLICIES: &[&str] = &[
    "baseline",
    "databases/cassandra",
    "databases/ceph",
    "databases/glusterfs",
    "databases/mysql",
    "production",
    "trial/observe",
];

/// Says of a file that it is stale, or writes it.
fn check(path: &str, expected: &str) {
    let file = Path::new(ROOT).join(path);
    if std::env::var_os("QUORATE_WRITE_MANIFESTS").is_some() {
        fs::write(&file, expected).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "{path} is stale: run `make manifests`");
}

/// The chart as plain manifests: by the name of the template's file, and without what only Helm looks at.
fn manifests(helm: &Helm, arguments: &[&str]) -> BTreeMap<String, String> {
    let rendered = helm.template(arguments).unwrap();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for document in rendered.split("---\n# Source: quorate/templates/").skip(1) {
        let (name, text) = document.split_once('\n').unwrap();
        let of_helm =
            |line: &&str| line.contains("helm.sh/chart:") || line.contains("app.kubernetes.io/managed-by: Helm");
        let lines: Vec<_> = text.trim_end().lines().filter(|line| !of_helm(line)).collect();
        let file = files.entry(name.to_owned()).or_default();
        if !file.is_empty() {
            file.push_str("---\n");
        }
        let _ = writeln!(file, "{}", lines.join("\n"));
    }
    files
}

#[test]
fn the_chart_has_the_shipped_policies() {
    for policy in POLICIES {
        let shipped = fs::read_to_string(Path::new(ROOT).join(format!("policies/{policy}.yaml"))).unwrap();
        // The first line tells an editor where the schema is.
        let (_, shipped) = shipped.split_once('\n').unwrap();
        let name = policy.rsplit('/').next().unwrap();
        check(&format!("deploy/helm/quorate/files/policies/{name}.yaml"), shipped);
    }
}

#[test]
fn the_manifests_are_what_the_chart_renders() {
    the_chart_has_the_shipped_policies();
    let helm = Helm::alone();
    let files = manifests(&helm, &[]);
    for (name, text) in &files {
        check(&format!("deploy/manifests/{name}"), text);
    }
    for entry in fs::read_dir(Path::new(ROOT).join("deploy/manifests")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = files.contains_key(&name) || ["kustomization.yaml", "namespace.yaml"].contains(&name.as_str());
        assert!(known, "deploy/manifests/{name} is not of the chart");
    }
    // A patch of the ConfigMap: the policy that observes goes.
    let policies = manifests(&helm, &["--set", "enforce=true"])["policies.yaml"]
        .replace("\ndata:\n", "\ndata:\n  observe.yaml: null\n");
    check("deploy/enforce/policies.yaml", &policies);
}

#[test]
fn enforcing_is_the_same_with_helm_and_with_kustomize() {
    let run = Run::new().unwrap();
    let kubectl = programs::locate(&run).unwrap().join("kubectl");
    let output = Command::new(kubectl).args(["kustomize", "deploy/enforce"]).current_dir(ROOT).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut kustomized = by_name(&String::from_utf8(output.stdout).unwrap());
    kustomized.remove("Namespace quorate-system").unwrap();
    let files = manifests(&Helm::alone(), &["--set", "enforce=true"]);
    let rendered = by_name(&files.into_values().collect::<Vec<_>>().join("---\n"));
    assert_eq!(kustomized.keys().collect::<Vec<_>>(), rendered.keys().collect::<Vec<_>>());
    for (name, object) in rendered {
        assert_eq!(kustomized[&name], object, "{name}");
    }
    run.end();
}

fn by_name(text: &str) -> BTreeMap<String, Value> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let named = objects.into_iter().filter(|object| !object.is_null()).map(|object| {
        let name = format!("{} {}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        (name, object)
    });
    named.collect()
}

#[test]
fn the_table_of_values_is_up_to_date() {
    let text = fs::read_to_string(format!("{CHART}/values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&text).unwrap();
    let (mut rows, mut comment, mut path) = (BTreeMap::new(), None::<String>, Vec::<(usize, &str)>::new());
    let mut order = Vec::new();
    for line in text.lines() {
        let (content, indent) = (line.trim_start(), line.len() - line.trim_start().len());
        if let Some(start) = content.strip_prefix("# -- ") {
            comment = Some(start.to_owned());
        } else if let Some((more, begun)) = content.strip_prefix("# ").zip(comment.as_mut()) {
            *begun = format!("{begun} {more}");
        } else if let Some((key, _)) = content.split_once(':').filter(|_| !content.starts_with('#')) {
            path.retain(|(outer, _)| *outer < indent);
            path.push((indent, key));
            let keys: Vec<_> = path.iter().map(|(_, key)| *key).collect();
            if let Some(comment) = comment.take() {
                order.push(keys.join("."));
                rows.insert(keys.join("."), (comment, values.pointer(&format!("/{}", keys.join("/"))).unwrap()));
            }
        }
    }
    every_value_has_a_row(&values, "", &rows.keys().map(String::as_str).collect::<Vec<_>>());
    let mut table = "| Value | Default | What it is |\n|---|---|---|\n".to_owned();
    for name in order {
        let (comment, default) = &rows[&name];
        let _ = writeln!(table, "| `{name}` | `{default}` | {} |", comment.replace('|', "\\|"));
    }
    let readme = fs::read_to_string(format!("{CHART}/README.md")).unwrap();
    let (head, _) = readme.split_once("| Value |").unwrap();
    check("deploy/helm/quorate/README.md", &format!("{head}{table}"));
}

fn every_value_has_a_row(value: &Value, path: &str, rows: &[&str]) {
    if rows.contains(&path) {
        return;
    }
    let inner = value.as_object().filter(|inner| !inner.is_empty());
    for (key, value) in inner.unwrap_or_else(|| panic!("values.yaml says nothing about {path}")) {
        every_value_has_a_row(value, format!("{path}.{key}").trim_start_matches('.'), rows);
    }
}
