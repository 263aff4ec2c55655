//! Metrics, as Prometheus scrapes them from `/metrics`.
//!
//! Labels come from closed sets only, so that nothing a client sends can grow the number of series (L37): what isn't in its
//! label's set is counted as `other`.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::rules::Rule;

const WEBHOOKS: &[&str] = &["validate", "mutate"];
const OPERATIONS: &[&str] = &["CREATE", "UPDATE", "DELETE", "CONNECT"];
const VERDICTS: &[&str] = &["allow", "warn", "deny", "error"];
const ACTIONS: &[&str] = &["Deny", "Warn", "Audit", "Exempt"];
const INTERNAL_ERRORS: &[&str] = &["undecodable", "deadline", "panic", "live_read", "patch"];
const RESULTS: &[&str] = &["success", "failure"];
const REJECTIONS: &[&str] = &["connections", "requests", "handshake", "slow", "body_size", "body_time", "content_type"];
const TASKS: &[&str] = &["policies", "certificate", "self_dial", "budgets"];
const CACHES: &[&str] = &[
    "cache-horizontalpodautoscalers",
    "cache-namespaces",
    "cache-nodes",
    "cache-persistentvolumeclaims",
    "cache-poddisruptionbudgets",
    "cache-services",
    "cache-statefulsets",
];
const BUDGET_OPERATIONS: &[&str] = &["create", "apply", "delete"];
const BUDGET_RESULTS: &[&str] = &["success", "conflict", "failure"];

/// Upper bounds in seconds: a decision takes tens of microseconds, one with live reads milliseconds, and the API server waits
/// three seconds at most.
const DURATIONS: [f64; 14] =
    [50e-6, 100e-6, 200e-6, 400e-6, 800e-6, 0.0016, 0.0032, 0.0064, 0.0125, 0.025, 0.1, 0.4, 1.0, 3.0];

