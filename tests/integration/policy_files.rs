//! Policy files: what is rejected and with which words, and that what is shipped is right.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use insta::{Settings, assert_snapshot};
use proptest::collection::vec;
use proptest::prelude::*;
use quorate::policy::{AntiAffinityMode, MaxUnavailable, parse};
use quorate::rules::Action;
use rstest::rstest;
use tempfile::{TempDir, tempdir};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn validate(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["policy", "validate"])
        .args(arguments)
        .env_remove("QUORATE_POLICIES")
        .current_dir(directory)
        .output()
        .unwrap()
}

/// What `quorate policy validate` prints about what is wrong.
fn rejection(directory: &Path, arguments: &[&str]) -> String {
    let output = validate(directory, arguments);
    let problems = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {problems}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    for jargon in ["struct ", "u32", "i64", "NonZero", "enum", "serde", "deserial", "variant", "unit", "visitor"] {
        assert!(!problems.contains(jargon), "{arguments:?}: {jargon:?} is no word for users:\n{problems}");
    }
    problems
}

fn snapshots() -> Settings {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(Path::new(ROOT).join("tests/fixtures/policies/rejections"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

fn directory_with(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempdir().unwrap();
    for (name, contents) in files {
        fs::write(directory.path().join(name), contents).unwrap();
    }
    directory
}

fn policy(spec: &str) -> String {
    format!("apiVersion: quorate.dev/v1alpha1\nkind: AvailabilityPolicy\nmetadata: {{ name: test }}\nspec: {spec}\n")
}

#[test]
fn says_what_is_wrong_with_each_bad_file() {
    let fixtures = Path::new(ROOT).join("tests/fixtures/policies");
    let mut files: Vec<_> = fs::read_dir(fixtures.join("bad"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert!(files.len() > 70);
    snapshots().bind(|| {
        for file in files {
            let text = fs::read_to_string(fixtures.join("bad").join(&file)).unwrap();
            let printed = rejection(&fixtures, &[&format!("bad/{file}")]);
            snapshots().bind(|| assert_snapshot!(file.as_str(), printed, &text));
        }
    });
}

#[rstest]
#[case("not_utf8", b"# a comment\nname: caf\xe9\n")]
#[case("utf16", b"\xff\xfea\0p\0i\0")]
#[case("nul_byte", b"apiVersion: quorate.dev/v1alpha1\nkind: \0\n")]
#[case("byte_order_mark_only", b"\xef\xbb\xbf")]
#[case("binary", b"\x7fELF\x02\x01\x01")]
fn says_what_is_wrong_with_bytes_that_are_no_text(#[case] name: &str, #[case] contents: &[u8]) {
    let directory = directory_with(&[("policy.yaml", contents)]);
    snapshots().bind(|| assert_snapshot!(name, rejection(directory.path(), &["policy.yaml"])));
}

#[test]
fn says_what_is_wrong_with_paths() {
    let directory = directory_with(&[("notes.txt", b"nothing"), (".hidden.yaml", b"nothing")]);
    let path = directory.path();
    for name in ["empty", "parent", "parent/child", "folder.yaml"] {
        fs::create_dir(path.join(name)).unwrap();
    }
    let report = |arguments: &[&str]| rejection(path, arguments);
    snapshots().bind(|| {
        assert_snapshot!("absent_path", report(&["policies/absent.yaml"]));
        assert_snapshot!("absent_default_path", report(&[]));
        assert_snapshot!("directory_without_files", report(&["empty"]));
        assert_snapshot!("directory_of_directories", report(&["parent"]));
        assert_snapshot!("directory_of_other_files", report(&["."]));
        assert_snapshot!("device", report(&["/dev/zero"]));
    });
}

#[test]
fn says_that_a_file_is_not_readable() {
    let directory = directory_with(&[("secret.yaml", policy("{}").as_bytes())]);
    let file = directory.path().join("secret.yaml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&file).is_ok() {
        return; // Nothing is unreadable to root.
    }
    let printed = rejection(directory.path(), &["."]);
    assert_eq!(printed, "./secret.yaml: can't be read: permission denied; let the user that runs quorate read it\n");
}

#[test]
fn takes_paths_from_the_environment() {
    let directory = directory_with(&[("a.yaml", policy("{}").as_bytes())]);
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["policy", "validate"])
        .env("QUORATE_POLICIES", "a.yaml,b.yaml")
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("b.yaml: does not exist"));
}

#[test]
fn never_reads_a_huge_file() {
    let directory = tempdir().unwrap();
    File::create(directory.path().join("huge.yaml")).unwrap().set_len(100_000_000).unwrap();
    snapshots().bind(|| assert_snapshot!("huge_file", rejection(directory.path(), &["huge.yaml"])));
}

#[test]
fn limits_what_all_files_have_together() {
    let directory = tempdir().unwrap();
    for number in 0..17 {
        let mut contents = policy("{}").replace("test", &format!("policy-{number}"));
        contents.push_str(&"#".repeat(1_000_000));
        fs::write(directory.path().join(format!("{number:02}.yaml")), contents).unwrap();
    }
    snapshots().bind(|| assert_snapshot!("all_files_too_large", rejection(directory.path(), &["."])));
}

#[test]
fn reports_all_files_at_once_in_an_order_of_their_own() {
    let broken = policy("{ validate: { replicas: { action: Deny, minimum: 0 } } }");
    let directory = directory_with(&[
        ("b.yaml", policy("{}").as_bytes()),
        ("a.json", br#"{"apiVersion": "quorate.dev/v1alpha1", "kind": "AvailabilityPolicy", "metadata": {"name": "test"}, "spec": {}}"#),
        ("c.yml", broken.as_bytes()),
        ("d.yaml", b""),
    ]);
    let printed = rejection(directory.path(), &["d.yaml", "c.yml", "a.json", "b.yaml", "absent.yaml"]);
    assert_eq!(printed, rejection(directory.path(), &["absent.yaml", "b.yaml", "b.yaml", "a.json", "c.yml", "d.yaml"]));
    snapshots().bind(|| assert_snapshot!("several_files", printed));
}

#[test]
fn prints_problems_as_json() {
    let directory = directory_with(&[("a.yaml", policy("{ exemptions: { maxDays: -1 } }").as_bytes())]);
    let output = validate(directory.path(), &["-o", "json", "a.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    snapshots().bind(|| assert_snapshot!("json", String::from_utf8(output.stdout).unwrap()));
}

#[test]
fn shipped_policies_are_valid() {
    let output = validate(Path::new(ROOT), &["policies", "policies/databases", "policies/trial"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_snapshot!("shipped", String::from_utf8(output.stdout).unwrap());
}

#[test]
fn shipped_policies_let_uninstalls_pass_and_spread_only_warn_l74() {
    let paths = ["policies", "policies/databases", "policies/trial"].map(|path| Path::new(ROOT).join(path));
    for policy in quorate::files::policies::read(&paths).unwrap().all() {
        let validate = &policy.spec.validate;
        assert_eq!(validate.headless_service.as_ref().unwrap().service_delete, Some(Action::Warn), "{}", policy.name);
        assert_eq!(validate.spread.as_ref().unwrap().action, Action::Warn, "{}", policy.name);
    }
}

#[rstest]
#[case("{ validate: { spread: { action: Off } } }")]
#[case("{ validate: { spread: { action: off } } }")]
#[case("{ validate: { spread: { action: false } } }")]
#[case("{ validate: { spread: { action: \"Off\" } } }")]
fn off_may_be_written_as_yaml_does(#[case] spec: &str) {
    let policies = parse("file", policy(spec).as_bytes()).unwrap();
    assert_eq!(policies[0].spec.validate.spread.as_ref().unwrap().action, Action::Off);
}

#[rstest]
#[case("Quorum", MaxUnavailable::Quorum)]
#[case("1", MaxUnavailable::Pods(1))]
#[case("25%", MaxUnavailable::Percent(25))]
#[case("\"100%\"", MaxUnavailable::Percent(100))]
fn budgets_are(#[case] written: &str, #[case] expected: MaxUnavailable) {
    let policies =
        parse("file", policy(&format!("{{ podDisruptionBudget: {{ maxUnavailable: {written} }} }}")).as_bytes())
            .unwrap();
    assert_eq!(policies[0].spec.pod_disruption_budget.as_ref().unwrap().max_unavailable, expected);
}

#[test]
fn reads_the_whole_schema() {
    let policies = parse("full.yaml", include_bytes!("../fixtures/policies/full.yaml")).unwrap();
    assert_eq!(policies.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>(), ["production", "defaults"]);
    let spec = &policies[0].spec;
    assert_eq!(spec.mutate.pod_anti_affinity[0].mode, AntiAffinityMode::Required);
    assert_eq!(spec.mutate.pod_anti_affinity[1].weight.get(), 50);
    assert_eq!(spec.existing.as_ref().unwrap().enforce_after.to_string(), "2027-03-31");
    assert_eq!(policies[1].spec, quorate::policy::Spec::default());
}

#[test]
fn reads_byte_order_marks_carriage_returns_and_anchors() {
    let text = policy("{ match: { excludeNames: &names [a, b], excludeNamespaces: *names } }");
    for text in [format!("\u{feff}{text}"), text.replace('\n', "\r\n"), format!("%YAML 1.2\n---\n{text}...\n")] {
        let policies = parse("file", text.as_bytes()).unwrap();
        assert!(policies[0].spec.selection.exclude_namespaces[1].matches("b"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = parse("file", &bytes).map_err(|errors| errors.to_string());
    }

    #[test]
    fn arbitrary_yaml_never_panics(characters in vec(prop::sample::select(" \n\t-:{}[]&*a1\"'#%!|>,?é.~<=".chars().collect::<Vec<_>>()), 0..60)) {
        let spec: String = characters.into_iter().collect();
        let _ = parse("file", policy(&spec).as_bytes()).map_err(|errors| errors.to_string());
    }

    #[test]
    fn damaged_files_never_panic(damages in vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4)) {
        let mut bytes = include_bytes!("../fixtures/policies/full.yaml").to_vec();
        for (index, byte, damage) in damages {
            let at = index.index(bytes.len());
            match damage {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        let _ = parse("file", &bytes).map_err(|errors| errors.to_string());
    }
}
