//! Who is an operator (L133): an ownerReference frees nobody but the operator that runs the owner.
//!
//! The operators are real ones: group, kind, status, ServiceAccount and RBAC rules are those that they are installed with, as far
//! as they bear on StatefulSets. The API server's own authorizer decides what each may do.

use std::sync::OnceLock;

use anyhow::ensure;
use rstest::rstest;
use serde_json::{Value, json};

use crate::controlplane::kubectl::{Kubectl, Output};
use crate::controlplane::{ControlPlane, Quorate, wait_for};

const POLICY: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: three }
spec:
  match: { operators: ['cass-operator*/cass-operator-controller-manager'] }
  validate: { replicas: { action: Deny, minimum: 3 } }
  mutate: { podAntiAffinity: [{ topologyKey: kubernetes.io/hostname, mode: Preferred }] }
  podDisruptionBudget: { maxUnavailable: 1 }
  exemptions: { requireReason: true, groups: [platform-admins] }
";

const FEW: &str = "spec.replicas: 1 is below the minimum 3";
const MARK: &str = "quorate.dev/unverified-owner";

/// A kind that an operator looks after, and what that operator may do.
#[derive(Clone, Copy)]
struct Operator {
    namespace: &'static str,
    account: &'static str,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    /// Verbs on the resource, on its status, and on StatefulSets.
    verbs: [&'static [&'static str]; 3],
    has_status: bool,
}

/// prometheus-operator 0.84.1, `example/rbac/prometheus-operator`, as kube-prometheus installs it.
const PROMETHEUS: Operator = Operator {
    namespace: "monitoring",
    account: "prometheus-operator",
    group: "monitoring.coreos.com",
    version: "v1",
    kind: "Prometheus",
    plural: "prometheuses",
    verbs: [&["*"], &["*"], &["*"]],
    has_status: true,
};

/// `rabbitmq/cluster-operator` 2, `config/rbac/role.yaml` and its kustomization.
const RABBITMQ: Operator = Operator {
    namespace: "rabbitmq-system",
    account: "rabbitmq-cluster-operator",
    group: "rabbitmq.com",
    version: "v1beta1",
    kind: "RabbitmqCluster",
    plural: "rabbitmqclusters",
    verbs: [
        &["create", "get", "list", "update", "watch"],
        &["get", "update"],
        &["create", "delete", "get", "list", "update", "watch"],
    ],
    has_status: true,
};

/// Elastic Cloud on Kubernetes, `deploy/eck-operator`.
const ELASTIC: Operator = Operator {
    namespace: "elastic-system",
    account: "elastic-operator",
    group: "elasticsearch.k8s.elastic.co",
    version: "v1",
    kind: "Elasticsearch",
    plural: "elasticsearches",
    verbs: [ALL, ALL, ALL],
    has_status: true,
};

/// cass-operator, `config/rbac`: it is installed into a namespace and looks after the databases of that one only.
const CASSANDRA: Operator = Operator {
    namespace: "cass-operator",
    account: "cass-operator-controller-manager",
    group: "cassandra.datastax.com",
    version: "v1beta1",
    kind: "CassandraDatacenter",
    plural: "cassandradatacenters",
    verbs: [
        &["create", "delete", "get", "list", "patch", "update", "watch"],
        &["get", "patch", "update"],
        &["create", "delete", "get", "list", "patch", "update", "watch"],
    ],
    has_status: true,
};

/// A kind without the subresource: there is nothing by which to know its operator.
const PLAIN: Operator = Operator {
    namespace: "plain-system",
    account: "plain-operator",
    group: "plain.example",
    version: "v1",
    kind: "Plain",
    plural: "plains",
    verbs: [ALL, ALL, ALL],
    has_status: false,
};

/// A kind whose status everybody who edits a namespace may update.
const OPEN: Operator = Operator {
    namespace: "open-system",
    account: "open-operator",
    group: "open.example",
    version: "v1",
    kind: "Open",
    plural: "opens",
    verbs: [ALL, ALL, ALL],
    has_status: true,
};

const ALL: &[&str] = &["get", "list", "watch", "create", "update", "patch", "delete"];

