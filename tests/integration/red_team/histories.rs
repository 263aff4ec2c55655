//! Random histories of what an ordinary user may send: no StatefulSet ends below what a Deny rule asks, unless the very
//! step that made it worse was warned of by that rule.

use std::collections::BTreeMap;

use http::{Method, Request};
use http_body_util::BodyExt as _;
use kube::client::Body;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

use crate::controlplane::{ControlPlane, Quorate, shared};

/// Every rule that can be denied by more ways than the StatefulSet itself.
const STRICT: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: strict }
spec:
  validate:
    replicas: { action: Deny, minimum: 3 }
    headlessService: { action: Deny }
    podDisruptionBudget: { action: Deny }
  podDisruptionBudget: { maxUnavailable: Quorum }
";

/// What the user does next. Names are `a` and `b`; a StatefulSet's pods have its name as their label `app`.
#[derive(Debug, Clone)]
enum Step {
    StatefulSet {
        name: &'static str,
        replicas: i64,
        service: &'static str,
        image: u8,
    },
    Scale {
        name: &'static str,
        replicas: i64,
    },
    Service {
        name: &'static str,
        headless: bool,
        selects: &'static str,
        held: bool,
    },
    Autoscaler {
        name: &'static str,
        kind: &'static str,
        target: &'static str,
        min: i64,
        max: i64,
        held: bool,
    },
    Budget {
        name: &'static str,
        limit: &'static str,
        amount: i64,
        selects: &'static str,
    },
    Delete {
        resource: &'static str,
        name: &'static str,
        orphans: bool,
    },
    /// Takes the finalizer away that holds an object.
    Release {
        resource: &'static str,
        name: &'static str,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let name = || prop::sample::select(vec!["a", "a", "b"]);
    let resource = prop::sample::select(vec![STATEFUL_SETS, SERVICES, AUTOSCALERS, BUDGETS]);
    let kind = prop::sample::select(vec!["StatefulSet", "StatefulSet", "StatefulSet", "Deployment"]);
    let limit = prop::sample::select(vec!["minAvailable", "maxUnavailable"]);
    prop_oneof![
        4 => (name(), 0..5_i64, name(), 0..2_u8)
            .prop_map(|(name, replicas, service, image)| Step::StatefulSet { name, replicas, service, image }),
        3 => (name(), 0..5_i64).prop_map(|(name, replicas)| Step::Scale { name, replicas }),
        2 => (name(), prop::bool::weighted(0.8), name(), prop::bool::weighted(0.2))
            .prop_map(|(name, headless, selects, held)| Step::Service { name, headless, selects, held }),
        3 => (name(), kind, name(), 1..5_i64, 0..3_i64, prop::bool::weighted(0.2)).prop_map(
            |(name, kind, target, min, more, held)| Step::Autoscaler { name, kind, target, min, max: min + more, held }
        ),
        2 => (name(), limit, 0..4_i64, name())
            .prop_map(|(name, limit, amount, selects)| Step::Budget { name, limit, amount, selects }),
        3 => (resource.clone(), name(), any::<bool>())
            .prop_map(|(resource, name, orphans)| Step::Delete { resource, name, orphans }),
        1 => (resource, name()).prop_map(|(resource, name)| Step::Release { resource, name }),
    ]
}

/// What users begin with, so that steps find something to spoil: both Services, and the StatefulSet `a` of three replicas.
fn beginning() -> Vec<Step> {
    vec![
        Step::Service { name: "a", headless: true, selects: "a", held: false },
        Step::Service { name: "b", headless: true, selects: "b", held: false },
        Step::StatefulSet { name: "a", replicas: 3, service: "a", image: 0 },
    ]
}

const STATEFUL_SETS: &str = "apis/apps/v1/namespaces/NS/statefulsets";
const SERVICES: &str = "api/v1/namespaces/NS/services";
const AUTOSCALERS: &str = "apis/autoscaling/v2/namespaces/NS/horizontalpodautoscalers";
const BUDGETS: &str = "apis/policy/v1/namespaces/NS/poddisruptionbudgets";

/// The request that does a step: its method, its path, and its body.
fn request(step: &Step) -> (Method, String, Value) {
    let apply = |resource: &str, name: &str, body: Value| {
        (Method::PATCH, format!("{resource}/{name}?fieldManager=user&force=true"), body)
    };
    match step {
        Step::StatefulSet { name, replicas, service, image } => apply(
            STATEFUL_SETS,
            name,
            json!({
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": {"name": name},
                "spec": {
                    "replicas": replicas,
                    "serviceName": service,
                    "selector": {"matchLabels": {"app": name}},
                    "template": {
                        "metadata": {"labels": {"app": name}},
                        "spec": {"containers": [{"name": "db", "image": format!("db:{image}")}]},
                    },
                },
            }),
        ),
        Step::Scale { name, replicas } => {
            (Method::PATCH, format!("{STATEFUL_SETS}/{name}/scale"), json!({"spec": {"replicas": replicas}}))
        }
        Step::Service { name, headless, selects, held } => {
            let mut service = json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata(name, *held),
                "spec": {"selector": {"app": selects}, "ports": [{"port": 5432}]},
            });
            if *headless {
                service["spec"]["clusterIP"] = json!("None");
            }
            apply(SERVICES, name, service)
        }
        Step::Autoscaler { name, kind, target, min, max, held } => apply(
            AUTOSCALERS,
            name,
            json!({
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": metadata(name, *held),
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": target},
                    "minReplicas": min,
                    "maxReplicas": max,
                },
            }),
        ),
        Step::Budget { name, limit, amount, selects } => apply(
            BUDGETS,
            name,
            json!({
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": name},
                "spec": {*limit: amount, "selector": {"matchLabels": {"app": selects}}},
            }),
        ),
        Step::Delete { resource, name, orphans } => {
            let policy = if *orphans { "?propagationPolicy=Orphan" } else { "" };
            (Method::DELETE, format!("{resource}/{name}{policy}"), Value::Null)
        }
        Step::Release { resource, name } => {
            (Method::PATCH, format!("{resource}/{name}"), json!({"metadata": {"finalizers": null}}))
        }
    }
}

