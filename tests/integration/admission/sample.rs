//! A sample of the random StatefulSets that the property tests make, through the real API server.

use anyhow::{Context, Result, bail, ensure};
use http::Request;
use kube::Client;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::is_injected;
use crate::controlplane::{Quorate, shared};
use crate::generate;
use crate::mutation::{prune_empty, without_injection};

const SEED: [u8; 32] = *b"quorate: a sample of StatefulSet";

/// The API server accepts one in four of them.
const SAMPLE: usize = 600;

/// A policy that only mutates, for namespaces labelled `sample: <name>`.
fn policy(name: &str, terms: &Value, user_terms: &str) -> String {
    json!({
        "apiVersion": "quorate.dev/v1alpha1",
        "kind": "AvailabilityPolicy",
        "metadata": {"name": name},
        "spec": {
            "match": {"namespaceSelector": {"matchLabels": {"sample": name}}},
            "mutate": {"podAntiAffinity": terms, "userTerms": user_terms},
        },
    })
    .to_string()
}

/// L3, L6, L7: what the API server accepts it accepts with Quorate too; nothing is different then but the injection, and a
/// second mutation adds nothing.
#[tokio::test]
async fn what_the_api_server_accepts_it_accepts_with_quorate_too_l3_l6_l7() {
    let cluster = shared();
    let hostname = |mode: &str| json!({"topologyKey": "kubernetes.io/hostname", "mode": mode});
    let zone = |mode: &str| json!({"topologyKey": "topology.kubernetes.io/zone", "mode": mode});
    let rack = |mode: &str| json!({"topologyKey": "example.com/rack", "mode": mode});
    let quorate = Quorate::builder(cluster)
        .policy(&policy("hard", &json!([hostname("Required"), zone("Preferred")]), "Append"))
        .policy(&policy("soft", &json!([hostname("Preferred"), rack("Preferred")]), "Append"))
        .policy(&policy("left", &json!([rack("Required"), zone("Required"), hostname("Preferred")]), "Leave"))
        .start()
        .unwrap();
    let governed =
        ["hard", "soft", "left"].map(|name| quorate.namespace(&format!("sample-{name}"), &[("sample", name)]).unwrap());
    let plain = cluster.namespace("sample-plain", &[]).unwrap();
    let client = cluster.client().await.unwrap();

    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &SEED);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut accepted, mut injected) = (0, 0);
    for number in 0..SAMPLE {
        let object = generate::statefulset().new_tree(&mut runner).unwrap().current();
        let Ok(without) = create(&client, &plain, &object).await else { continue };
        accepted += 1;
        let namespace = &governed[number % governed.len()];
        let checked = check(&client, namespace, &object, without).await;
        injected += usize::from(
            checked.unwrap_or_else(|error| panic!("object {number} of the seed {SEED:?}: {error:#}\n{object:#}")),
        );
    }
    // A sample of nothing would prove nothing.
    assert!(accepted >= SAMPLE / 6, "the API server accepts but {accepted} of {SAMPLE}");
    assert!(injected >= accepted / 2, "but {injected} of {accepted} were injected into");
}

/// Whether something was injected.
async fn check(client: &Client, namespace: &str, object: &Value, without: Value) -> Result<bool> {
    let once = create(client, namespace, object).await.context("not accepted with Quorate")?;
    let mut again = once.clone();
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
        again["metadata"].as_object_mut().context("no metadata")?.remove(field);
    }
    let twice = create(client, namespace, &again).await.context("its own result is not accepted")?;
    ensure!(twice["spec"] == once["spec"], "a second mutation made {:#}", twice["spec"]);
    let injected = is_injected(&once);
    let (mut before, mut after) = (without, without_injection(once));
    for side in [&mut before, &mut after] {
        prune_empty(side);
    }
    if before["spec"] != after["spec"] {
        bail!("beside the injection, {:#} became {:#}", before["spec"], after["spec"]);
    }
    ensure!(before["metadata"]["annotations"] == after["metadata"]["annotations"], "annotations: {after:#}");
    Ok(injected)
}

/// The object as the API server would store it. The bytes are sent as they are: a typed client would drop what is odd.
async fn create(client: &Client, namespace: &str, object: &Value) -> kube::Result<Value> {
    let mut object = object.clone();
    object["metadata"].as_object_mut().map(|metadata| metadata.remove("namespace"));
    let path = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets?dryRun=All");
    let request = Request::post(path).header("content-type", "application/json");
    client.request(request.body(object.to_string().into_bytes()).map_err(kube::Error::HttpError)?).await
}