type Seconds = Gauge<f64, AtomicU64>;

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    durations: Family<Webhook, Histogram, fn() -> Histogram>,
    violations: Family<Violation, Counter>,
    exemptions: Family<ByRule, Gauge>,
    pending_injections: Gauge,
    internal_errors: Family<Kind, Counter>,
    policies: Gauge,
    policy_reloads: Family<Outcome, Counter>,
    certificate_reloads: Family<Outcome, Counter>,
    certificate_expiry: Seconds,
    connections: Gauge,
    rejected: Family<Reason, Counter>,
    restarts: Family<Task, Counter>,
    cache_silence: Family<Cache, Seconds>,
    budgets: Gauge,
    budget_writes: Family<BudgetWrite, Counter>,
    budget_leader: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    webhook: &'static str,
    operation: &'static str,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Webhook {
    webhook: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Violation {
    rule: &'static str,
    action: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRule {
    rule: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Task {
    task: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cache {
    cache: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BudgetWrite {
    operation: &'static str,
    result: &'static str,
}

impl Metrics {
    /// A review was answered: by which webhook (`validate`, `mutate`), for which operation (`CREATE`, …), with which verdict
    /// (`allow`, `warn`, `deny`, `error`), and how long it took.
    pub fn answered(&self, webhook: &'static str, operation: &'static str, verdict: &'static str, took: Duration) {
        let webhook = one_of(WEBHOOKS, webhook);
        let labels = Request { webhook, operation: one_of(OPERATIONS, operation), verdict: one_of(VERDICTS, verdict) };
        self.requests.get_or_create(&labels).inc();
        self.durations.get_or_create(&Webhook { webhook }).observe(took.as_secs_f64());
    }

    /// A violation was found, and which action it led to (`Exempt` where an exemption covers it).
    pub fn violation(&self, rule: Rule, action: &'static str) {
        self.violations.get_or_create(&Violation { rule: rule.name(), action: one_of(ACTIONS, action) }).inc();
    }

    /// So many StatefulSets are exempt from the rule now.
    pub fn exemptions_active(&self, rule: Rule, count: usize) {
        let labels = ByRule { rule: rule.name() };
        self.exemptions.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// So many StatefulSets lack something that policies want injected (L24).
    pub fn pending_injections(&self, count: usize) {
        self.pending_injections.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Quorate failed inside a request: `undecodable`, `deadline`, `panic`, `live_read`, `patch`.
    pub fn internal_error(&self, kind: &'static str) {
        self.internal_errors.get_or_create(&Kind { kind: one_of(INTERNAL_ERRORS, kind) }).inc();
    }

    /// So many policies are in force.
    pub fn policies_loaded(&self, count: usize) {
        self.policies.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Policy files were read again.
    pub fn policies_reloaded(&self, succeeded: bool) {
        self.policy_reloads.get_or_create(&outcome(succeeded)).inc();
    }

    /// The serving certificate's files changed and were read again.
    pub fn certificate_reloaded(&self, succeeded: bool) {
        self.certificate_reloads.get_or_create(&outcome(succeeded)).inc();
    }

    /// The certificate that is served now ends at this time.
    pub fn certificate_expires(&self, at: SystemTime) {
        let since_epoch = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.certificate_expiry.set(since_epoch.as_secs_f64());
    }

    /// So many connections are open on the webhook's port.
    pub fn connections_open(&self, count: usize) {
        self.connections.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A client met a limit before anything was decided: `connections`, `requests`, `handshake`, `slow`, `body_size`,
    /// `body_time`, `content_type`.
    pub fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&Reason { reason: one_of(REJECTIONS, reason) }).inc();
    }

    /// A background task ended or panicked and is started again: `policies`, `certificate`, `self_dial`, `budgets`, or that of
    /// a cache.
    pub fn task_restarted(&self, task: &'static str) {
        let task = if CACHES.contains(&task) { task } else { one_of(TASKS, task) };
        self.restarts.get_or_create(&Task { task }).inc();
    }

    /// For how long nothing was heard from the API server about what a cache (`cache-services`, …) holds.
    pub fn cache_silence(&self, cache: &'static str, silence: Duration) {
        self.cache_silence.get_or_create(&Cache { cache: one_of(CACHES, cache) }).set(silence.as_secs_f64());
    }

    /// This replica looks after so many budgets: all of ours where it leads, else none.
    pub fn budgets_managed(&self, count: usize) {
        self.budgets.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A budget was written, by `operation` (`create`, `apply`, `delete`) and `result` (`success`, `conflict`, `failure`).
    pub fn budget_written(&self, operation: &'static str, result: &'static str) {
        let labels =
            BudgetWrite { operation: one_of(BUDGET_OPERATIONS, operation), result: one_of(BUDGET_RESULTS, result) };
        self.budget_writes.get_or_create(&labels).inc();
    }

    /// Whether this replica's controller looks after budgets now.
    pub fn leads_budgets(&self, leads: bool) {
        self.budget_leader.set(i64::from(leads));
    }

    /// All metrics in the `OpenMetrics` text format.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail; should a metric's encoder ever, what was written before it is still right.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("quorate");
        let metrics = Self {
            requests: register(&mut registry, "admission_requests", "Reviews answered", Family::default()),
            durations: register(
                &mut registry,
                "admission_duration_seconds",
                "Time from the request's bytes to the answer's",
                Family::new_with_constructor(|| Histogram::new(DURATIONS)),
            ),
            violations: register(&mut registry, "violations", "Violations found by admission", Family::default()),
            exemptions: register(
                &mut registry,
                "exemptions_active",
                "StatefulSets that are exempt from a rule now",
                Family::default(),
            ),
            pending_injections: register(
                &mut registry,
                "pending_injections",
                "StatefulSets that lack something that policies want injected",
                Gauge::default(),
            ),
            internal_errors: register(
                &mut registry,
                "internal_errors",
                "Failures of Quorate inside a request, answered as the policies' onInternalError says",
                Family::default(),
            ),
            policies: register(&mut registry, "policies_loaded", "Policies in force", Gauge::default()),
            policy_reloads: register(&mut registry, "policy_reloads", "Reloads of policy files", Family::default()),
            certificate_reloads: register(
                &mut registry,
                "certificate_reloads",
                "Reloads of the serving certificate",
                Family::default(),
            ),
            certificate_expiry: register(
                &mut registry,
                "certificate_expiry_timestamp_seconds",
                "When the certificate that is served ends, in seconds since 1970",
                Seconds::default(),
            ),
            connections: register(&mut registry, "http_connections", "Open webhook connections", Gauge::default()),
            rejected: register(
                &mut registry,
                "http_rejected",
                "Connections and requests that met a limit of the server",
                Family::default(),
            ),
            budgets: register(
                &mut registry,
                "budgets_managed",
                "PodDisruptionBudgets that this replica looks after",
                Gauge::default(),
            ),
            budget_writes: register(
                &mut registry,
                "budget_writes",
                "Requests that write a PodDisruptionBudget",
                Family::default(),
            ),
            budget_leader: register(
                &mut registry,
                "budget_controller_leader",
                "Whether this replica's controller looks after budgets",
                Gauge::default(),
            ),
            cache_silence: register(
                &mut registry,
                "cache_silence_seconds",
                "Time since the API server was last heard about what a cache holds; well below 30 as long as it is",
                Family::default(),
            ),
            restarts: register(&mut registry, "task_restarts", "Background tasks started again", Family::default()),
            registry,
        };
        metrics.start_at_zero();
        metrics
    }
}

impl Metrics {
    /// Makes the series that alerts watch exist before their first event: a rate can't be taken of what isn't there.
    fn start_at_zero(&self) {
        for &result in RESULTS {
            drop(self.policy_reloads.get_or_create(&Outcome { result }));
            drop(self.certificate_reloads.get_or_create(&Outcome { result }));
        }
        for &rule in Rule::ALL {
            self.exemptions_active(rule, 0);
        }
        for &kind in INTERNAL_ERRORS {
            drop(self.internal_errors.get_or_create(&Kind { kind }));
        }
        for &operation in BUDGET_OPERATIONS {
            for &result in BUDGET_RESULTS {
                drop(self.budget_writes.get_or_create(&BudgetWrite { operation, result }));
            }
        }
        for &task in TASKS.iter().chain(CACHES) {
            drop(self.restarts.get_or_create(&Task { task }));
        }
        for &reason in REJECTIONS {
            drop(self.rejected.get_or_create(&Reason { reason }));
        }
    }
}

fn register<M>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M
where
    M: prometheus_client::registry::Metric + Clone,
{
    registry.register(name, help, metric.clone());
    metric
}

const OTHER: &str = "other";

fn one_of(set: &[&'static str], value: &'static str) -> &'static str {
    if set.contains(&value) { value } else { OTHER }
}

fn outcome(succeeded: bool) -> Outcome {
    Outcome { result: if succeeded { "success" } else { "failure" } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_under_the_names_that_the_documentation_gives() {
        let metrics = Metrics::default();
        metrics.answered("validate", "CREATE", "deny", Duration::from_micros(70));
        metrics.violation(Rule::Replicas, "Deny");
        metrics.violation(Rule::Exemption, "Deny");
        metrics.violation(Rule::Replicas, "Exempt");
        metrics.exemptions_active(Rule::Replicas, 2);
        metrics.certificate_expires(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
        metrics.rejected("body_size");
        metrics.policies_loaded(3);
        metrics.cache_silence("cache-services", Duration::from_secs(7));
        let text = metrics.encode();
        for line in [
            r#"quorate_admission_requests_total{webhook="validate",operation="CREATE",verdict="deny"} 1"#,
            r#"quorate_admission_duration_seconds_bucket{le="0.0001",webhook="validate"} 1"#,
            r#"quorate_violations_total{rule="replicas",action="Deny"} 1"#,
            r#"quorate_violations_total{rule="exemption",action="Deny"} 1"#,
            r#"quorate_violations_total{rule="replicas",action="Exempt"} 1"#,
            r#"quorate_exemptions_active{rule="replicas"} 2"#,
            r#"quorate_exemptions_active{rule="spread"} 0"#,
            "quorate_certificate_expiry_timestamp_seconds 1800000000.0",
            r#"quorate_http_rejected_total{reason="body_size"} 1"#,
            r#"quorate_policy_reloads_total{result="failure"} 0"#,
            r#"quorate_internal_errors_total{kind="deadline"} 0"#,
            "quorate_policies_loaded 3",
            r#"quorate_cache_silence_seconds{cache="cache-services"} 7.0"#,
            r#"quorate_task_restarts_total{task="policies"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
    }

    /// L37
    #[test]
    fn has_no_more_series_after_ten_thousand_unheard_of_labels() {
        let metrics = Metrics::default();
        let count = |metrics: &Metrics| metrics.encode().lines().count();
        metrics.answered("other", "other", "other", Duration::ZERO);
        metrics.violation(Rule::Replicas, "other");
        metrics.internal_error("other");
        metrics.rejected("other");
        metrics.task_restarted("other");
        metrics.cache_silence("other", Duration::ZERO);
        let before = count(&metrics);
        for number in 0..10_000 {
            let name: &'static str = format!("name-{number}").leak();
            metrics.answered(name, name, name, Duration::ZERO);
            metrics.violation(Rule::Replicas, name);
            metrics.internal_error(name);
            metrics.rejected(name);
            metrics.task_restarted(name);
            metrics.cache_silence(name, Duration::ZERO);
        }
        assert_eq!(count(&metrics), before);
    }
}
