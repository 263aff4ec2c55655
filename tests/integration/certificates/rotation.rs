//! The CA is renewed three times under load.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::balancer::balance;
use super::clients::Clients;
use super::*;

/// L41, L42: lives so short that three CAs come to two thirds of theirs while clients work without a pause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_the_ca_is_rotated_three_times_l41_l42() {
    const ROTATIONS: usize = 3;
    let stage = stage();
    let cluster = stage.cluster;
    let replicas =
        tokio::task::block_in_place(|| replicas(cluster, &["--ca-validity", "90s", "--certificate-validity", "60s"]));
    let ports: Vec<_> = replicas.iter().map(Quorate::port).collect();
    let balanced = balance(ports.clone()).await;
    let namespace = tokio::task::block_in_place(|| {
        register(cluster, balanced);
        cluster.namespace("rotation", &[]).unwrap()
    });
    let clients = Clients::start(cluster, &namespace, balanced, &ports).await;

    let (started, mut authorities, mut leaves, mut bundles) = (Instant::now(), Vec::new(), BTreeSet::new(), 0);
    let deadline = started + Duration::from_mins(10);
    tokio::task::block_in_place(|| {
        loop {
            let authority = secret(cluster, "quorate-ca", "tls.crt").unwrap();
            if authorities.last() != Some(&authority) {
                authorities.push(authority.clone());
            }
            let [leaf, signer] = ["tls.crt", "ca.crt"].map(|key| secret(cluster, "quorate-tls", key).unwrap());
            leaves.insert(leaf);
            bundles = bundles.max(count(&secret(cluster, "quorate-ca", "ca.crt").unwrap()));
            if authorities.len() > ROTATIONS && signer == authority {
                break;
            }
            assert!(Instant::now() < deadline, "{} CAs after {:?}", authorities.len(), started.elapsed());
            std::thread::sleep(Duration::from_millis(500));
        }
        // Every replica serves what the last CA signed.
        for replica in &replicas {
            wait_for("a replica to serve the last certificate", || {
                let metrics = replica.metrics()?;
                let reloads = r#"quorate_certificate_reloads_total{result="success"} "#;
                let reloads = metrics.lines().find_map(|line| line.strip_prefix(reloads)).context("no such metric")?;
                ensure!(reloads.parse::<usize>()? >= leaves.len(), "{reloads} of {}", leaves.len());
                Ok(())
            })
            .unwrap();
        }
    });
    let took = started.elapsed();
    let seen = std::sync::Arc::clone(&clients.seen);
    let failed = clients.end().await;
    let [reconnecting, keeping, creating] =
        [&seen.reconnecting, &seen.keeping, &seen.creating].map(|counter| counter.load(Ordering::SeqCst));
    println!(
        "{ROTATIONS} rotations of the CA and {} serving certificates in {took:?}: {reconnecting} requests on connections of \
         their own, {keeping} on kept connections, {creating} creates through the API server; {} failed",
        leaves.len(),
        failed.len()
    );
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(reconnecting > 100 && keeping > 100 && creating > 100);
    assert!(bundles >= 2, "former CAs are kept");
}
