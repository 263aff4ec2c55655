//! `docs/rules.md` says what the rules' own files say.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use quorate::rules::Rule;

const INTRODUCTION: &str = "# Rules

What each rule checks, why it matters, an example that fails and one that passes. How to turn a rule on, and its settings, are in
[policies.md](policies.md); complete manifests are in [`examples/rules`](../examples/rules). `quorate policy explain RULE` prints the same.

This file is written by `make docs`, from the comments at the head of `src/rules/*.rs`.
";

fn expected() -> String {
    let mut text = INTRODUCTION.to_owned();
    for rule in Rule::ALL {
        let documentation = rule.documentation();
        let (title, rest) = documentation.split_once('\n').unwrap();
        let (name, sentence) = title.split_once(": ").unwrap();
        assert_eq!(name, format!("`{}`", rule.name()), "the first line of the rule's file");
        let (first, rest) = (sentence[..1].to_uppercase(), rest.replace("\n# ", "\n### "));
        let _ = write!(text, "\n## {name}\n\n{first}{}\n{rest}", &sentence[1..]);
    }
    text
}

#[test]
fn the_reference_of_rules_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    if std::env::var_os("QUORATE_WRITE_DOCS").is_some() {
        fs::write(&path, expected()).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected(), "docs/rules.md is not what src/rules/*.rs say: run `make docs`");
}

#[test]
fn every_rule_explains_itself() {
    for rule in Rule::ALL {
        let output =
            Command::new(env!("CARGO_BIN_EXE_quorate")).args(["policy", "explain", rule.name()]).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && printed == rule.documentation(), "{printed}");
        for part in ["# What it checks", "# Why it matters", "# Example"] {
            assert!(printed.contains(part), "{} says nothing under {part:?}", rule.name());
        }
    }
    let unknown = Command::new(env!("CARGO_BIN_EXE_quorate")).args(["policy", "explain", "replica"]).output().unwrap();
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(unknown.status.code() == Some(2) && said.contains("name one of headlessService, replicas"), "{said}");
}

#[test]
fn the_effective_policy_of_an_object_is_explained() {
    let explain = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["policy", "explain", "--policies=policies", "-f", "examples/mysql/statefulset.yaml"])
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    insta::assert_snapshot!("production", explain(&["-n", "shop", "--namespace-labels=environment=production"]));
    let baseline: serde_json::Value = serde_json::from_str(&explain(&["-o", "json"])).unwrap();
    assert_eq!(baseline[0]["policies"], serde_json::json!(["baseline"]));
    assert_eq!(baseline[0]["undecided"], true);
    assert!(explain(&["-n", "kube-system"]).contains("no policy matches"));
}
