//! L56: the shapes that charts of databases have, reduced to what bears on budgets.

use quorate::budget::{Apart, Candidate, Reason, Wanted, desired};
use quorate::facts::{Budget, Namespace, StatefulSet};
use quorate::files::manifests;
use quorate::policy::{self, PolicySet, parse};
use rstest::rstest;

const POLICY: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: baseline }
spec: { podDisruptionBudget: { maxUnavailable: Quorum } }
";

/// bitnami: every database chart brings its own budget, `pdb.create: true`.
const OWN_BUDGET: &str = "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: shop-mysql, labels: { app.kubernetes.io/instance: shop, app.kubernetes.io/name: mysql } }
spec: { maxUnavailable: 1, selector: { matchLabels: { app.kubernetes.io/instance: shop, app.kubernetes.io/name: mysql } } }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: shop-mysql }
spec:
  replicas: 3
  selector: { matchLabels: { app.kubernetes.io/instance: shop, app.kubernetes.io/name: mysql } }
  template: { metadata: { labels: { app.kubernetes.io/instance: shop, app.kubernetes.io/name: mysql, helm.sh/chart: mysql } } }
";

/// redis-cluster: by an expression that leaves out a Job's pods.
const BY_EXPRESSION: &str = "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: shop-redis }
spec:
  maxUnavailable: 1
  selector:
    matchLabels: { app.kubernetes.io/name: redis-cluster }
    matchExpressions: [{ key: job-name, operator: NotIn, values: [shop-redis-create] }]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: shop-redis }
spec:
  replicas: 6
  selector: { matchLabels: { app.kubernetes.io/name: redis-cluster } }
  template: { metadata: { labels: { app.kubernetes.io/name: redis-cluster } } }
";

/// postgresql-ha: the budgets of primary and witness overlap; whose fault that is, no third one helps.
const OVERLAPPING: &str = "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: a }
spec: { maxUnavailable: 1, selector: { matchLabels: { app.kubernetes.io/component: postgresql } } }
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: b }
spec: { maxUnavailable: 1, selector: { matchLabels: { app.kubernetes.io/component: postgresql, role: witness } } }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: data }
spec:
  replicas: 3
  selector: { matchLabels: { app.kubernetes.io/component: postgresql, role: data } }
  template: { metadata: { labels: { app.kubernetes.io/component: postgresql, role: data } } }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: witness }
spec:
  replicas: 3
  selector: { matchLabels: { app.kubernetes.io/component: postgresql, role: witness } }
  template: { metadata: { labels: { app.kubernetes.io/component: postgresql, role: witness } } }
";

/// Under an autoscaler a chart leaves `replicas` out: one, until it is scaled.
const WITHOUT_REPLICAS: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: web }
spec: { selector: { matchLabels: { app: web } }, template: { metadata: { labels: { app: web } } } }
";

/// kafka: broker and controller of one release, told apart by a label.
const COMPONENTS: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: broker }
spec:
  replicas: 5
  selector: { matchLabels: { app.kubernetes.io/name: kafka, app.kubernetes.io/component: broker } }
  template: { metadata: { labels: { app.kubernetes.io/name: kafka, app.kubernetes.io/component: broker } } }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: controller }
spec:
  replicas: 3
  selector: { matchLabels: { app.kubernetes.io/name: kafka, app.kubernetes.io/component: controller } }
  template: { metadata: { labels: { app.kubernetes.io/name: kafka, app.kubernetes.io/component: controller } } }
";

#[rstest]
#[case::own_budget(OWN_BUDGET, &["Covered"])]
#[case::by_expression(BY_EXPRESSION, &["Covered"])]
#[case::overlapping(OVERLAPPING, &["Covered", "Covered"])]
#[case::without_replicas(WITHOUT_REPLICAS, &["TooFewReplicas"])]
#[case::components(COMPONENTS, &["broker-quorate 2", "controller-quorate 1"])]
fn charts_have_the_right_outcome_l56(#[case] manifests: &str, #[case] expected: &[&str]) {
    let policies = PolicySet::new(parse("policy.yaml", POLICY.as_bytes()).unwrap());
    let (mut statefulsets, mut budgets) = (Vec::<StatefulSet>::new(), Vec::<Budget>::new());
    for manifest in manifests::parse("chart.yaml", manifests).unwrap() {
        match manifest.object["kind"].as_str() {
            Some("StatefulSet") => statefulsets.push(serde_json::from_value(manifest.object).unwrap()),
            _ => budgets.push(serde_json::from_value(manifest.object).unwrap()),
        }
    }
    let namespace = Namespace::bare("shop");
    let terms: Vec<Result<_, Reason>> =
        statefulsets.iter().map(|set| policy::budget(set, &policies.matching(&set.metadata, &namespace))).collect();
    let candidates: Vec<_> = statefulsets
        .iter()
        .zip(&terms)
        .map(|(statefulset, terms)| Candidate { statefulset, terms: terms.as_ref(), apart: Apart::No })
        .collect();
    let outcome: Vec<String> = desired(&candidates, &budgets)
        .into_iter()
        .map(|wanted| match wanted {
            Wanted::Budget(kept) => format!("{} {}", kept.name, kept.terms.max_unavailable),
            Wanted::None(reason) => reason.name().to_owned(),
        })
        .collect();
    assert_eq!(outcome, expected);
}
