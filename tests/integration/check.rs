//! `quorate check`, and the other commands that read and write files, as people and CI meet them: what they print, and their exit code.

use std::io::Write as _;
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use rstest::rstest;

/// Two policies of rules that need nothing but the object and its Service; one is for production alone.
const POLICIES: &str = r"
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: everywhere }
spec:
  validate:
    headlessService: { action: Deny }
    replicas: { action: Deny, minimum: 2, even: Warn }
---
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: production }
spec:
  match:
    namespaceSelector: { matchLabels: { environment: production } }
  validate:
    replicas: { action: Deny, minimum: 5 }
";

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: { name: db }
spec: { clusterIP: None, selector: { app: db } }
";

/// A StatefulSet in one document.
fn statefulset(name: &str, namespace: &str, replicas: u32) -> String {
    format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{ name: {name}{namespace} }}\nspec:\n  \
         replicas: {replicas}\n  serviceName: db\n  selector: {{ matchLabels: {{ app: db }} }}\n  \
         template: {{ metadata: {{ labels: {{ app: db }} }} }}\n"
    )
}

/// Runs a command in a directory that holds these files; what it printed, and how it ended.
fn run(files: &[(&str, &str)], arguments: &[&str], stdin: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("policies/p.yaml", POLICIES)].iter().chain(files) {
        let file = directory.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(arguments)
        .current_dir(directory.path())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    format!("{stderr}{stdout}{}", output.status)
}

fn check(files: &[(&str, &str)], arguments: &[&str]) -> String {
    run(files, &[&["check"], arguments].concat(), "")
}

