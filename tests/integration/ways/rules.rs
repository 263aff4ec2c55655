//! What kubectl prints about each rule's examples.

use std::fmt::Write as _;

use insta::{Settings, assert_snapshot};
use quorate::rules::Rule;

use super::Place;
use crate::controlplane::{Quorate, shared};

/// Every rule denies.
const EVERY_RULE: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: every-rule }
spec:
  validate:
    headlessService: { action: Deny }
    replicas: { action: Deny, minimum: 3, even: Deny, allowZero: false }
    persistentStorage: { action: Deny }
    readinessProbe: { action: Deny }
    updateStrategy: { action: Deny }
    terminationGracePeriod: { action: Deny, minimumSeconds: 10 }
    podDisruptionBudget: { action: Deny }
    spread: { action: Deny }
  podDisruptionBudget: { maxUnavailable: Quorum }
";

/// Spreads the pods of every StatefulSet, save where an example is about that.
const PLACEMENT: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: placement }
spec:
  match:
    namespaceSelector: { matchExpressions: [{ key: placement, operator: DoesNotExist }] }
  mutate:
    podAntiAffinity: [{ topologyKey: kubernetes.io/hostname, mode: Preferred }]
";

/// What may differ from one run to the next.
fn settings() -> Settings {
    let mut settings = Settings::clone_current();
    settings.add_filter(r"10\.96\.\d+\.\d+", "<clusterIP>");
    settings.add_filter(r#"namespace "[a-z0-9-]+""#, r#"namespace "<namespace>""#);
    settings
}

#[test]
fn kubectl_prints_why_each_bad_example_is_denied_and_nothing_about_the_good_ones_l4() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(EVERY_RULE).policy(PLACEMENT).start().unwrap();
    let mut printed = String::new();
    for rule in Rule::ALL {
        let labels: &[(&str, &str)] = if *rule == Rule::Spread { &[("placement", "theirs")] } else { &[] };
        let example = |what: &str| format!("examples/rules/{}/{what}.yaml", rule.name());
        for what in ["good", "bad"] {
            let place = Place::labelled(cluster, &quorate, &format!("rule-{what}"), labels);
            // Volumes are few, and nothing here needs one.
            place.as_admin(&["create", "quota", "no-volumes", "--hard=persistentvolumeclaims=0"]).ok().unwrap();
            let output = place.kubectl(&["apply", "-f", &example(what)]);
            if what == "good" {
                // That a budget will follow is no objection.
                let is_objection = |line: &&str| !line.contains(" will follow (policy ");
                let objections: Vec<_> = output.stderr.lines().filter(is_objection).collect();
                assert!(output.success() && objections.is_empty(), "{output}");
            } else {
                assert!(!output.success(), "{output}");
                writeln!(printed, "$ kubectl apply -f {}\n{}{}", example(what), output.stdout, output.stderr).unwrap();
            }
        }
    }
    settings().bind(|| assert_snapshot!("bad_examples", printed));
}
