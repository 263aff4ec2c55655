//! `docs/metrics.md` and `/metrics` of a running Quorate say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use anyhow::ensure;
use quorate::rules::Rule;

use super::{observed, read};
use crate::controlplane::wait_for;

/// A metric: its type, what it means, and its labels with their values. A label whose values aren't listed has none here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Metric {
    kind: String,
    meaning: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// The rows of the tables of docs/metrics.md.
fn documented() -> BTreeMap<String, Metric> {
    let text = read("docs/metrics.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [name, kind, labels, meaning, ..] = cells.as_slice() else { panic!("not a metric: {row}") };
        let labels = labels.split(';').filter(|label| !label.trim().is_empty()).map(documented_label).collect();
        let metric = Metric { kind: (*kind).to_owned(), meaning: (*meaning).to_owned(), labels };
        (name.trim_end_matches('`').to_owned(), metric)
    })
    .collect()
}

/// `` `label`: `value`, `value` ``; of links to docs/rules.md, every rule.
fn documented_label(text: &str) -> (String, BTreeSet<String>) {
    let (label, values) = text.split_once(':').unwrap_or_else(|| panic!("no values: {text}"));
    let mut known: BTreeSet<String> = values.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    if values.contains("(rules.md)") {
        known.extend(Rule::ALL.iter().map(|rule| rule.name().to_owned()));
    }
    known.retain(|value| !value.starts_with('/'));
    (label.trim().trim_matches('`').to_owned(), known)
}

/// What `/metrics` shows, under the names that queries use.
fn shown(text: &str) -> BTreeMap<String, Metric> {
    let mut families: BTreeMap<String, Metric> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "HELP", name, help] => {
                (*name).clone_into(&mut current);
                (*help).clone_into(&mut families.entry(current.clone()).or_default().meaning);
            }
            ["#", "TYPE", name, kind] => (*kind).clone_into(&mut families.entry((*name).to_owned()).or_default().kind),
            ["#", ..] => {}
            _ => {
                let family = families.get_mut(&current).unwrap_or_else(|| panic!("of no metric: {line}"));
                let labels = line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |it| it.0);
                for pair in labels.split(',').filter(|pair| !pair.is_empty()) {
                    let (label, value) = pair.split_once('=').unwrap();
                    family.labels.entry(label.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
                }
            }
        }
    }
    let named = families.into_iter().map(|(name, mut metric)| {
        metric.labels.remove("le");
        match metric.kind.as_str() {
            "counter" => (name + "_total", metric),
            "info" => (name + "_info", metric),
            _ => (name, metric),
        }
    });
    named.collect()
}

fn assert_same<T: Debug + Ord>(what: &str, documented: impl Iterator<Item = T>, shown: impl Iterator<Item = T>) {
    let (documented, shown): (BTreeSet<T>, BTreeSet<T>) = (documented.collect(), shown.collect());
    let undocumented: Vec<_> = shown.difference(&documented).collect();
    let missing: Vec<_> = documented.difference(&shown).collect();
    assert!(undocumented.is_empty(), "docs/metrics.md lacks {what} {undocumented:?}");
    assert!(missing.is_empty(), "/metrics lacks {what} {missing:?}, which docs/metrics.md has");
}

/// L37: so labels have no values but those that are listed.
#[test]
fn documentation_and_metrics_agree() {
    let text = wait_for("every cache to be heard of", || {
        let text = observed().metrics()?;
        ensure!(text.contains("\nquorate_cache_silence_seconds{"), "{text}");
        Ok(text)
    });
    let (documented, shown) = (documented(), shown(&text.unwrap()));
    assert_same("the metrics", documented.keys(), shown.keys());
    for (name, documented) in &documented {
        let shown = &shown[name];
        assert_eq!(documented.kind, shown.kind, "the type of {name}");
        assert_eq!(documented.meaning, shown.meaning, "what {name} means");
        assert_same(&format!("labels of {name}:"), documented.labels.keys(), shown.labels.keys());
        for (label, values) in documented.labels.iter().filter(|(_, values)| !values.is_empty()) {
            assert_same(&format!("values of {label} of {name}:"), values.iter(), shown.labels[label].iter());
        }
    }
}

#[test]
fn names_follow_the_conventions_of_prometheus() {
    for (name, metric) in shown(&observed().metrics().unwrap()) {
        assert!(name.chars().all(|char| char.is_ascii_lowercase() || char == '_'), "{name}");
        assert!(name.starts_with("quorate_") || name.starts_with("process_"), "{name}");
        assert_eq!(metric.kind == "counter", name.ends_with("_total"), "{name} is a {}", metric.kind);
        assert!(metric.kind != "histogram" || name.ends_with("_seconds"), "{name} has no unit");
        let other_units = ["milliseconds", "micros", "_ms", "_kb", "_percent", "minutes"];
        assert!(!other_units.iter().any(|unit| name.contains(unit)), "{name} is not in a base unit");
        assert!(metric.meaning.ends_with('.') && metric.meaning.len() > 15, "{name}: {}", metric.meaning);
    }
}