fn metadata(name: &str, held: bool) -> Value {
    if held { json!({"name": name, "finalizers": ["example.com/held"]}) } else { json!({"name": name}) }
}

/// The user's namespace, and the user's and an administrator's connections.
struct Game<'c> {
    user: &'c kube::Client,
    admin: &'c kube::Client,
    namespace: String,
}

/// What the API server answered: its status, and the warnings or the message of a refusal.
struct Answer {
    accepted: bool,
    said: String,
}

impl Game<'_> {
    async fn send(&self, client: &kube::Client, method: Method, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let applies = path.contains("fieldManager");
        let media_type = if applies { "application/apply-patch+yaml" } else { "application/merge-patch+json" };
        let request = Request::builder()
            .method(method)
            .uri(format!("/{}", path.replace("NS", &self.namespace)))
            .header("content-type", media_type)
            .body(Body::from(if body.is_null() { Vec::new() } else { body.to_string().into_bytes() }))?;
        let response = client.send(request).await?;
        let accepted = response.status().is_success();
        let warnings = response.headers().get_all("warning").iter();
        let mut said: Vec<String> =
            warnings.map(|each| String::from_utf8_lossy(each.as_bytes()).into_owned()).collect();
        let body = response.into_body().collect().await?.to_bytes();
        if !accepted {
            said.push(String::from_utf8_lossy(&body).into_owned());
        }
        Ok(Answer { accepted, said: said.join("\n") })
    }

    async fn list(&self, resource: &str) -> anyhow::Result<Vec<Value>> {
        let request = Request::get(format!("/{}", resource.replace("NS", &self.namespace))).body(Vec::new())?;
        let list: Value = self.admin.request(request).await?;
        let mut items = list["items"].as_array().cloned().unwrap_or_default();
        // What is being deleted goes without a further request, as soon as nothing holds it.
        items.retain(|item| item["metadata"]["deletionTimestamp"].is_null());
        Ok(items)
    }

    /// By StatefulSet (its uid) and rule, by how much it falls short now. This is the oracle: it knows nothing of Quorate's code.
    async fn shortfalls(&self) -> anyhow::Result<BTreeMap<(String, &'static str), i64>> {
        let (services, autoscalers) = (self.list(SERVICES).await?, self.list(AUTOSCALERS).await?);
        let budgets = self.list(BUDGETS).await?;
        let mut found = BTreeMap::new();
        for set in self.list(STATEFUL_SETS).await? {
            let text = |pointer: &str| set.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (uid, name, service) = (text("/metadata/uid"), text("/metadata/name"), text("/spec/serviceName"));
            let replicas = set["spec"]["replicas"].as_i64().unwrap_or(1);
            let scales = |scaler: &&Value| {
                let target = &scaler["spec"]["scaleTargetRef"];
                target["kind"] == "StatefulSet" && target["name"] == name
            };
            let floor = autoscalers.iter().filter(scales).filter_map(|each| each["spec"]["minReplicas"].as_i64()).min();
            let floor = if replicas == 0 { 0 } else { floor.unwrap_or(replicas) };
            found.insert((uid.clone(), "replicas"), if floor == 0 { 0 } else { (3 - floor).max(0) });
            let right = services.iter().any(|each| {
                each["metadata"]["name"] == service
                    && each["spec"]["clusterIP"] == "None"
                    && each["spec"]["selector"]["app"] == name
            });
            found.insert((uid.clone(), "headlessService"), i64::from(!right));
            let covering = || {
                let of_users = |each: &&Value| each["metadata"]["labels"]["app.kubernetes.io/managed-by"] != "quorate";
                budgets.iter().filter(of_users).filter(|each| each["spec"]["selector"]["matchLabels"]["app"] == name)
            };
            let blocks = |budget: &&Value| {
                budget["spec"]["maxUnavailable"] == 0
                    || budget["spec"]["minAvailable"].as_i64().is_some_and(|least| least >= floor)
            };
            let blocking = if floor == 0 { 0 } else { covering().filter(blocks).count() };
            let overlap = usize::from(covering().count() > 1 && floor > 0);
            found.insert((uid, "podDisruptionBudget"), i64::try_from(blocking + overlap)?);
        }
        Ok(found)
    }

    /// Plays the steps; the first that breaks the promise, in words.
    async fn play(&self, steps: &[Step]) -> anyhow::Result<Option<String>> {
        let mut before = self.shortfalls().await?;
        for (index, step) in steps.iter().enumerate() {
            let (method, path, body) = request(step);
            let answer = self.send(self.user, method, &path, &body).await?;
            let after = self.shortfalls().await?;
            for ((uid, rule), shortfall) in &after {
                let was = before.get(&(uid.clone(), *rule)).copied().unwrap_or(0);
                // What a budget lets go depends on the count, which other requests than the StatefulSet's own and the
                // budget's change: those are judged by `replicas` (DESIGN.md, section 3).
                let judged =
                    *rule != "podDisruptionBudget" || matches!(step, Step::StatefulSet { .. } | Step::Budget { .. });
                let told = answer.said.contains(phrase(rule));
                if *shortfall > was && judged && !(answer.accepted && told) {
                    return Ok(Some(format!(
                        "step {index} of {steps:#?} took {rule} from {was} to {shortfall}: accepted {}, said {:?}",
                        answer.accepted, answer.said
                    )));
                }
            }
            before = after;
        }
        Ok(None)
    }
}

