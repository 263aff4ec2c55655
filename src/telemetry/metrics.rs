//! Metrics, as Prometheus scrapes them from `/metrics`; `docs/metrics.md` describes each.
//!
//! Labels come from closed sets only, so that nothing a client sends can grow the number of series (L37): what isn't in its
//! label's set is counted as `other`.

mod labels;
mod process;
mod registry;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::labels::{ACTION, CACHE, KIND, OPERATION, Pair, REASON, RESULT, TASK, VERDICT, WEBHOOK, WRITE, WRITTEN};
use super::{Health, State, logs};
use crate::rules::Rule;

type Counters<const LABELS: usize> = Family<[Pair; LABELS], Counter>;
type Gauges<const LABELS: usize> = Family<[Pair; LABELS], Gauge>;
type Histograms<const LABELS: usize> = Family<[Pair; LABELS], Histogram, fn() -> Histogram>;
type Seconds = Gauge<f64, AtomicU64>;

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Counters<3>,
    durations: Histograms<1>,
    violations: Counters<2>,
    exemptions: Gauges<1>,
    pending_injections: Gauge,
    internal_errors: Counters<1>,
    policies: Gauge,
    policy_reloads: Counters<1>,
    certificate_reloads: Counters<1>,
    certificate_expiry: Seconds,
    authority_expiry: Seconds,
    connections: Gauge,
    rejected: Counters<1>,
    ready: Gauge,
    degraded: Gauges<1>,
    restarts: Counters<1>,
    lost_log_lines: Counter,
    cache_silence: Family<[Pair; 1], Seconds>,
    budgets: Gauge,
    budget_writes: Counters<2>,
    failing_namespaces: Gauge,
    /// Without a series until the controller runs: where it is switched off, that nobody leads is no fault.
    budget_leader: Gauges<0>,
}

impl Metrics {
    /// A review was answered: by which webhook (`validate`, `mutate`), for which operation (`CREATE`, …), with which verdict
    /// (`allow`, `warn`, `deny`, `error`), and how long it took.
    pub fn answered(&self, webhook: &'static str, operation: &'static str, verdict: &'static str, took: Duration) {
        let webhook = WEBHOOK.is(webhook);
        self.requests.get_or_create(&[webhook, OPERATION.is(operation), VERDICT.is(verdict)]).inc();
        self.durations.get_or_create(&[webhook]).observe(took.as_secs_f64());
    }

    /// A violation was found, and which action it led to (`Exempt` where an exemption covers it).
    pub fn violation(&self, rule: Rule, action: &'static str) {
        self.violations.get_or_create(&[by(rule), ACTION.is(action)]).inc();
    }

    /// So many StatefulSets are exempt from the rule now.
    pub fn exemptions_active(&self, rule: Rule, count: usize) {
        self.exemptions.get_or_create(&[by(rule)]).set(whole(count));
    }

    /// So many StatefulSets lack something that policies want injected (L24).
    pub fn pending_injections(&self, count: usize) {
        self.pending_injections.set(whole(count));
    }

    /// Quorate failed inside a request: `undecodable`, `unreadable`, `busy`, `deadline`, `panic`, `live_read`, `patch`.
    pub fn internal_error(&self, kind: &'static str) {
        self.internal_errors.get_or_create(&[KIND.is(kind)]).inc();
    }

    /// So many policies are in force.
    pub fn policies_loaded(&self, count: usize) {
        self.policies.set(whole(count));
    }

    /// Policy files were read again.
    pub fn policies_reloaded(&self, succeeded: bool) {
        self.policy_reloads.get_or_create(&[outcome(succeeded)]).inc();
    }

    /// The serving certificate's files changed and were read again.
    pub fn certificate_reloaded(&self, succeeded: bool) {
        self.certificate_reloads.get_or_create(&[outcome(succeeded)]).inc();
    }

    /// The certificate that is served now ends at this time.
    pub fn certificate_expires(&self, at: SystemTime) {
        let since_epoch = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.certificate_expiry.set(since_epoch.as_secs_f64());
    }

    /// The CA that Quorate manages itself ends at this time.
    pub fn authority_expires(&self, at: SystemTime) {
        let since_epoch = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.authority_expiry.set(since_epoch.as_secs_f64());
    }

