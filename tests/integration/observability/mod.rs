//! What operators watch: metrics and their documentation, logs, alert rules, the dashboard.

mod alerts;
mod dashboard;
mod documentation;
mod logs;
mod prometheus;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::controlplane::{ControlPlane, Quorate, shared};

const POLICY: &str = r#"
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: observed }
spec:
  match: { namespaceSelector: { matchLabels: { observed: "yes" } } }
  validate:
    replicas: { action: Deny, minimum: 2 }
    readinessProbe: { action: Warn }
    terminationGracePeriod: { action: Audit, minimumSeconds: 60 }
  mutate:
    podAntiAffinity: [{ topologyKey: kubernetes.io/hostname, mode: Preferred }]
  podDisruptionBudget: { maxUnavailable: Quorum }
  exemptions: {}
"#;

const DATABASE: &str = include_str!("../../fixtures/database.yaml");

/// An instance that judges, injects, looks after budgets and logs JSON.
///
/// No other instance on the shared control plane looks after budgets.
fn observed() -> &'static Quorate<'static> {
    static OBSERVED: OnceLock<Quorate<'static>> = OnceLock::new();
    OBSERVED.get_or_init(|| {
        let builder = Quorate::builder(shared()).policy(POLICY).budgets();
        builder.argument("--log-format").argument("json").start().unwrap()
    })
}

/// A namespace that its policy is about.
fn namespace(prefix: &str) -> (&'static ControlPlane, String) {
    (shared(), observed().namespace(prefix, &[("observed", "yes")]).unwrap())
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// `prometheus` or `promtool`, as `tests/tools.sh` provides them.
fn tool(name: &str) -> PathBuf {
    static TOOLS: OnceLock<String> = OnceLock::new();
    let directories = TOOLS.get_or_init(|| {
        let output = Command::new(repository().join("tests/tools.sh")).output().expect("bash to run tests/tools.sh");
        assert!(output.status.success(), "tests/tools.sh: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    });
    let found =
        std::env::split_paths(directories.trim_end()).map(|directory| directory.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is not in {directories}"))
}