impl Operator {
    /// Its kind, its account and its rights, in all namespaces or in one.
    fn install(&self, cluster: &ControlPlane, within: Option<&str>) {
        let subresources = if self.has_status { json!({"status": {}}) } else { json!({}) };
        let name = format!("{}.{}", self.plural, self.group);
        let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let singular = self.kind.to_lowercase();
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
            "spec": {
                "group": self.group, "scope": "Namespaced",
                "names": {"kind": self.kind, "plural": self.plural, "singular": singular},
                "versions": [{"name": self.version, "served": true, "storage": true, "schema": schema, "subresources": subresources}],
            },
        });
        let (role, binding) =
            if within.is_some() { ("Role", "RoleBinding") } else { ("ClusterRole", "ClusterRoleBinding") };
        let rules = json!([
            {"apiGroups": [self.group], "resources": [self.plural], "verbs": self.verbs[0]},
            {"apiGroups": [self.group], "resources": [format!("{}/status", self.plural)], "verbs": self.verbs[1]},
            {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": self.verbs[2]},
        ]);
        let namespace = within.unwrap_or(self.namespace);
        let metadata = json!({"name": self.account, "namespace": within});
        let objects = [
            definition,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": role, "metadata": metadata, "rules": rules}),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": binding, "metadata": metadata,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": self.account},
                "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": self.account}],
            }),
        ];
        // What is made by others is left as it is.
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        cluster.kubectl(&["apply", "--server-side", "-f", "-"]).stdin(&list.to_string()).ok().unwrap();
        cluster.kubectl(&["wait", "--for=condition=Established", "crd", &name]).ok().unwrap();
    }
}

struct Stage {
    cluster: &'static ControlPlane,
    quorate: Quorate<'static>,
}

/// A control plane of its own: its budget controller looks after all of it.
fn stage() -> &'static Stage {
    static CLUSTER: OnceLock<ControlPlane> = OnceLock::new();
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        let cluster = CLUSTER.get_or_init(|| ControlPlane::start().unwrap());
        open_to_editors(cluster);
        Stage { cluster, quorate: Quorate::builder(cluster).policy(POLICY).budgets().start().unwrap() }
    })
}

/// [`OPEN`], whose status everybody who edits a namespace may update there.
fn open_to_editors(cluster: &ControlPlane) {
    OPEN.install(cluster, None);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "opens-edit", "labels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}},
        "rules": [{"apiGroups": [OPEN.group], "resources": ["opens", "opens/status"], "verbs": ["*"]}],
    });
    cluster.apply(&role.to_string()).unwrap();
    wait_for("the right to be the editors'", || {
        for role in ["edit", "admin"] {
            let role = cluster.object("", "clusterrole", role)?.to_string();
            ensure!(role.contains("opens/status"), "not yet");
        }
        Ok(())
    })
    .unwrap();
}

/// A namespace that is governed.
struct Tenant {
    cluster: &'static ControlPlane,
    namespace: String,
}

impl Tenant {
    fn new(name: &str) -> Self {
        let Stage { cluster, quorate } = stage();
        Self { cluster, namespace: quorate.namespace(name, &[]).unwrap() }
    }

    fn kubectl(&self, words: &[&str]) -> Kubectl<'static> {
        self.cluster.kubectl(words).namespace(&self.namespace)
    }

    /// kubectl as a developer.
    fn developer(&self, words: &[&str]) -> Kubectl<'static> {
        self.kubectl(words).as_user("developer")
    }

    /// Writes an object as a ServiceAccount, which the API server takes this for.
    fn as_account(&self, verb: &str, account: &str, object: &Value) -> Output {
        let account = format!("--as=system:serviceaccount:{account}");
        self.kubectl(&[verb, "-f", "-", &account]).stdin(&object.to_string()).run().unwrap()
    }

    /// The same, by a developer who impersonates the account.
    fn impersonated(&self, account: &str, object: &Value) -> Output {
        let account = format!("--as=system:serviceaccount:{account}");
        self.developer(&["create", "-f", "-", &account]).stdin(&object.to_string()).run().unwrap()
    }

    /// A custom resource, and the ownerReference to it.
    fn owner(&self, operator: Operator) -> Value {
        let api_version = format!("{}/{}", operator.group, operator.version);
        let object = json!({"apiVersion": api_version, "kind": operator.kind, "metadata": {"name": "db"}});
        self.kubectl(&["apply", "-f", "-"]).stdin(&object.to_string()).ok().unwrap();
        let kind = format!("{}.{}", operator.plural, operator.group);
        let uid = self.cluster.object(&self.namespace, &kind, "db").unwrap()["metadata"]["uid"].clone();
        json!({"apiVersion": api_version, "kind": operator.kind, "name": "db", "uid": uid, "controller": true})
    }

    fn stored(&self, name: &str) -> Value {
        self.cluster.object(&self.namespace, "statefulset", name).unwrap()
    }

    fn has_budget(&self, name: &str) -> bool {
        self.cluster.object(&self.namespace, "pdb", &format!("{name}-quorate")).is_ok()
    }

    fn gets_budget(&self, name: &str) {
        wait_for("the budget", || {
            ensure!(self.has_budget(name), "there is none");
            Ok(())
        })
        .unwrap();
    }

    /// Returns when the controller has looked at what was written up to now.
    fn is_looked_at(&self, probe: &str) {
        let output =
            self.developer(&["create", "-f", "-"]).stdin(&statefulset(probe, 3, None).to_string()).run().unwrap();
        assert!(output.success(), "{output}");
        self.gets_budget(probe);
    }

    /// Lets an account of any namespace edit this one.
    fn let_edit(&self, account: &str) {
        let account = format!("--serviceaccount={account}");
        self.kubectl(&["create", "rolebinding", "edits", "--clusterrole=admin", &account]).ok().unwrap();
    }
}