/// What a warning of the rule says in any case.
fn phrase(rule: &str) -> &'static str {
    match rule {
        "replicas" => "below the minimum 3",
        "headlessService" => "spec.serviceName",
        _ => "PodDisruptionBudget",
    }
}

async fn client(cluster: &ControlPlane, user: &str) -> anyhow::Result<kube::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = kube::config::Kubeconfig::read_from(cluster.kubeconfig())?;
    let options = kube::config::KubeConfigOptions { context: Some(user.to_owned()), ..Default::default() };
    Ok(kube::Client::try_from(kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?)?)
}

/// L131–L143 and what nobody has thought of. More histories than CI has time for: `QUORATE_HISTORIES=1000`.
#[test]
fn no_history_ends_below_a_deny_rule_without_a_warning_of_it() {
    let cases = std::env::var("QUORATE_HISTORIES").ok().and_then(|count| count.parse().ok()).unwrap_or(40);
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(STRICT).start().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (user, admin) = runtime
        .block_on(async { anyhow::Ok((client(cluster, "developer").await?, client(cluster, "admin").await?)) })
        .unwrap();
    let config = Config { cases, max_shrink_iters: 60, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&prop::collection::vec(step(), 1..=12), |steps| {
        let namespace = quorate.namespace("history", &[]).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let game = Game { user: &user, admin: &admin, namespace: namespace.clone() };
        let steps = [beginning(), steps].concat();
        let broken = runtime.block_on(game.play(&steps)).map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
        let delete = cluster.kubectl(&["delete", "namespace", &namespace, "--wait=false"]);
        delete.ok().map_err(|error| TestCaseError::fail(error.to_string()))?;
        broken.map_or(Ok(()), |broken| Err(TestCaseError::fail(broken)))
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
