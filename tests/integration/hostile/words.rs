//! Names and annotations that want to be more than text: to forge a line of a log, to command a terminal.

use std::fs::write;

use serde_json::{Value, json};

use super::{POLICIES, Served, quorate, request, review, statefulset};

/// A name that ends the line, goes on with a forged one, and colours what comes after it.
const FORGED: &str = "db\n2026-11-23T00:00:00.000000Z  INFO forged\r\u{1b}[31m\u{9b}2J\u{7}\u{85}\u{2028}\u{202e}";

/// Requests with such a name wherever somebody else's text may come to be shown.
fn requests() -> Vec<Value> {
    let mut all = Vec::new();
    let places = [
        "/name",
        "/namespace",
        "/operation",
        "/userInfo/username",
        "/kind/kind",
        "/resource/resource",
        "/object/metadata/name",
        "/object/metadata/namespace",
        "/object/spec/serviceName",
        "/object/spec/template/spec/containers/0/name",
        "/object/spec/replicas",
        "/object/spec/template/metadata/labels/app",
    ];
    for place in places {
        let mut request = request(&statefulset(), None);
        request["object"]["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 1}]);
        *request.pointer_mut(place).unwrap() = json!(FORGED);
        all.push(request);
    }
    for key in ["exempt", "exempt-reason", "exempt-until", "inject", "injected"] {
        let mut request = request(&statefulset(), None);
        request["userInfo"]["username"] = json!(FORGED);
        request["object"]["metadata"]["annotations"] = json!({"quorate.dev/exempt": "replicas,headlessService"});
        request["object"]["metadata"]["annotations"][format!("quorate.dev/{key}")] = json!(FORGED);
        all.push(request);
    }
    all
}

#[tokio::test]
async fn lines_of_the_log_are_not_forged() {
    let mut served = Served::start("text").await;
    for request in requests() {
        served.review(&review(&request)).await;
    }
    let log = served.log();
    assert!(log.contains(r"db\n2026-11-23"), "the name is logged: {log}");
    for line in log.split('\n').filter(|line| !line.is_empty()) {
        let (time, rest) = line.split_once(' ').unwrap_or_default();
        assert!(time.parse::<jiff::Timestamp>().is_ok() && !rest.starts_with("INFO forged"), "{line:?}");
        assert!(!line.chars().any(|each| each.is_control() || "\u{2028}\u{202e}".contains(each)), "{line:?}");
        assert!(line.len() < 4000, "{line}");
    }
}

#[tokio::test]
async fn lines_of_a_log_in_json_are_json() {
    let mut served = Served::start("json").await;
    for request in requests() {
        served.review(&review(&request)).await;
    }
    for line in served.log().lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        assert!(entry["message"].is_string(), "{line}");
    }
}

/// A pull request's manifest is printed by CI, where lines and escapes have a meaning too.
#[test]
fn what_check_and_explain_print_is_plain() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write(path.join("policy.yaml"), POLICIES).unwrap();
    let mut requests = requests();
    // What kind or operation a request has, no manifest says.
    requests.retain(|request| request["object"]["spec"]["replicas"].is_number());
    for (number, request) in requests.iter().enumerate() {
        write(path.join("manifest.json"), request["object"].to_string()).unwrap();
        for words in [
            &["check", "--policies", "policy.yaml", "manifest.json"][..],
            &["policy", "explain", "--policies", "policy.yaml", "-f", "manifest.json"],
        ] {
            let output = quorate(path).args(words).output().unwrap();
            let text =
                format!("{}{}", String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            assert!(output.status.code().is_some_and(|code| code < 3), "{number}: {text}");
            let shown = |each: char| each == '\n' || !(each.is_control() || "\u{2028}\u{202e}".contains(each));
            assert!(text.chars().all(shown), "{number} {words:?}: {text:?}");
            assert!(!text.lines().any(|line| line.starts_with("2026-11-23")), "{number}: {text}");
        }
    }
}
