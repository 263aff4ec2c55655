//! What Quorate serves with and by is replaced under it.

use std::fs;
use std::process::Command;

use super::load::Load;
use super::record::{Row, record};
use super::{Ground, counted, metric, policy};
use crate::controlplane::webhooks::NAMESPACE;

const RELOADS: usize = 100;
const CERTIFICATES: usize = 20;

#[test]
fn policies_reload_a_hundred_times_under_constant_creates() {
    let ground = Ground::take();
    let quorate = ground.quorate("reload").start().unwrap();
    let load = Load::start(ground.cluster, &Ground::namespace(&quorate, "reload"));
    let reloads = r#"quorate_policy_reloads_total{result="success"}"#;
    for number in 0..RELOADS {
        let before = metric(&quorate, reloads).unwrap();
        let minimum = format!("minimum: {}", 3 + number % 2);
        fs::write(quorate.directory().join("policy-0.yaml"), policy("reload").replace("minimum: 2", &minimum)).unwrap();
        counted(&quorate, reloads, before);
    }
    let result = load.end().flawless();
    record(
        "reliability::serving::policies_reload_a_hundred_times_under_constant_creates",
        &Row { tried: "policy files change under constant creates", amount: format!("{RELOADS} reloads"), result },
    );
}

#[test]
fn certificate_files_are_renewed_under_constant_creates() {
    let ground = Ground::take();
    let quorate = ground.quorate("certificates").start().unwrap();
    let load = Load::start(ground.cluster, &Ground::namespace(&quorate, "certificates"));
    let reloads = r#"quorate_certificate_reloads_total{result="success"}"#;
    for _ in 0..CERTIFICATES {
        let before = metric(&quorate, reloads).unwrap();
        // By the CA that is there; one file after the other, as whoever copies them does.
        let made = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["certs", "--service", quorate.instance(), "--namespace", NAMESPACE, "--out"])
            .arg(quorate.directory())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        counted(&quorate, reloads, before);
    }
    let result = load.end().flawless();
    record(
        "reliability::serving::certificate_files_are_renewed_under_constant_creates",
        &Row {
            tried: "the serving certificate's files are renewed under constant creates",
            amount: format!("{CERTIFICATES} certificates"),
            result,
        },
    );
}
