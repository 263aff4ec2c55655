//! The API server, and what it rests on, stop and come back.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;

use super::load::Load;
use super::record::{Row, number, record};
use super::{Ground, admin, healthy, metric};
use crate::admission::live_reads::{policy, review};
use crate::admission::service;
use crate::controlplane::process::Process;
use crate::controlplane::{Quorate, wait_for};

const PAUSE: Duration = Duration::from_secs(20);

/// A process that goes on when this is dropped, however its test ends.
struct Stopped<'p>(&'p Process);

impl<'p> Stopped<'p> {
    fn stop(process: &'p Process) -> Self {
        process.signal("STOP").unwrap();
        Self(process)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let _ = self.0.signal("CONT");
    }
}

/// An API server that wakes up may find that the time of a webhook call has passed while it slept, whatever was answered; with
/// `Ignore` it then goes on without. Its audit log says so, and Quorate counts what lacks an injection because of it.
#[test]
fn a_paused_api_server_makes_quorate_deny_nothing_and_leave_nothing_unmutated_l34() {
    let ground = Ground::take();
    let quorate = ground.quorate("paused").start().unwrap();
    let namespace = Ground::namespace(&quorate, "paused");
    let load = Load::start(ground.cluster, &namespace);
    let stopped = Stopped::stop(ground.cluster.process("kube-apiserver").unwrap());
    std::thread::sleep(PAUSE);
    let (status, body) = quorate.admin("/readyz?verbose").unwrap();
    assert_eq!(status, 200, "ready all the same: {body}");
    let silence = metric(&quorate, r#"quorate_cache_silence_seconds{cache="cache-services"}"#).unwrap();
    assert!(silence >= PAUSE.as_secs_f64() - 1.0, "it shows: {silence}");
    drop(stopped);
    load.go_on();
    healthy(&quorate);
    let outcome = load.end();
    let given_up = wait_for("the audit log", || {
        let given_up = failed_open(&ground, &namespace, &outcome.unmutated);
        ensure!(given_up == outcome.unmutated, "unmutated: {:?}, but {given_up:?} failed open", outcome.unmutated);
        Ok(given_up)
    })
    .unwrap();
    wait_for("those to be counted", || {
        let pending = metric(&quorate, "quorate_pending_injections")?;
        ensure!(format!("{pending}") == given_up.len().to_string(), "{pending} are pending, not {given_up:?}");
        Ok(())
    })
    .unwrap();
    record(
        "reliability::api_server::a_paused_api_server_makes_quorate_deny_nothing_and_leave_nothing_unmutated_l34",
        &Row {
            tried: "the API server is stopped (SIGSTOP) for 20 s and goes on, under constant creates",
            amount: "once".to_owned(),
            result: format!(
                "{} created: 0 lost, 0 left unmutated by Quorate, 0 denied{}; {} whose webhook call the API server itself gave up, \
                 counted as pending",
                number(outcome.created),
                outcome.retried(),
                given_up.len(),
            ),
        },
    );
}

/// Asked at the webhook's port: the API server itself is in no state to ask. What rests on caches is judged as ever. What needs
/// a live read stands on the caches for as long as they can be relied on, and then is answered as policies say, since the API
/// server did not answer in time, and not since the time was over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_arrive_in_time_while_the_api_server_is_stopped_l34() {
    const TIMES: usize = 5;
    let ground = Ground::take();
    let builder = Quorate::builder(ground.cluster).policy(&policy("Allow")).policy(&policy("Deny"));
    let quorate = builder.start().unwrap();
    let allow = quorate.namespace("stopped-allow", &[("on-error", "allow")]).unwrap();
    let deny = quorate.namespace("stopped-deny", &[("on-error", "deny")]).unwrap();
    let good = quorate.namespace("stopped-good", &[("on-error", "deny")]).unwrap();
    assert!(admin(&ground, &["create"], &good, &service()).success());
    let ask = async |namespace: &str, dry_run| {
        let answer = review(&quorate, "/validate?timeout=3s", namespace, dry_run).await;
        answer["response"].clone()
    };
    // In a dry run nothing is read live, so that what it says is what is cached.
    for (namespace, cached) in [(&good, "null"), (&allow, "no Service"), (&deny, "no Service")] {
        while !ask(namespace, true).await["warnings"].to_string().contains(cached) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let stopped = Stopped::stop(ground.cluster.process("kube-apiserver").unwrap());
    for _ in 0..TIMES {
        let (good, allowed, denied) = tokio::join!(ask(&good, false), ask(&allow, false), ask(&deny, false));
        assert!(good["allowed"] == true && good["warnings"].is_null(), "{good:#}");
        // The caches were right a moment ago, and nobody may make live reads fail in order to be admitted (L132).
        for denied in [allowed, denied] {
            assert!(denied["allowed"] == false && denied["status"]["code"] == 403, "{denied:#}");
        }
    }
    // Until it has been silent for so long that they can't be relied on.
    tokio::time::sleep(Duration::from_secs(31)).await;
    for _ in 0..TIMES {
        let (good, allowed, denied) = tokio::join!(ask(&good, false), ask(&allow, false), ask(&deny, false));
        assert!(good["allowed"] == true && good["warnings"].is_null(), "{good:#}");
        let late = "the API server did not answer in time";
        assert!(allowed["allowed"] == true && allowed["warnings"].to_string().contains(late), "{allowed:#}");
        assert!(denied["allowed"] == false && denied["status"]["code"] == 500, "{denied:#}");
        assert!(denied["status"]["message"].to_string().contains(late), "{denied:#}");
    }
    drop(stopped);
    record(
        "reliability::api_server::answers_arrive_in_time_while_the_api_server_is_stopped_l34",
        &Row {
            tried: "reviews while the API server is stopped (SIGSTOP)",
            amount: format!("{TIMES} times three, twice"),
            result: "what rests on caches is judged; a denial that can't be confirmed stands for 30 s, and then is answered by \
                     `onInternalError`, `Allow` and `Deny`, before the deadline"
                .to_owned(),
        },
    );
}

/// Those of which the API server says that it went on without the mutating webhook.
fn failed_open(ground: &Ground, namespace: &str, names: &BTreeSet<String>) -> BTreeSet<String> {
    let failed_open = |name: &&String| {
        let events = ground.cluster.audit("statefulsets", namespace, name).unwrap();
        events.iter().any(|event| event["annotations"].to_string().contains("failed-open.mutation.webhook"))
    };
    names.iter().filter(failed_open).cloned().collect()
}

#[test]
fn etcd_restarts_under_constant_creates() {
    const TIMES: usize = 3;
    const OUTAGE: Duration = Duration::from_secs(3);
    let ground = Ground::take();
    let quorate = ground.quorate("etcd").start().unwrap();
    let load = Load::start(ground.cluster, &Ground::namespace(&quorate, "etcd"));
    let mut restarted: Option<Process> = None;
    for _ in 0..TIMES {
        let etcd = restarted.as_ref().unwrap_or_else(|| ground.cluster.process("etcd").unwrap());
        etcd.end().unwrap();
        std::thread::sleep(OUTAGE);
        restarted = Some(ground.cluster.start_again("etcd").unwrap());
        load.go_on();
    }
    healthy(&quorate);
    let result = load.end().complete();
    record(
        "reliability::api_server::etcd_restarts_under_constant_creates",
        &Row { tried: "etcd restarts under constant creates", amount: format!("{TIMES} restarts"), result },
    );
}