    /// So many connections are open on the webhook's port.
    pub fn connections_open(&self, count: usize) {
        self.connections.set(whole(count));
    }

    /// A client met a limit before anything was decided: `connections`, `requests`, `handshake`, `slow`, `body_size`,
    /// `body_time`, `body_memory`, `body_values`, `content_type`.
    pub fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&[REASON.is(reason)]).inc();
    }

    /// What `/readyz` says now.
    pub fn health(&self, health: &Health) {
        self.ready.set(i64::from(health.is_ready()));
        for (part, state) in health.states() {
            self.degraded.get_or_create(&[("part", part)]).set(i64::from(state != State::Ok));
        }
    }

    /// A background task ended or panicked and is started again: `policies`, `certificate`, `client_ca`, `self_dial`,
    /// `budgets`, `registration`, or that of a cache.
    pub fn task_restarted(&self, task: &'static str) {
        self.restarts.get_or_create(&[TASK.is(task)]).inc();
    }

    /// For how long nothing was heard from the API server about what a cache (`cache-services`, …) holds.
    pub fn cache_silence(&self, cache: &'static str, silence: Duration) {
        self.cache_silence.get_or_create(&[CACHE.is(cache)]).set(silence.as_secs_f64());
    }

    /// This replica looks after so many budgets: all of ours where it leads, else none.
    pub fn budgets_managed(&self, count: usize) {
        self.budgets.set(whole(count));
    }

    /// A budget was written, by `operation` (`create`, `apply`, `delete`) and `result` (`success`, `conflict`, `failure`).
    pub fn budget_written(&self, operation: &'static str, result: &'static str) {
        self.budget_writes.get_or_create(&[WRITE.is(operation), WRITTEN.is(result)]).inc();
    }

    /// In so many namespaces budgets are still not as they shall be after several attempts.
    pub fn budgets_failing(&self, namespaces: usize) {
        self.failing_namespaces.set(whole(namespaces));
    }

    /// Whether this replica's controller looks after budgets now. One that doesn't knows of none and of no failure.
    pub fn leads_budgets(&self, leads: bool) {
        self.budget_leader.get_or_create(&[]).set(i64::from(leads));
        if !leads {
            self.budgets_managed(0);
            self.budgets_failing(0);
        }
    }

    /// All metrics in the `OpenMetrics` text format.
    #[must_use]
    pub fn encode(&self) -> String {
        self.lost_log_lines.inner().store(u64::try_from(logs::lost()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let mut text = String::new();
        // Writing to a String can't fail; should a metric's encoder ever, what was written before it is still right.
        let _ = encode(&mut text, &self.registry);
        // A family whose series may be absent has braces even where it has no labels.
        text.replace("{} ", " ")
    }
}

fn by(rule: Rule) -> Pair {
    ("rule", rule.name())
}

fn outcome(succeeded: bool) -> Pair {
    RESULT.is(if succeeded { "success" } else { "failure" })
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
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

    #[test]
    fn says_who_leads_only_where_there_is_a_controller() {
        let metrics = Metrics::default();
        assert!(!metrics.encode().contains("budget_controller_leader"));
        metrics.leads_budgets(true);
        metrics.budgets_managed(7);
        metrics.budgets_failing(1);
        let text = metrics.encode();
        assert!(text.contains("\nquorate_budget_controller_leader 1\n"), "{text}");
        metrics.leads_budgets(false);
        let text = metrics.encode();
        for line in ["budget_controller_leader 0", "budgets_managed 0", "budget_namespaces_failing 0"] {
            assert!(text.contains(&format!("\nquorate_{line}\n")), "{line}: {text}");
        }
    }

    #[test]
    fn says_what_readyz_says() {
        let (metrics, health) = (Metrics::default(), Health::default());
        health.set("tls", State::Ok);
        health.set("policies", State::Degraded("a file is wrong".to_owned()));
        metrics.health(&health);
        let text = metrics.encode();
        for line in ["ready 1", r#"degraded{part="policies"} 1"#, r#"degraded{part="tls"} 0"#] {
            assert!(text.contains(&format!("\nquorate_{line}\n")), "{line}: {text}");
        }
        health.set("tls", State::NotReady("not dialled yet".to_owned()));
        metrics.health(&health);
        assert!(metrics.encode().contains("\nquorate_ready 0\n"));
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
