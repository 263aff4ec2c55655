//! The same rules as in-tree policies: a `ValidatingAdmissionPolicy` for each of Quorate's, in CEL, and one
//! `MutatingAdmissionPolicy` that injects what Quorate does.
//!
//! CEL sees the object and its Namespace alone. So whether the Service exists and is headless, autoscalers, other budgets and
//! Nodes are left out, as are exemptions, warnings beside denials, and the record of what was injected.

use serde_json::{Value, json};

use crate::controlplane::webhooks::INSTANCE;

/// Where the rules are registered, and how many there are.
pub(crate) struct Rules {
    /// The value of the label that the Namespaces bear.
    pub(crate) instance: &'static str,
    /// How many policies validate.
    pub(crate) validating: usize,
}

/// What is wrong with an object, and what is said then. As `benches/world` asks for it, rule by rule.
const RULES: [(&str, &str); 7] = [
    (
        "has(object.spec.serviceName) && object.spec.serviceName != ''",
        "spec.serviceName is missing; name a headless Service",
    ),
    (
        "object.spec.replicas >= 3 || object.spec.replicas == 0",
        "spec.replicas is below the minimum 3; set spec.replicas to 3 or more",
    ),
    (
        "has(object.spec.volumeClaimTemplates) && size(object.spec.volumeClaimTemplates) > 0 \
         && (!has(object.spec.persistentVolumeClaimRetentionPolicy) \
         || (object.spec.persistentVolumeClaimRetentionPolicy.whenDeleted != 'Delete' \
         && object.spec.persistentVolumeClaimRetentionPolicy.whenScaled != 'Delete'))",
        "spec.volumeClaimTemplates is missing, or claims are deleted; each pod needs a volume of its own",
    ),
    (
        "object.spec.template.spec.containers.all(c, !has(c.ports) || size(c.ports) == 0 || has(c.readinessProbe))",
        "a container that exposes a port has no readinessProbe",
    ),
    (
        "!has(object.spec.updateStrategy) || (object.spec.updateStrategy.type != 'OnDelete' \
         && (!has(object.spec.updateStrategy.rollingUpdate) || !has(object.spec.updateStrategy.rollingUpdate.partition) \
         || object.spec.updateStrategy.rollingUpdate.partition < object.spec.replicas))",
        "spec.updateStrategy keeps pods from being replaced",
    ),
    (
        "!has(object.spec.template.spec.terminationGracePeriodSeconds) \
         || object.spec.template.spec.terminationGracePeriodSeconds >= 10",
        "spec.template.spec.terminationGracePeriodSeconds is below the minimum 10",
    ),
    (
        "object.spec.replicas < 2 || (has(object.spec.template.spec.affinity) \
         && has(object.spec.template.spec.affinity.podAntiAffinity)) \
         || has(object.spec.template.spec.topologySpreadConstraints)",
        "nothing keeps all pods from one node",
    ),
];

/// Whether the pods are not spread over Nodes yet.
const UNSPREAD: &str = "!has(object.spec.template.spec.affinity) || !has(object.spec.template.spec.affinity.podAntiAffinity) \
    || !has(object.spec.template.spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution) \
    || !object.spec.template.spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution\
    .exists(t, t.podAffinityTerm.topologyKey == 'kubernetes.io/hostname')";

/// Spreads them, beside what the user wrote.
const SPREAD: &str = r#"
has(object.spec.template.spec.affinity) && has(object.spec.template.spec.affinity.podAntiAffinity)
  && has(object.spec.template.spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution)
? [JSONPatch{op: "add",
    path: "/spec/template/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/-",
    value: TERM}]
: has(object.spec.template.spec.affinity) && has(object.spec.template.spec.affinity.podAntiAffinity)
? [JSONPatch{op: "add",
    path: "/spec/template/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution",
    value: [TERM]}]
: has(object.spec.template.spec.affinity)
? [JSONPatch{op: "add", path: "/spec/template/spec/affinity/podAntiAffinity",
    value: {"preferredDuringSchedulingIgnoredDuringExecution": [TERM]}}]
: [JSONPatch{op: "add", path: "/spec/template/spec/affinity",
    value: {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [TERM]}}}]
"#;

/// What is added.
const TERM: &str = r#"{"weight": dyn(100), "podAffinityTerm": dyn({"topologyKey": dyn("kubernetes.io/hostname"),
    "labelSelector": dyn({"matchLabels": object.spec.selector.matchLabels.transformMap(k, v, v)})})}"#;

impl Rules {
    /// The policies, and then the bindings.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let [validating, mutating] = [("Validating", self.validating), ("Mutating", 1)]
            .map(|(kind, count)| (0..count).map(move |number| [self.policy(kind, number), self.binding(kind, number)]));
        let (policies, bindings): (Vec<_>, Vec<_>) =
            validating.chain(mutating).map(|[policy, binding]| (policy, binding)).unzip();
        policies.into_iter().chain(bindings).collect()
    }

    fn policy(&self, kind: &str, number: usize) -> Value {
        let mut constraints = json!({"resourceRules": [
            {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["statefulsets"], "operations": ["CREATE", "UPDATE"]},
        ]});
        let mut conditions = Vec::new();
        // By the same words as Quorate's policy of this number.
        match number % 3 {
            0 => {}
            1 => constraints["namespaceSelector"] = json!({"matchLabels": {"environment": "production"}}),
            _ => {
                constraints["objectSelector"] = json!({"matchLabels": {"app": "db"}});
                let expression = "!request.namespace.startsWith('sandbox-')";
                conditions.push(json!({"name": "no-sandbox", "expression": expression}));
            }
        }
        let mut spec = json!({"matchConstraints": constraints, "failurePolicy": "Fail"});
        if kind == "Validating" {
            let validations = RULES.map(
                |(expression, message)| json!({"expression": expression, "message": message, "reason": "Forbidden"}),
            );
            spec["validations"] = json!(validations);
        } else {
            conditions.push(json!({"name": "unspread", "expression": UNSPREAD}));
            let expression = SPREAD.replace("TERM", TERM);
            spec["mutations"] = json!([{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}]);
            spec["reinvocationPolicy"] = json!("IfNeeded");
        }
        spec["matchConditions"] = json!(conditions);
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": format!("{kind}AdmissionPolicy"),
            "metadata": {"name": self.name(number)},
            "spec": spec,
        })
    }

    fn binding(&self, kind: &str, number: usize) -> Value {
        let mut spec = json!({
            "policyName": self.name(number),
            "matchResources": {"namespaceSelector": {"matchLabels": {INSTANCE: self.instance}}},
        });
        if kind == "Validating" {
            spec["validationActions"] = json!(["Deny"]);
        }
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": format!("{kind}AdmissionPolicyBinding"),
            "metadata": {"name": self.name(number)},
            "spec": spec,
        })
    }

    fn name(&self, number: usize) -> String {
        format!("{}-{number}", self.instance)
    }
}