#[test]
fn shows_every_finding_under_its_object() {
    let all = [
        SERVICE,
        &statefulset("three", "", 3),
        &statefulset("two", "", 2),
        &statefulset("one", "", 1),
        &statefulset("elsewhere", ", namespace: elsewhere", 1),
        &statefulset("system", ", namespace: kube-system", 1),
    ]
    .join("---\n");
    assert_snapshot!(check(&[("all.yaml", &all)], &["all.yaml"]), @r#"
        all.yaml:7: StatefulSet default/three
          ok         everywhere
        all.yaml:16: StatefulSet default/two
          warning    spec.replicas: 2 is even; set spec.replicas to an odd number, as 2 tolerates no more losses than 1 (policy everywhere)
        all.yaml:25: StatefulSet default/one
          denied     spec.replicas: 1 is below the minimum 2; set spec.replicas to 2 or more (policy everywhere)
        all.yaml:34: StatefulSet elsewhere/elsewhere
          denied     spec.serviceName: "db" names no Service in namespace "elsewhere"; apply the headless Service first, then apply this StatefulSet again (policy everywhere)
          denied     spec.replicas: 1 is below the minimum 2; set spec.replicas to 2 or more (policy everywhere)
        all.yaml:43: StatefulSet kube-system/system
          ok         no policy matches
        undecided: production may apply too: no manifest has the Namespace default, elsewhere, whose labels decide; add it, or give --namespace-labels
        5 reviewed: 2 denied, 1 with warnings, 2 clean
        exit status: 1
        "#);
}

#[test]
fn takes_the_namespace_and_its_labels_from_flags() {
    let files = [("service.yaml", SERVICE), ("db.yaml", &statefulset("db", "", 3))];
    let flags =
        ["-n", "shop", "--namespace-labels", "environment=production,team=shop", "--surroundings", "service.yaml"];
    assert_snapshot!(check(&files, &[&flags[..], &["db.yaml"]].concat()), @r#"
        db.yaml:1: StatefulSet shop/db
          denied     spec.replicas: 3 is below the minimum 5; set spec.replicas to 5 or more (policy production)
        1 reviewed: 1 denied, 0 with warnings, 0 clean
        exit status: 1
        "#);
}

#[test]
fn takes_the_labels_from_the_namespace_where_a_manifest_has_it() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: { name: shop, labels: { environment: staging } }\n";
    let files = [("m/0.yaml", namespace), ("m/1.yaml", SERVICE), ("m/2.yaml", &statefulset("db", "", 3))];
    assert_snapshot!(check(&files, &["-n", "shop", "m"]), @r#"
        m/2.yaml:1: StatefulSet shop/db
          ok         everywhere
        1 reviewed: 0 denied, 0 with warnings, 1 clean
        exit status: 0
        "#);
}

#[test]
fn reads_standard_input() {
    let manifests = format!("{}---{SERVICE}", statefulset("db", "", 3));
    assert_snapshot!(run(&[], &["check", "--namespace-labels", "a=b", "-"], &manifests), @r#"
        -:1: StatefulSet default/db
          ok         everywhere
        1 reviewed: 0 denied, 0 with warnings, 1 clean
        exit status: 0
        "#);
}

#[test]
fn says_what_is_there_twice() {
    let files = [("a.yaml", SERVICE), ("b.yaml", SERVICE), ("c.yaml", &statefulset("db", "", 3))];
    assert_snapshot!(check(&files, &["--namespace-labels", "a=b", "a.yaml", "b.yaml", "c.yaml"]), @r#"
        quorate: b.yaml:2: Service db again, after a.yaml:2; the later one counts, so check each cluster's manifests by themselves
        c.yaml:1: StatefulSet default/db
          ok         everywhere
        1 reviewed: 0 denied, 0 with warnings, 1 clean
        exit status: 0
        "#);
}

#[test]
fn says_where_there_is_nothing_to_review() {
    assert_snapshot!(check(&[("service.yaml", SERVICE)], &["service.yaml"]), @r#"
        nothing to review: no StatefulSet among the manifests
        exit status: 0
        "#);
    assert_snapshot!(check(&[("empty.yaml", "")], &["empty.yaml"]), @r#"
        nothing to review: no StatefulSet among the manifests
        exit status: 0
        "#);
}

#[test]
fn says_what_is_wrong_with_manifests() {
    let bad = |text: &str| check(&[("bad.yaml", text)], &["bad.yaml"]);
    assert_snapshot!(bad("metadata: { name: [db }\n"), @r#"
        quorate: bad.yaml:1:19: is neither YAML nor JSON: mismatched bracket '[' closed by '}'; check the indentation, and that quotes and brackets are closed
           |
         1 | metadata: { name: [db }
           |                   ^
        exit status: 2
        "#);
    assert_snapshot!(bad("kind: StatefulSet\nmetadata:\n\tname: db\n"), @r#"
        quorate: bad.yaml:3:2: a tab can't indent YAML; use spaces
           |
         3 | 	name: db
           | 	^
        exit status: 2
        "#);
    assert_snapshot!(bad("kind: Service\nmetadata: {}\nkind: StatefulSet\n"), @r#"
        quorate: bad.yaml:3:1: "kind" is given twice; keep one of the two
           |
         3 | kind: StatefulSet
           | ^
        exit status: 2
        "#);
    assert_snapshot!(bad("{{- if .Values.enabled }}\nkind: StatefulSet\n{{- end }}\n"), @r#"
        quorate: bad.yaml:1:3: is a template, not YAML; render it first
           |
         1 | {{- if .Values.enabled }}
           |   ^
        exit status: 2
        "#);
    assert_snapshot!(bad("metadata: *name\n"), @r#"
        quorate: bad.yaml:1:11: no anchor (&name) of this document has the name of this alias (*name)
           |
         1 | metadata: *name
           |           ^
        exit status: 2
        "#);
    assert_snapshot!(bad("metadata: { name: db }\n"), @r#"
        quorate: bad.yaml:1: not a Kubernetes object: apiVersion is missing
        exit status: 2
        "#);
    assert_snapshot!(bad("just text\n"), @r#"
        quorate: bad.yaml:1: not a Kubernetes object: a mapping is needed
        exit status: 2
        "#);
    let odd = |spec| bad(&format!("apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{ name: db }}\nspec: {spec}\n"));
    assert_snapshot!(odd("3"), @r#"
        quorate: bad.yaml:1: StatefulSet: spec: integer `3` must be a mapping
        exit status: 2
        "#);
    assert_snapshot!(odd("{ replicas: many }"), @r#"
        quorate: bad.yaml:1: StatefulSet: spec.replicas: string "many" must be a whole number
        exit status: 2
        "#);
    assert_snapshot!(odd("{ template: { spec: { containers: db } } }"), @r#"
        quorate: bad.yaml:1: StatefulSet: spec.template.spec.containers: string "db" must be a list
        exit status: 2
        "#);
    assert_snapshot!(check(&[], &["missing.yaml"]), @r#"
        quorate: missing.yaml: can't be read: No such file or directory (os error 2)
        exit status: 2
        "#);
    assert_snapshot!(check(&[("m/chart/db.yaml", SERVICE)], &["m"]), @r#"
        quorate: m: holds no manifest (*.yaml, *.yml, *.json); directories inside of it are not read, name them
        exit status: 2
        "#);
}

#[test]
fn stays_small_where_aliases_would_make_it_grow() {
    let bomb: String = (0..9).fold("a0: &a0 [x]\n".to_owned(), |text, level| {
        let aliases = vec![format!("*a{level}"); 9].join(", ");
        format!("{text}a{next}: &a{next} [{aliases}]\n", next = level + 1)
    });
    let said = check(&[("bomb.yaml", &bomb)], &["bomb.yaml"]);
    assert!(said.contains("holds more than can be read") && said.ends_with("exit status: 2"), "{said}");
}

#[test]
fn says_what_is_wrong_with_its_policies() {
    let files = [("db.yaml", SERVICE), ("other/p.yaml", "kind: AvailabilityPolicies\n"), ("none/README.md", "none")];
    assert_snapshot!(check(&files, &["--policies", "other", "db.yaml"]), @r#"
        quorate: the policies can't be used:
        other/p.yaml:1:7: kind: "AvailabilityPolicies" must be AvailabilityPolicy; keep other objects out of policy files
           |
         1 | kind: AvailabilityPolicies
           |       ^
        exit status: 2
        "#);
    assert_snapshot!(check(&files, &["--policies", "none", "db.yaml"]), @r#"
        quorate: the policies can't be used:
        none: holds no policy file (*.yaml, *.yml, *.json); put an AvailabilityPolicy there, or name another directory with --policies
        exit status: 2
        "#);
    assert_snapshot!(check(&files, &["--policies", "policies", "--policies", "missing", "db.yaml"]), @r#"
        quorate: the policies can't be used:
        missing: does not exist; name a policy file or a directory of such with --policies
        exit status: 2
        "#);
}

#[test]
fn says_what_is_wrong_with_its_flags() {
    assert_snapshot!(check(&[], &[]), @r#"
        quorate: the following required arguments were not provided: <PATH>...; see --help
        exit status: 2
        "#);
    assert_snapshot!(check(&[], &["--namespace-labels", "production", "db.yaml"]), @r#"
        quorate: invalid value 'production' for '--namespace-labels <KEY=VALUE>': write KEY=VALUE, as in environment=production; see --help
        exit status: 2
        "#);
}

#[test]
fn ends_quietly_when_its_reader_has_seen_enough() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["check", "--policies", "policies/baseline.yaml", "examples/mysql/one-replica.yaml"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!((String::from_utf8(output.stderr).unwrap(), output.status.code()), (String::new(), Some(2)));
}

/// What the README says about the examples.
#[rstest]
#[case::admitted(&["service", "statefulset"], 0)]
#[case::denied_then_admitted(&["statefulset"], 1)]
#[case::whatever_the_order(&["statefulset-first"], 0)]
#[case::one_replica(&["one-replica"], 1)]
#[case::service_with_cluster_ip(&["service-with-cluster-ip"], 1)]
#[case::selector_mismatch(&["selector-mismatch"], 1)]
fn the_baseline_judges_the_examples(#[case] names: &[&str], #[case] code: i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["check", "--policies", "policies/baseline.yaml"])
        .args(names.iter().map(|name| format!("examples/mysql/{name}.yaml")))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(code), "{printed}");
    if names == ["one-replica"] {
        assert!(
            include_str!("../../README.md").contains(&printed),
            "README.md shows another output than this:\n{printed}"
        );
    }
}

#[test]
fn certs_says_what_it_made() {
    assert_snapshot!(run(&[], &["certs", "--dns", "quorate.test"], ""), @r#"
        The CA was made, for 3650 days:
          certs/ca.pem
          certs/ca-key.pem
        The serving certificate was made, for 365 days:
          certs/tls.pem
          certs/tls-key.pem
          for quorate, quorate.quorate-system, quorate.quorate-system.svc, quorate.quorate-system.svc.cluster.local, localhost, 127.0.0.1, ::1, quorate.test

        Serve with it:           quorate serve --tls-cert certs/tls.pem --tls-key certs/tls-key.pem
        For caBundle:            base64 -w0 certs/ca.pem
        exit status: 0
        "#);
}

#[test]
fn help_fits_on_a_screen() {
    assert_snapshot!(run(&[], &["--help"], ""), @r#"
        Keeps every StatefulSet of a Kubernetes cluster highly available

        Usage: quorate <COMMAND>

        Commands:
          serve    Serve the admission webhook
          check    Review manifests as the webhook would
          policy   Look after policy files
          budgets  Look after the budgets that Quorate made
          certs    Make a CA and a serving certificate for development
          help     Print this message or the help of the given subcommand(s)

        Options:
          -h, --help     Print help
          -V, --version  Print version
        exit status: 0
        "#);
    assert_snapshot!(run(&[], &["check", "--help"], ""), @r#"
        Review manifests as the webhook would

        Usage: quorate check [OPTIONS] <PATH>...

        Arguments:
          <PATH>...  Manifests to review: files, directories, or `-` for standard input; all of them
                     together are one cluster

        Options:
              --policies <PATH>               Policy file, or directory of such; may be repeated, or name
                                              several with commas between [env: QUORATE_POLICIES=] [default:
                                              policies]
          -n, --namespace <NAME>              Namespace of objects that name none [default: default]
              --namespace-labels <KEY=VALUE>  Labels of every namespace that no manifest has, as
                                              `environment=production`
              --surroundings <PATH>           Manifests of what is in the cluster already: Namespaces and
                                              Services; not reviewed themselves
          -h, --help                          Print help

        Exit code: 0 where nothing would be denied, 1 where something would be, 2 for bad input.
        exit status: 0
        "#);
}
