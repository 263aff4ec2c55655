//! Replicas end: in good order, and by SIGKILL.

use std::net::SocketAddr;

use anyhow::ensure;
use serde_json::{Value, json};

use super::load::Load;
use super::record::{Row, number, record};
use super::{Ground, healthy, metric};
use crate::controlplane::proxy::Proxy;
use crate::controlplane::{ControlPlane, Quorate, wait_for};

const PENDING: &str = "quorate_pending_injections";

/// L30: SIGTERM comes first, then the endpoint goes; the replica drains in between, and comes back when it is ready.
#[test]
fn three_replicas_restart_one_after_another_under_constant_creates_l30() {
    let ground = Ground::take();
    let start = || ground.quorate("rolling").argument("--drain").argument("8s");
    let first = start().unregistered().start().unwrap();
    let others = [(); 2].map(|()| start().replica_of(&first).start().unwrap());
    let service = Proxy::start(&[address(&first)]).unwrap();
    first.register_behind(service.address().port()).unwrap();
    let namespace = Ground::namespace(&first, "rolling");
    let mut replicas: Vec<Quorate<'_>> = [first].into_iter().chain(others).collect();
    let endpoints = |replicas: &[Quorate<'_>]| replicas.iter().map(address).collect::<Vec<_>>();
    service.point_at(&endpoints(&replicas));

    let load = Load::start(ground.cluster, &namespace);
    for _ in 0..replicas.len() {
        let mut leaving = replicas.remove(0);
        leaving.process().signal("TERM").unwrap();
        load.go_on();
        service.point_at(&endpoints(&replicas));
        assert!(leaving.process().wait().unwrap().success());
        load.go_on();
        leaving.start_again().unwrap();
        replicas.push(leaving);
        service.point_at(&endpoints(&replicas));
        load.go_on();
    }
    let result = load.end().flawless();
    record(
        "reliability::replicas::three_replicas_restart_one_after_another_under_constant_creates_l30",
        &Row {
            tried: "three replicas behind a Service restart one after another (SIGTERM) under constant creates",
            amount: "3 restarts".to_owned(),
            result,
        },
    );
}

/// L24: with `Ignore`, what is created meanwhile is stored without an injection, for ever; so it has to be told.
#[test]
fn what_was_created_while_quorate_was_killed_is_pending_and_nothing_is_denied_l24() {
    let ground = Ground::take();
    let mut quorate = ground.quorate("killed").start().unwrap();
    ignore_failures(ground.cluster, &quorate);
    let namespace = Ground::namespace(&quorate, "killed");
    let load = Load::start(ground.cluster, &namespace);
    assert!(metric(&quorate, PENDING).unwrap() < 1.0);
    quorate.kill().unwrap();
    for _ in 0..3 {
        load.go_on();
    }
    quorate.start_again().unwrap();
    for _ in 0..3 {
        load.go_on();
    }
    let outcome = load.end();
    let pending = outcome.unmutated.len();
    assert!(pending > 0, "none was created meanwhile");
    assert!(pending < outcome.created, "none was created before or after");
    wait_for("those to be counted", || {
        #[expect(clippy::cast_precision_loss, reason = "there are not that many")]
        let expected = pending as f64;
        let counted = metric(&quorate, PENDING)?;
        ensure!((counted - expected).abs() < 0.5, "{counted} are pending, of {pending}");
        Ok(())
    })
    .unwrap();
    healthy(&quorate);
    record(
        "reliability::replicas::what_was_created_while_quorate_was_killed_is_pending_and_nothing_is_denied_l24",
        &Row {
            tried: "the only replica is killed (SIGKILL) under constant creates, all webhooks `Ignore`",
            amount: "once".to_owned(),
            result: format!(
                "{} created: 0 lost, 0 denied{}; the {} created meanwhile are those that `{PENDING}` counts",
                number(outcome.created),
                outcome.retried(),
                number(pending),
            ),
        },
    );
}

fn address(quorate: &Quorate<'_>) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], quorate.port()))
}

/// Lets everything through that the instance does not answer, and waits until the API server knows.
pub(super) fn ignore_failures(cluster: &ControlPlane, quorate: &Quorate<'_>) {
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let name = format!("quorate-{}", quorate.instance());
        let configuration = cluster.kubectl(&["get", kind, &name, "-o", "json"]).json().unwrap();
        let paths = (0..configuration["webhooks"].as_array().unwrap().len())
            .map(|at| json!({"op": "replace", "path": format!("/webhooks/{at}/failurePolicy"), "value": "Ignore"}));
        let patch = Value::Array(paths.collect()).to_string();
        cluster.kubectl(&["patch", kind, &name, "--type=json", "-p", &patch]).ok().unwrap();
    }
    cluster.settle_webhooks().unwrap();
}
