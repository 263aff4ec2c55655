//! `docs/reliability.md` has a row for each test that records one, and no other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::record::{directory, number};

const INTRODUCTION: &str = "# Reliability

What was tried on Quorate, how often, and what came of it. Each row was written by the test that it names, against a real
control plane where one is needed; `make reliability` runs these tests and writes this file, `make soak` writes its own row.
Figures are those of one run on a machine with two cores: they differ from run to run, but the tests fail where a
StatefulSet is lost, left unmutated or wrongly denied.

| Tried | How often | Result | Test |
|---|---|---|---|
";

/// What is tried by `make` and not by a test, as it takes too long.
const MADE: &[&str] = &["make soak"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The table's lines by the test that each names.
fn rows(text: &str) -> BTreeMap<String, String> {
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.ends_with("` |"));
    rows.map(|line| (line.rsplit('`').nth(1).unwrap().to_owned(), line.to_owned())).collect()
}

/// The rows that tests have written since this was last cleaned.
fn written() -> BTreeMap<String, String> {
    let files = fs::read_dir(directory()).into_iter().flatten().map(|entry| entry.unwrap().path());
    files
        .map(|file| {
            let row: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            let [test, tried, amount, result] =
                ["test", "tried", "amount", "result"].map(|field| row[field].as_str().unwrap().replace('|', "\\|"));
            let line = format!("| {tried} | {amount} | {result} | `{test}` |");
            (test, line)
        })
        .collect()
}

/// Every file of the integration tests, with the path of its module.
fn sources() -> Vec<(String, String)> {
    let root = repository().join("tests/integration");
    let (mut directories, mut found) = (vec![root.clone()], Vec::new());
    while let Some(directory) = directories.pop() {
        let paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        for path in paths {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = path.strip_prefix(&root).unwrap().with_extension("");
                let parts = module.iter().map(|part| part.to_str().unwrap()).filter(|part| *part != "mod");
                found.push((parts.collect::<Vec<_>>().join("::"), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// The tests of a file.
fn tests(source: &str) -> Vec<&str> {
    let mut lines = source.lines().map(str::trim);
    let mut found = Vec::new();
    while lines.any(|line| line == "#[test]" || line.starts_with("#[tokio::test")) {
        let head = lines.find_map(|line| line.split_once("fn ")).unwrap().1;
        found.push(&head[..head.find('(').unwrap()]);
    }
    found
}

/// The tests that record a row, by what they pass to [`super::record::record`].
fn recorded(source: &str) -> Vec<&str> {
    let calls = source.split("record(").skip(1).map(str::trim_start);
    calls.filter_map(|call| call.strip_prefix('"')?.split('"').next()).collect()
}

#[test]
fn the_table_has_a_row_for_each_test_that_records_one() {
    let path = repository().join("docs/reliability.md");
    let found = fs::read_to_string(&path).unwrap_or_default();
    let sources = sources();
    let mut expected: Vec<String> = MADE.iter().map(|&name| name.to_owned()).collect();
    for (module, source) in sources.iter().filter(|(module, _)| module != "reliability::table") {
        let recorded = recorded(source);
        for test in tests(source) {
            let name = format!("{module}::{test}");
            let records = recorded.contains(&name.as_str());
            assert!(records || !module.starts_with("reliability"), "{name} ends without a call of `record`");
            if records {
                expected.push(name);
            }
        }
        for name in recorded {
            assert!(
                expected.iter().any(|test| test == name),
                "{module} records a row for {name}, which is no test of it"
            );
        }
    }
    let mut rows = rows(&found);
    if std::env::var_os("QUORATE_WRITE_DOCS").is_some() {
        rows.extend(written());
        rows.retain(|name, _| expected.contains(name));
        let lines: Vec<&str> = rows.values().map(String::as_str).collect();
        fs::write(&path, format!("{INTRODUCTION}{}\n", lines.join("\n"))).unwrap();
    } else {
        assert!(found.starts_with(INTRODUCTION), "docs/reliability.md begins otherwise: run `make reliability`");
    }
    let missing: Vec<_> = expected.iter().filter(|name| !rows.contains_key(*name)).collect();
    assert!(missing.is_empty(), "docs/reliability.md has no row for {missing:?}: run `make reliability`, `make soak`");
    let unknown: Vec<_> = rows.keys().filter(|name| !expected.contains(name)).collect();
    assert!(unknown.is_empty(), "docs/reliability.md has rows for what is no test: {unknown:?}");
}

#[test]
fn numbers_are_written_as_people_read_them() {
    assert_eq!([0, 12, 1_234, 1_234_567].map(number), ["0", "12", "1,234", "1,234,567"]);
}