fn statefulset(name: &str, replicas: i32, owner: Option<&Value>) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": name, "ownerReferences": owner.into_iter().collect::<Vec<_>>()},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "db", "image": "database.example/server:1"}]},
            },
        },
    })
}

fn is_injected(statefulset: &Value) -> bool {
    !statefulset["spec"]["template"]["spec"]["affinity"].is_null()
}

#[track_caller]
fn denied(output: &Output, phrase: &str) {
    assert!(!output.success() && output.stderr.contains("denied the request"), "{output}");
    assert!(output.stderr.contains(phrase), "{output}");
}

#[track_caller]
fn warned(output: &Output) {
    assert!(output.success() && output.stderr.contains(FEW), "{output}");
}

/// Create and PUT, without our annotations; the stored object stays as the operator wrote it.
#[rstest]
#[case::prometheus(PROMETHEUS)]
#[case::rabbitmq(RABBITMQ)]
#[case::elastic(ELASTIC)]
fn a_real_operator_is_only_warned_l133(#[case] operator: Operator) {
    let tenant = Tenant::new("real");
    operator.install(tenant.cluster, None);
    let owner = tenant.owner(operator);
    let account = format!("{}:{}", operator.namespace, operator.account);
    let one = statefulset("owned", 1, Some(&owner));
    let three = statefulset("owned", 3, Some(&owner));
    let mut rolled = one.clone();
    rolled["spec"]["template"]["spec"]["containers"][0]["image"] = json!("database.example/server:2");
    warned(&tenant.as_account("create", &account, &one));
    let silent = tenant.as_account("replace", &account, &three);
    assert!(silent.success() && silent.stderr.is_empty(), "{silent}");
    tenant.is_looked_at("probe");
    assert!(!tenant.has_budget("owned"), "an operator looks after its own budgets");
    warned(&tenant.as_account("replace", &account, &rolled));
    let stored = tenant.stored("owned");
    assert!(!is_injected(&stored), "a tug of war with the operator");
    assert!(stored["metadata"]["annotations"].is_null(), "{stored}");
    // What a person does to it is judged as anything else.
    tenant.as_account("replace", &account, &three);
    denied(&tenant.developer(&["scale", "statefulset/owned", "--replicas=1"]).run().unwrap(), FEW);
    denied(&tenant.developer(&["replace", "-f", "-"]).stdin(&one.to_string()).run().unwrap(), FEW);
    // It is left unmarked when a person edits it, and stays the operator's.
    let edited = tenant.developer(&["annotate", "statefulset", "owned", "note=1"]).run().unwrap();
    assert!(edited.success(), "{edited}");
    assert!(tenant.stored("owned")["metadata"]["annotations"][MARK].is_null());
}

#[test]
fn an_operator_in_the_namespace_of_its_databases_is_named_l133() {
    let tenant = Tenant::new("cass-operator");
    CASSANDRA.install(tenant.cluster, Some(&tenant.namespace));
    let owner = tenant.owner(CASSANDRA);
    let account = format!("{}:{}", tenant.namespace, CASSANDRA.account);
    warned(&tenant.as_account("create", &account, &statefulset("owned", 1, Some(&owner))));
    tenant.as_account("replace", &account, &statefulset("owned", 3, Some(&owner)));
    tenant.is_looked_at("probe");
    assert!(!tenant.has_budget("owned"));
    let stored = tenant.stored("owned");
    assert!(!is_injected(&stored) && stored["metadata"]["annotations"].is_null(), "{stored}");
    // Another account of that namespace isn't it, though it may do the same.
    tenant.let_edit(&format!("{}:default", tenant.namespace));
    denied(&tenant.impersonated(&format!("{}:default", tenant.namespace), &statefulset("own", 1, Some(&owner))), FEW);
}

