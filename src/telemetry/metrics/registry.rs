//! The names of metrics, what `/metrics` says of each, and the series that are there from the start.

use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use super::labels::{ACTION, KIND, OPERATION, OTHER, Pair, REASON, RESULT, TASK, VERDICT, WEBHOOK, WRITE, WRITTEN};
use super::process::Process;
use super::{Metrics, by};
use crate::rules::Rule;

/// Upper bounds in seconds: a decision takes tens of microseconds, one with live reads milliseconds, and the API server waits
/// three seconds at most.
const DURATIONS: [f64; 14] =
    [50e-6, 100e-6, 200e-6, 400e-6, 800e-6, 0.0016, 0.0032, 0.0064, 0.0125, 0.025, 0.1, 0.4, 1.0, 3.0];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let ours = registry.sub_registry_with_prefix("quorate");
        ours.register("build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let durations = Family::new_with_constructor((|| Histogram::new(DURATIONS)) as fn() -> Histogram);
        ours.register(
            "admission_duration_seconds",
            "Time from a request's last byte to its answer, reads from the API server included",
            durations.clone(),
        );
        let metrics = Self {
            requests: add(ours, "admission_requests", "Reviews answered"),
            durations,
            violations: add(ours, "violations", "Violations found in requests"),
            exemptions: add(ours, "exemptions_active", "StatefulSets that are exempt from the rule now"),
            pending_injections: add(
                ours,
                "pending_injections",
                "StatefulSets that lack something that policies want injected",
            ),
            internal_errors: add(
                ours,
                "internal_errors",
                "Failures of Quorate inside a request, answered as the policies' onInternalError says",
            ),
            policies: add(ours, "policies_loaded", "Policies in force"),
            policy_reloads: add(ours, "policy_reloads", "Times that changed policy files were read"),
            certificate_reloads: add(ours, "certificate_reloads", "Times that a changed serving certificate was read"),
            certificate_expiry: add(
                ours,
                "certificate_expiry_timestamp_seconds",
                "When the certificate that is served ends, in seconds since 1970",
            ),
            authority_expiry: add(
                ours,
                "ca_expiry_timestamp_seconds",
                "When the CA that Quorate manages itself ends, in seconds since 1970; 0 where it manages none",
            ),
            connections: add(ours, "http_connections", "Connections that are open on the webhook's port"),
            rejected: add(
                ours,
                "http_rejected",
                "Connections and requests that met a limit of the server, so that nothing was decided",
            ),
            ready: add(ours, "ready", "Whether /readyz says that this replica is ready"),
            degraded: add(ours, "degraded", "Whether /readyz?verbose says that something is wrong with the part"),
            restarts: add(
                ours,
                "task_restarts",
                "Times that a background task ended or panicked and was started again",
            ),
            lost_log_lines: add(ours, "log_lines_lost", "Log lines that were dropped, as nobody read them in time"),
            cache_silence: add(
                ours,
                "cache_silence_seconds",
                "Time since the API server was last heard about what the cache holds",
            ),
            budgets: add(
                ours,
                "budgets_managed",
                "PodDisruptionBudgets that this replica looks after; none where another one leads",
            ),
            budget_writes: add(ours, "budget_writes", "Requests to the API server that write a PodDisruptionBudget"),
            failing_namespaces: add(
                ours,
                "budget_namespaces_failing",
                "Namespaces whose budgets are not as they shall be after several attempts",
            ),
            budget_leader: add(
                ours,
                "budget_controller_leader",
                "Whether this replica's controller looks after budgets now; absent where there is no controller",
            ),
            registry,
        };
        metrics.start_at_zero();
        metrics
    }
}

impl Metrics {
    /// Makes series exist before their first event: no rate can be taken of what isn't there, and the first failure would go
    /// unseen.
    fn start_at_zero(&self) {
        for webhook in WEBHOOK.each() {
            touch(&self.durations, [[webhook]]);
            for operation in OPERATION.each().filter(|operation| *operation != ("operation", "DELETE")) {
                touch(&self.requests, VERDICT.each().map(|verdict| [webhook, operation, verdict]));
            }
            // An undecodable request has no operation.
            touch(&self.requests, [[webhook, OPERATION.is(OTHER), VERDICT.is("error")]]);
        }
        touch(&self.requests, VERDICT.each().map(|verdict| [WEBHOOK.is("validate"), OPERATION.is("DELETE"), verdict]));
        for &rule in Rule::ALL {
            touch(&self.violations, ACTION.each().map(|action| [by(rule), action]));
            touch(&self.exemptions, [[by(rule)]]);
        }
        touch(&self.violations, [[by(Rule::Exemption), ACTION.is("Deny")]]);
        touch(&self.internal_errors, KIND.each().map(|kind| [kind]));
        touch(&self.policy_reloads, RESULT.each().map(|result| [result]));
        touch(&self.certificate_reloads, RESULT.each().map(|result| [result]));
        touch(&self.rejected, REASON.each().map(|reason| [reason]));
        touch(&self.restarts, TASK.each().map(|task| [task]));
        for write in WRITE.each() {
            touch(&self.budget_writes, WRITTEN.each().map(|result| [write, result]));
        }
    }
}

fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn touch<const LABELS: usize, M: Clone, C: MetricConstructor<M>>(
    family: &Family<[Pair; LABELS], M, C>,
    series: impl IntoIterator<Item = [Pair; LABELS]>,
) {
    for labels in series {
        drop(family.get_or_create(&labels));
    }
}
