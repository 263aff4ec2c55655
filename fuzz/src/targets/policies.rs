//! The bytes of a policy file.

use quorate::facts::{Change, Namespace, StatefulSet, Surroundings, Way};
use quorate::policy::{LoadError, Loader, Policy, PolicySet, budget, effective};
use quorate::review::{evaluate, injection};
use serde_json::json;

use super::world;

const FILE: &str = "policy.yaml";

/// What is wrong with a file is said with its place; what is right can be explained and judged by.
pub fn run(bytes: &[u8]) {
    let mut loader = Loader::default();
    loader.add(FILE, bytes);
    match loader.finish() {
        Ok(located) => {
            for each in &located {
                assert!(each.place.line >= 1 && each.place.column >= 1);
                assert_eq!(each.file, FILE);
            }
            judge(located.into_iter().map(|located| located.policy).collect());
        }
        Err(errors) => {
            assert!(!errors.summary().contains('\n'));
            assert!(errors.iter().next().is_some(), "there is an error where there are no policies");
            errors.iter().for_each(|error| check(error, bytes));
        }
    }
}

fn check(error: &LoadError, bytes: &[u8]) {
    let line = error.to_string();
    assert!(!line.chars().any(char::is_control), "one line, and nothing that a terminal obeys: {line:?}");
    assert!(line.len() <= 1500, "a line of {} bytes", line.len());
    assert_eq!(error.file, FILE);
    let of_the_whole = ["is empty", "holds only comments", "is UTF-16", "documents; write at most"];
    let Some(place) = error.place else {
        assert!(of_the_whole.iter().any(|words| error.message.contains(words)), "no place: {line}");
        return;
    };
    let text = String::from_utf8_lossy(bytes);
    let lines = text.matches('\n').count() + 1;
    assert!((1..=lines).contains(&place.line), "line {} of {lines}: {line}", place.line);
    let length = text.split('\n').nth(place.line - 1).unwrap_or_default().chars().count();
    assert!((1..=length + 1).contains(&place.column), "column {} of {length}: {line}", place.column);
    if let Some(excerpt) = &error.excerpt {
        let lines: Vec<&str> = excerpt.lines().collect();
        assert!(lines.len() == 3 && lines[2].ends_with('^'), "{excerpt}");
        assert!(excerpt.chars().all(|each| !each.is_control() || matches!(each, '\n' | '\t')), "{excerpt:?}");
        assert!(excerpt.len() <= 2000, "{excerpt}");
    }
}

fn judge(policies: Vec<Policy>) {
    let policies = PolicySet::new(policies);
    let (objects, now) = (world::objects(), world::now());
    for (name, replicas) in [("db", 3), ("free-cache", 0), ("queue", 4)] {
        let object: StatefulSet = serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": name, "quorate.dev/tier": "data"}},
            "spec": {
                "replicas": replicas,
                "serviceName": "db",
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c"}]}}
            }
        }))
        .expect("it is a StatefulSet");
        let around = Surroundings { namespace: namespace().into(), ..objects.around(&object) };
        let matching = policies.matching(&object.metadata, &around.namespace);
        let change = Change { way: Way::StatefulSet, object: &object, old: None, dry_run: false, requester: None };
        let decision = evaluate(&change, &around, &policies, now);
        assert_eq!(decision.policies, matching);
        for row in effective(&object, &matching) {
            assert!(matching.iter().any(|policy| policy.name == row.policy), "{row:?}");
        }
        let _ = injection(&change, &around, &matching, now);
        let _ = budget(&object, &matching);
    }
}

fn namespace() -> Namespace {
    let labels = json!({"environment": "production", "kubernetes.io/metadata.name": "shop"});
    serde_json::from_value(json!({"metadata": {"name": "shop", "labels": labels}})).expect("it is a Namespace")
}