#[test]
fn an_account_that_a_developer_may_impersonate_is_no_operator_l133() {
    let (tenant, other) = (Tenant::new("mine"), Tenant::new("mine-too"));
    for operator in [RABBITMQ, PLAIN] {
        operator.install(tenant.cluster, None);
    }
    let (real, plain) = (tenant.owner(RABBITMQ), tenant.owner(PLAIN));
    let invented =
        json!({"apiVersion": "nowhere.example/v1", "kind": "Free", "name": "db", "uid": "1", "controller": true});
    let mut unserved = real.clone();
    unserved["kind"] = json!("RabbitmqFree");
    let accounts = [format!("{}:default", tenant.namespace), format!("{}:default", other.namespace)];
    for (number, account) in accounts.iter().enumerate() {
        let words = ["create", "rolebinding", &format!("edits-{number}"), "--clusterrole=admin"];
        tenant.kubectl(&[&words[..], &[&format!("--serviceaccount={account}")]].concat()).ok().unwrap();
        for owner in [&real, &plain, &invented, &unserved] {
            denied(&tenant.impersonated(account, &statefulset("free", 1, Some(owner))), FEW);
        }
    }
    // Nor does it help to have the rights on the kind in one's own namespace.
    let words = ["create", "role", "runs", "--verb=*", "--resource=rabbitmqclusters.rabbitmq.com/status"];
    tenant.kubectl(&words).ok().unwrap();
    let account = format!("--serviceaccount={}", accounts[0]);
    tenant.kubectl(&["create", "rolebinding", "runs", "--role=runs", &account]).ok().unwrap();
    denied(&tenant.impersonated(&accounts[0], &statefulset("free", 1, Some(&real))), FEW);
    // An operator is one of its own kind only, and of one that has a status.
    let operator = format!("{}:{}", RABBITMQ.namespace, RABBITMQ.account);
    denied(&tenant.as_account("create", &operator, &statefulset("free", 1, Some(&plain))), FEW);
    let operator = format!("{}:{}", PLAIN.namespace, PLAIN.account);
    denied(&tenant.as_account("create", &operator, &statefulset("free", 1, Some(&plain))), FEW);
    // Many invented groups are as good as one.
    for number in 0..20 {
        let owner = json!({"apiVersion": format!("g{number}.example/v1"), "kind": "Free", "name": "db", "uid": "1", "controller": true});
        denied(&tenant.impersonated(&accounts[1], &statefulset("free", 1, Some(&owner))), FEW);
    }
}

/// Some kinds let everybody who edits a namespace update the status there, as cert-manager's do: who may do that is anybody.
#[test]
fn a_right_that_people_of_the_namespace_have_makes_no_operator_l133() {
    let (tenant, other) = (Tenant::new("aggregated"), Tenant::new("aggregated-too"));
    let owner = tenant.owner(OPEN);
    let account = format!("{}:default", other.namespace);
    tenant.let_edit(&account);
    let who = format!("--as=system:serviceaccount:{account}");
    tenant.kubectl(&["auth", "can-i", "update", "opens.open.example/db", "--subresource=status", &who]).ok().unwrap();
    denied(&tenant.impersonated(&account, &statefulset("free", 1, Some(&owner))), FEW);
    // Its operator has the right in all namespaces.
    warned(&tenant.as_account(
        "create",
        &format!("{}:{}", OPEN.namespace, OPEN.account),
        &statefulset("owned", 1, Some(&owner)),
    ));
}

/// An operator with rights in one namespace only, which nobody there has.
#[test]
fn an_operator_of_some_namespaces_is_one_there_l133() {
    let tenant = Tenant::new("some");
    let operator = Operator { group: "some.example", account: "some-operator", ..ELASTIC };
    operator.install(tenant.cluster, Some(&tenant.namespace));
    let account = format!("--serviceaccount={}:{}", operator.namespace, operator.account);
    tenant.kubectl(&["create", "rolebinding", "elsewhere", "--role", operator.account, &account]).ok().unwrap();
    let owner = tenant.owner(operator);
    let account = format!("{}:{}", operator.namespace, operator.account);
    warned(&tenant.as_account("create", &account, &statefulset("owned", 1, Some(&owner))));
}

/// Argo CD may do everything, and applies what people wrote.
#[test]
fn what_argo_cd_applies_is_a_persons_l133() {
    let tenant = Tenant::new("gitops");
    RABBITMQ.install(tenant.cluster, None);
    let owner = tenant.owner(RABBITMQ);
    let account = "argocd:argocd-application-controller";
    let binding = ["create", "clusterrolebinding", "argocd", "--clusterrole=cluster-admin"];
    tenant.cluster.kubectl(&[&binding[..], &[&format!("--serviceaccount={account}")]].concat()).ok().unwrap();
    denied(&tenant.as_account("create", account, &statefulset("db", 1, Some(&owner))), FEW);
    let good = tenant.as_account("create", account, &statefulset("db", 3, Some(&owner)));
    assert!(good.success(), "{good}");
    tenant.gets_budget("db");
    let stored = tenant.stored("db");
    assert!(is_injected(&stored) && stored["metadata"]["annotations"][MARK] == owner["uid"], "{stored}");
}

