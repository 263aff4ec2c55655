//! The repository is in order: nothing is forgotten, and the manifests keep Quorate out of the cluster's way.

use std::fs;
use std::path::Path;
use std::process::Command;

use quorate::rules::Rule;
use serde_json::Value;

use crate::controlplane::webhooks::rules;

/// Namespaces that the API server itself is to leave alone; other `kube-*` are left out by a match condition.
const LEFT_OUT: &[&str] = &["kube-system", "kube-public", "kube-node-lease", "quorate-system"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The files that git keeps or would keep, by their paths in the repository.
fn files() -> Vec<String> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(repository()).output().expect("git to list the files");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    names.lines().filter(|file| repository().join(file).exists()).map(str::to_owned).collect()
}

fn manifests(file: &str) -> Vec<Value> {
    let text = read(&format!("deploy/manifests/{file}"));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The values of a list of strings.
fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn every_test_file_is_listed() {
    for file in files() {
        let Some(name) = file.strip_prefix("tests/integration/").and_then(|name| name.strip_suffix(".rs")) else {
            continue;
        };
        // `a/b` and `a/mod` are listed in `a/mod.rs` and `main.rs`.
        let path: Vec<&str> = name.split('/').filter(|part| *part != "mod").collect();
        let (module, parents) = match path.as_slice() {
            ["main"] | [] => continue,
            [parents @ .., module] => (module, parents),
        };
        let parent = if parents.is_empty() { "main".to_owned() } else { format!("{}/mod", parents.join("/")) };
        let lists = read(&format!("tests/integration/{parent}.rs")).contains(&format!("mod {module};"));
        assert!(lists, "{file} is no part of tests/integration/{parent}.rs: it never runs");
    }
}

#[test]
fn no_file_names_a_directory_of_the_machine_it_was_written_on() {
    let directories = ["work", "root", "home", "Users"].map(|name| format!("/{name}/"));
    let mut found = Vec::new();
    for file in files() {
        let Ok(text) = fs::read_to_string(repository().join(&file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let names = |directory: &String| {
                line.match_indices(directory).any(|(at, _)| {
                    !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-}~".contains(before))
                })
            };
            if directories.iter().any(names) {
                found.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_file_is_empty() {
    // Nothing at all is among what is given to the parsers of policies and requests.
    let is_input = |file: &str| file.starts_with("tests/fixtures/") || file.starts_with("fuzz/corpus/");
    for file in files().iter().filter(|file| !is_input(file)) {
        assert!(fs::metadata(repository().join(file)).unwrap().len() > 0, "{file} is empty");
    }
}

#[test]
fn every_example_is_in_the_readme() {
    let readme = read("README.md");
    for file in files().iter().filter(|file| file.starts_with("examples/") && !file.starts_with("examples/rules/")) {
        assert!(readme.contains(file.as_str()), "README.md does not say what {file} is for");
    }
}

#[test]
fn every_lesson_that_is_named_is_there() {
    let lessons = read("docs/lessons.md");
    for file in files().iter().filter(|file| Path::new(file).extension().is_some_and(|extension| extension == "rs")) {
        for word in read(file).split(|each: char| !each.is_ascii_alphanumeric()) {
            let is_lesson =
                word.strip_prefix('L').is_some_and(|number| number.len() < 4 && number.parse::<u16>().is_ok());
            assert!(
                !is_lesson || lessons.contains(&format!("| {word} |")),
                "{file} names {word}, which docs/lessons.md lacks"
            );
        }
    }
}

#[test]
fn every_rule_is_described() {
    for (file, ends) in [("README.md", "`"), ("docs/policies.md", ".")] {
        let text = read(file);
        for rule in Rule::ALL {
            assert!(
                text.contains(&format!("`{}{ends}", rule.name())),
                "{file} does not say what the rule {} is",
                rule.name()
            );
        }
    }
}

#[test]
fn every_manifest_is_installed() {
    let kustomization = &manifests("kustomization.yaml")[0];
    let resources = strings(&kustomization["resources"]);
    for file in files().iter().filter_map(|file| file.strip_prefix("deploy/manifests/")) {
        let installed = resources.contains(&file) || file == "kustomization.yaml";
        assert!(installed, "deploy/manifests/{file} is not listed in its kustomization.yaml");
    }
}

#[test]
fn webhooks_stay_out_of_the_way() {
    let configurations = manifests("webhooks.yaml");
    let mut names = Vec::new();
    for configuration in &configurations {
        let kind = configuration["kind"].as_str().unwrap();
        let rules = rules(configuration).unwrap();
        assert_eq!(configuration["metadata"]["name"], "quorate");
        for webhook in configuration["webhooks"].as_array().unwrap() {
            let name = webhook["name"].as_str().unwrap();
            names.push(name);
            // The manifests observe; what enforcing changes is compared elsewhere.
            assert_eq!(webhook["failurePolicy"], "Ignore", "{name}");
            // L97: nothing is sent before Quorate asks for it, and no upgrade takes away what it wrote.
            assert!(webhook.get("rules").is_none() && webhook["clientConfig"].get("caBundle").is_none(), "{name}");
            assert!((1..=3).contains(&webhook["timeoutSeconds"].as_i64().unwrap()), "{name}: L21");
            assert_eq!(webhook["sideEffects"], "None", "{name}");
            assert_eq!(webhook["matchPolicy"], "Equivalent", "{name}");
            assert_eq!(webhook["clientConfig"]["service"]["port"], 443, "{name}");
            assert_eq!(strings(&webhook["admissionReviewVersions"]), ["v1"], "{name}");
            let reinvocation = if kind == "MutatingWebhookConfiguration" { "IfNeeded".into() } else { Value::Null };
            assert_eq!(webhook["reinvocationPolicy"], reinvocation, "{name}");
            for rule in rules[name].as_array().unwrap() {
                // L20: pods restart, nodes report and leaders are elected whatever becomes of Quorate.
                for resource in strings(&rule["resources"]) {
                    assert!(!resource.contains('*') && !resource.ends_with("/status"), "{name} takes {resource}");
                    assert!(!["pods", "nodes", "leases"].contains(&resource), "{name} takes {resource}");
                }
                assert_eq!(rule["scope"], "Namespaced", "{name}");
            }
            let left_out = &webhook["namespaceSelector"]["matchExpressions"][0];
            assert_eq!(left_out["key"], "kubernetes.io/metadata.name", "{name}");
            assert_eq!(left_out["operator"], "NotIn", "{name}");
            assert_eq!(strings(&left_out["values"]), LEFT_OUT, "{name}");
        }
    }
    let names: Vec<_> = names.iter().map(|name| name.strip_suffix(".quorate.dev").unwrap()).collect();
    let expected = [
        "statefulsets.mutate",
        "statefulsets.validate",
        "scale.validate",
        "services.validate",
        "horizontalpodautoscalers.validate",
        "poddisruptionbudgets.validate",
    ];
    assert_eq!(names, expected);
}

#[test]
fn quorate_may_write_budgets_and_events_and_read_little_else() {
    for role in manifests("rbac.yaml").iter().filter(|object| object["kind"] == "ClusterRole") {
        for rule in role["rules"].as_array().unwrap() {
            let resources = strings(&rule["resources"]);
            let allowed: &[&str] = match resources.as_slice() {
                ["poddisruptionbudgets"] => &["get", "list", "watch", "create", "patch", "delete"],
                ["events"] => &["create", "patch"],
                ["pods"] => &["list"],
                // A question that changes nothing, and what people of a namespace usually may.
                ["subjectaccessreviews"] => &["create"],
                ["clusterroles"] => {
                    assert_eq!(strings(&rule["resourceNames"]), ["admin", "edit"]);
                    &["get"]
                }
                ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] => {
                    assert_eq!(strings(&rule["resourceNames"]), ["quorate"]);
                    &["list", "watch", "patch"]
                }
                _ => &["get", "list", "watch"],
            };
            assert!(strings(&rule["verbs"]).iter().all(|verb| allowed.contains(verb)), "{rule}");
            assert!(
                !strings(&rule["resources"]).iter().any(|resource| resource.contains('*') || *resource == "secrets")
            );
        }
    }
    let role = manifests("rbac.yaml").into_iter().find(|object| object["kind"] == "Role").unwrap();
    let rules = role["rules"].as_array().unwrap();
    let granted: Vec<_> =
        rules.iter().map(|rule| ["resources", "resourceNames", "verbs"].map(|part| strings(&rule[part]))).collect();
    let expected = [
        [vec!["leases"], vec!["quorate"], vec!["get", "patch"]],
        [vec!["secrets"], vec!["quorate-ca", "quorate-tls"], vec!["get", "list", "watch", "update"]],
    ];
    assert_eq!(granted, expected);
}

/// Applying such a manifest again would take away what Quorate wrote.
#[test]
fn manifests_say_nothing_of_what_quorate_fills_in() {
    for secret in manifests("certificates.yaml") {
        assert!(secret["data"].is_null() && secret["stringData"].is_null(), "{secret}");
        assert_eq!(secret["type"], "Opaque");
    }
    for configuration in manifests("webhooks.yaml") {
        for webhook in configuration["webhooks"].as_array().unwrap() {
            assert!(webhook["clientConfig"].get("caBundle").is_none(), "{}", webhook["name"]);
        }
    }
}
