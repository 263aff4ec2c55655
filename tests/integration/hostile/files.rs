//! Policy files that are no policies, and more of them than anybody has.

use std::fs::{create_dir, write};

use rstest::rstest;
use serde_json::json;

use super::{POLICIES, Served, quorate, request, review, statefulset};

const HEAD: &str = "apiVersion: quorate.dev/v1alpha1\nkind: AvailabilityPolicy\nmetadata: { name: x }\nspec:";

/// Each level of aliases multiplies what the one before stands for: 9^9 in a kilobyte.
fn bomb() -> String {
    let levels =
        (1..10).map(|level| format!("  l{level}: &l{level} [{}]\n", vec![format!("*l{}", level - 1); 9].join(", ")));
    format!("{HEAD}\n  l0: &l0 [x, x]\n{}", levels.collect::<String>())
}

/// What is wrong is said in a line with its place, whatever the bytes.
#[rstest]
#[case::aliases(bomb(), "policy.yaml:")]
#[case::an_alias_of_itself(format!("{HEAD} &s\n  match: *s\n"), "policy.yaml:5:")]
#[case::merged_keys(format!("{HEAD}\n  <<: {{ wat: {{}} }}\n"), "policy.yaml:5:")]
#[case::deep_lists(format!("{HEAD} {}", "[".repeat(100_000)), "policy.yaml:4:")]
#[case::deep_mappings(format!("{HEAD} {}", "{a: ".repeat(100_000)), "policy.yaml:4:")]
#[case::deep_by_indent((0..2000).fold(HEAD.to_owned(), |text, level| format!("{text}\n{}a:", " ".repeat(level + 1))), "policy.yaml:")]
#[case::many_values(format!("{HEAD}\n  match: {{ excludeNames: [{}] }}", "a, ".repeat(100_000)), "policy.yaml:5:")]
#[case::a_long_key(format!("{HEAD}\n  {}: 1\n", "k".repeat(200_000)), "policy.yaml:5:")]
#[case::a_long_value(format!("{HEAD}\n  onInternalError: {}\n", "k".repeat(200_000)), "policy.yaml:5:")]
#[case::a_huge_number(format!("{HEAD}\n  validate: {{ replicas: {{ action: Deny, minimum: {} }} }}\n", "9".repeat(100_000)), "policy.yaml:5:")]
#[case::tabs(format!("{HEAD}\n\tvalidate: {{}}\n"), "policy.yaml:5:")]
#[case::a_nul(format!("{HEAD} \0"), "policy.yaml:4:")]
#[case::an_escape(format!("{HEAD} \u{1b}[31m"), "policy.yaml:4:")]
#[case::an_escaped_escape(format!("{HEAD}\n  \"\\e[31m\\n\": 1\n"), "policy.yaml:5:")]
#[case::lone_carriage_returns(format!("{HEAD}\r  \u{85} x: 1\r"), "policy.yaml:4:6: the control character U+000D")]
#[case::tags(format!("{HEAD} !!python/object/apply:os.system [ls]"), "policy.yaml:4:")]
#[case::a_directive(format!("%TAG ! tag:x,2000:\n---\n{HEAD} !a {{}}"), "policy.yaml:6:")]
#[case::many_documents("---\na: 1\n".repeat(2000), "policy.yaml: holds 2000 documents")]
#[case::a_large_file("# nothing\n".repeat(1 << 20), "policy.yaml: is larger than 1 MiB")]
fn says_where_and_what(#[case] text: String, #[case] expected: &str) {
    check(text.as_bytes(), expected);
}

#[rstest]
#[case::no_utf8(b"apiVersion: \xff\xfe\x00", "policy.yaml:1:13: byte 13")]
#[case::utf_16(b"\xff\xfea\0", "policy.yaml: is UTF-16")]
#[case::a_program(b"\x7fELF\x02\x01\x01\0\0\0", "policy.yaml:1:1: the control character U+007F")]
#[case::zeros(&[0; 4096], "policy.yaml:1:1: the control character U+0000")]
fn says_that_bytes_are_no_text(#[case] bytes: &[u8], #[case] expected: &str) {
    check(bytes, expected);
}

fn check(bytes: &[u8], expected: &str) {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path().join("policy.yaml"), bytes).unwrap();
    let output = quorate(directory.path()).args(["policy", "validate", "policy.yaml"]).output().unwrap();
    let text = format!("{}{}", String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains(expected), "{text}");
    assert!(text.len() < 10_000 && text.chars().all(|each| !each.is_control() || "\n\t".contains(each)), "{text:?}");
}

#[test]
fn a_byte_order_mark_and_the_ends_of_lines_of_windows_do_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path().join("policy.yaml"), format!("\u{feff}{}", POLICIES.replace('\n', "\r\n"))).unwrap();
    let output = quorate(directory.path()).args(["policy", "validate", "policy.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A policy that asks for at least so many replicas, and to stay apart on a topology key of its own.
fn policy(number: usize, minimum: usize) -> String {
    json!({
        "apiVersion": "quorate.dev/v1alpha1",
        "kind": "AvailabilityPolicy",
        "metadata": {"name": format!("policy-{number}")},
        "spec": {
            "validate": {"replicas": {"action": "Deny", "minimum": minimum}},
            "mutate": {"podAntiAffinity": [{"topologyKey": format!("example.com/k{number}"), "mode": "Preferred"}]},
        },
    })
    .to_string()
}

/// A thousand policy files, all of which match: they are loaded, judged by, and reloaded; a broken one among them changes nothing.
#[tokio::test]
async fn a_thousand_policy_files_are_judged_by_and_reloaded() {
    let directory = tempfile::tempdir().unwrap();
    let policies = directory.path().join("policies");
    create_dir(&policies).unwrap();
    let file = |number: usize| policies.join(format!("{number}.json"));
    (0..1000).for_each(|number| write(file(number), policy(number, number.min(9) + 1)).unwrap());
    let mut served = Served::start_in(directory, "json").await;
    let body = review(&request(&statefulset(), None));
    let [validated, mutated] = served.review(&body).await;
    let message = validated["response"]["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("spec.replicas: 3 is below the minimum 10;"), "{message}");
    assert!(mutated["response"]["patch"].is_string(), "{mutated}");

    write(file(7), "not: [a, policy").unwrap();
    served.until_logged("the last good policies stay in force").await;
    let [validated, _] = served.review(&body).await;
    assert_eq!(validated["response"]["allowed"], false);
    (0..1000).for_each(|number| write(file(number), policy(number, 12)).unwrap());
    loop {
        let [validated, _] = served.review(&body).await;
        if validated["response"]["status"]["message"].as_str().unwrap().contains("the minimum 12") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