#[test]
fn an_operator_plants_no_exemption_l133() {
    let tenant = Tenant::new("exemption");
    RABBITMQ.install(tenant.cluster, None);
    let owner = tenant.owner(RABBITMQ);
    let account = format!("{}:{}", RABBITMQ.namespace, RABBITMQ.account);
    let mut exempt = statefulset("db", 1, Some(&owner));
    exempt["metadata"]["annotations"] = json!({"quorate.dev/exempt": "replicas", "quorate.dev/exempt-reason": "why"});
    denied(&tenant.as_account("create", &account, &exempt), "may not add, change or extend an exemption");
}

#[test]
fn an_owner_reference_takes_no_budget_away_until_its_operator_writes_l133() {
    let tenant = Tenant::new("budget");
    RABBITMQ.install(tenant.cluster, None);
    let owner = tenant.owner(RABBITMQ);
    let create = |object: &Value| {
        let output = tenant.developer(&["create", "-f", "-"]).stdin(&object.to_string()).run().unwrap();
        assert!(output.success(), "{output}");
    };
    let patch = |patch: Value| {
        let words = ["patch", "statefulset", "db", "--type=merge", "-p", &patch.to_string()];
        let output = tenant.developer(&words).run().unwrap();
        assert!(output.success(), "{output}");
        tenant.stored("db")
    };
    create(&statefulset("db", 3, None));
    tenant.gets_budget("db");
    let template = tenant.stored("db")["spec"]["template"].clone();
    // Metadata alone.
    let stored = patch(json!({"metadata": {"ownerReferences": [owner]}}));
    assert_eq!(stored["metadata"]["annotations"][MARK], owner["uid"]);
    tenant.is_looked_at("first");
    assert!(tenant.has_budget("db"));
    // Nor is the mark theirs to take away, alone or with what makes the policy look away.
    let stored = patch(json!({"metadata": {"annotations": {MARK: null}}}));
    assert_eq!(stored["metadata"]["annotations"][MARK], owner["uid"]);
    let stored = patch(json!({"metadata": {"annotations": {MARK: "another"}}}));
    assert_eq!(stored["metadata"]["annotations"][MARK], owner["uid"]);
    tenant.is_looked_at("second");
    assert!(tenant.has_budget("db"));
    // No pod is restarted by any of it.
    assert_eq!((&stored["metadata"]["generation"], &stored["spec"]["template"]), (&json!(1), &template));
    // One that is created so has a budget too, also of a kind that isn't served.
    let invented =
        json!({"apiVersion": "nowhere.example/v1", "kind": "Free", "name": "db", "uid": "1", "controller": true});
    create(&statefulset("new", 3, Some(&owner)));
    create(&statefulset("invented", 3, Some(&invented)));
    tenant.gets_budget("new");
    tenant.gets_budget("invented");
    // Once the operator has written it, it is the operator's.
    let mut adopted = tenant.stored("new");
    adopted["spec"]["replicas"] = json!(4);
    let account = format!("{}:{}", RABBITMQ.namespace, RABBITMQ.account);
    let replaced = tenant.as_account("replace", &account, &adopted);
    assert!(replaced.success(), "{replaced}");
    assert!(tenant.stored("new")["metadata"]["annotations"][MARK].is_null());
    wait_for("the budget to go", || {
        ensure!(!tenant.has_budget("new"), "it is there");
        Ok(())
    })
    .unwrap();
}

/// While Quorate is away no owner is marked; one of a kind that isn't served is nobody's all the same.
#[test]
fn an_invented_owner_takes_no_budget_away_though_nobody_saw_who_wrote_it_l133() {
    let Stage { cluster, .. } = stage();
    let namespace = cluster.namespace("ungoverned", &[]).unwrap();
    let tenant = Tenant { cluster, namespace };
    let invented =
        json!({"apiVersion": "nowhere.example/v1", "kind": "Free", "name": "db", "uid": "1", "controller": true});
    tenant.developer(&["create", "-f", "-"]).stdin(&statefulset("db", 3, Some(&invented)).to_string()).ok().unwrap();
    assert!(tenant.stored("db")["metadata"]["annotations"].is_null());
    tenant.gets_budget("db");
}
