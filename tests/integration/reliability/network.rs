//! The network between Quorate and the API server breaks, while the API server goes on asking.

use std::time::Duration;

use anyhow::ensure;

use super::load::Load;
use super::record::{Row, number, record};
use super::{Ground, healthy, metric};
use crate::controlplane::proxy::Proxy;
use crate::controlplane::wait_for;

const CUTS: usize = 20;

#[test]
fn watches_are_cut_under_constant_creates() {
    let ground = Ground::take();
    let network = Proxy::before(&ground.cluster.server()).unwrap();
    let server = format!("https://{}", network.address());
    let quorate = ground.quorate("cut").api_server(&server).start().unwrap();
    let load = Load::start(ground.cluster, &Ground::namespace(&quorate, "cut"));
    let mut connections = 0;
    for _ in 0..CUTS {
        connections += network.cut();
        load.go_on();
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(connections > CUTS, "there was hardly anything to cut: {connections}");
    healthy(&quorate);
    let result = load.end().flawless();
    record(
        "reliability::network::watches_are_cut_under_constant_creates",
        &Row {
            tried: "the connections between Quorate and the API server are cut under constant creates",
            amount: format!("{CUTS} times, {} connections", number(connections)),
            result,
        },
    );
}

/// A connection that is dead without a word is noticed in bounded time, and shows; readiness is kept, and caches answer.
#[test]
fn a_silent_network_shows_and_changes_no_verdict_l34() {
    let ground = Ground::take();
    let network = Proxy::before(&ground.cluster.server()).unwrap();
    let server = format!("https://{}", network.address());
    let quorate = ground.quorate("silent").api_server(&server).start().unwrap();
    let load = Load::start(ground.cluster, &Ground::namespace(&quorate, "silent"));
    network.silence(true);
    wait_for("the silence to be noticed", || {
        let (status, body) = quorate.admin("/readyz?verbose")?;
        assert_eq!(status, 200, "ready all the same: {body}");
        let degraded = body.lines().filter(|line| line.starts_with("[!]cache-")).count();
        ensure!(degraded == quorate::cluster::Kind::ALL.len(), "{body}");
        Ok(())
    })
    .unwrap();
    let silence = metric(&quorate, r#"quorate_cache_silence_seconds{cache="cache-nodes"}"#).unwrap();
    assert!(silence >= 25.0, "it shows: {silence}");
    load.go_on();
    network.silence(false);
    healthy(&quorate);
    let silence = metric(&quorate, r#"quorate_cache_silence_seconds{cache="cache-nodes"}"#).unwrap();
    let result = load.end().flawless();
    assert!(silence < 60.0, "it is over: {silence}");
    record(
        "reliability::network::a_silent_network_shows_and_changes_no_verdict_l34",
        &Row {
            tried: "the network between Quorate and the API server falls silent under constant creates",
            amount: "until every cache says that it is stale".to_owned(),
            result,
        },
    );
}
