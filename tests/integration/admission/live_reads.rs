//! An API server that no longer answers Quorate while it still asks: decisions come in time all the same.
//!
//! The API server can't be made to do so; a proxy that stops forwarding between Quorate and it stands for that.

use std::net::SocketAddr;

use anyhow::ensure;
use axum::body::Body;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use super::{is_denied, kubectl, service, statefulset, with};
use crate::controlplane::proxy::Proxy;
use crate::controlplane::{Quorate, shared, wait_for};
use crate::server::{dial, soon, text};

/// Two policies, each of which denies a missing Service; they differ in what is to be done where that can't be found out.
pub(crate) fn policy(on_internal_error: &str) -> String {
    let name = on_internal_error.to_lowercase();
    format!(
        "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: {{ name: {name} }}
spec:
  match: {{ namespaceSelector: {{ matchLabels: {{ on-error: {name} }} }} }}
  validate: {{ headlessService: {{ action: Deny }} }}
  onInternalError: {on_internal_error}
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_comes_in_time_where_a_live_read_hangs_l1_l34() {
    let cluster = shared();
    let proxy = Proxy::before(&cluster.server()).unwrap();
    let quorate = Quorate::builder(cluster)
        .policy(&policy("Allow"))
        .policy(&policy("Deny"))
        .api_server(&format!("https://{}", proxy.address()))
        .start()
        .unwrap();
    let allow = quorate.namespace("l1-allow", &[("on-error", "allow")]).unwrap();
    let deny = quorate.namespace("l1-deny", &[("on-error", "deny")]).unwrap();
    super::apply(&deny, &with(service(), "/metadata/name", json!("there")));
    for namespace in [&allow, &deny] {
        let denied = kubectl(&["apply"], namespace, &statefulset(2));
        assert!(is_denied(&denied, "names no Service"), "{denied}");
    }
    let good = with(with(statefulset(2), "/spec/serviceName", json!("there")), "/metadata/name", json!("good"));
    // In a dry run nothing is read live: what is not in the cache yet is a warning.
    wait_for("the Service to be in the cache", || {
        let admitted = kubectl(&["apply", "--dry-run=server"], &deny, &good);
        ensure!(admitted.success() && admitted.stderr.is_empty(), "{admitted}");
        Ok(())
    })
    .unwrap();

    proxy.silence(true);
    // Called as the API server would, with so little time that it is over before that of live reads is. The caches were right a
    // moment ago: the denial stands (L132).
    let answer = review(&quorate, "/validate?timeout=1s", &allow, false).await;
    assert_eq!(answer["response"]["allowed"], false, "{answer:#}");
    assert_eq!(answer["response"]["status"]["code"], 403, "{answer:#}");
    // After 30 s of silence they can't be relied on.
    tokio::time::sleep(std::time::Duration::from_secs(31)).await;
    let answer = review(&quorate, "/validate?timeout=1s", &deny, false).await;
    assert_eq!(answer["response"]["status"]["code"], 500, "{answer:#}");

    // Through the API server, which would report a timeout itself after the three seconds it gives.
    let denied = kubectl(&["apply"], &deny, &statefulset(2));
    assert!(!denied.success(), "{denied}");
    assert!(denied.stderr.contains("InternalError") && denied.stderr.contains("onInternalError: Deny"), "{denied}");
    let admitted = kubectl(&["apply"], &allow, &statefulset(2));
    assert!(admitted.success(), "{admitted}");
    assert!(admitted.stderr.contains("Warning: Quorate could not judge this"), "{admitted}");
    // What nothing is wrong with rests on the cache alone.
    let admitted = kubectl(&["apply"], &deny, &good);
    assert!(admitted.success() && admitted.stderr.is_empty(), "{admitted}");
    let (status, body) = quorate.admin("/readyz?verbose").unwrap();
    assert_eq!(status, 200, "an API server that does not answer makes nobody unready: {body}");

    proxy.silence(false);
    wait_for("a denial", || {
        let denied = kubectl(&["apply"], &deny, &statefulset(2));
        ensure!(is_denied(&denied, "names no Service"), "{denied}");
        Ok(())
    })
    .unwrap();
}

/// What the webhook answers about a StatefulSet without its Service.
pub(crate) async fn review(quorate: &Quorate<'_>, path: &str, namespace: &str, dry_run: bool) -> Value {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "7e6f3c1c",
            "operation": "CREATE",
            "namespace": namespace,
            "name": "db",
            "dryRun": dry_run,
            "kind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
            "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
            "userInfo": {"username": "ada"},
            "object": statefulset(2),
        },
    });
    let address = SocketAddr::from(([127, 0, 0, 1], quorate.port()));
    let stream = soon(dial(address, &quorate.directory().join("ca.pem"), &["http/1.1"])).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(path).header("host", "localhost").header("content-type", "application/json");
    let response = soon(sender.send_request(request.body(Body::from(review.to_string())).unwrap())).await.unwrap();
    serde_json::from_str(&text(response).await).unwrap()
}
