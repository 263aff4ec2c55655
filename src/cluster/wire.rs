//! One request to the API server, of whose answer no more is held than is wanted.
//!
//! Nothing here takes memory in proportion to what a tenant stores (L132): an answer is sieved while it comes, and the connection
//! is dropped once there is too much of it.

use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::api::ListParams;
use kube::client::Body;
use kube::core::Request as Requests;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ReadError;
use super::sieve::{Shape, Sieve};

/// The most bytes of an object that matter: a StatefulSet of 1.5 MB in etcd, the most there can be, may have six bytes of JSON
/// for each of its own.
const LONGEST_OBJECT: usize = 10 << 20;

/// The most bytes of an element of a list that matter.
const LONGEST_ITEM: usize = 64 << 10;

/// The most bytes of an answer about one object.
const MOST_OF_AN_OBJECT: usize = 16 << 20;

/// The most bytes of the list of a collection, on all its pages.
const MOST_OF_A_LIST: usize = 8 << 20;

/// Of an object, what facts may come from.
pub(super) static OBJECT: Shape = Shape::Fields(|key| match key {
    "metadata" => &METADATA,
    _ => &Shape::All,
});

/// An autoscaler has its ballast in its metrics.
static AUTOSCALER: Shape = Shape::Fields(|key| match key {
    "metadata" => &METADATA,
    "spec" | "status" => &SCALING,
    _ => &Shape::All,
});

/// Most of a Node is its status.
static NODE: Shape = Shape::Fields(|key| match key {
    "metadata" => &METADATA,
    "status" => &Shape::Nothing,
    _ => &Shape::All,
});

static METADATA: Shape = Shape::Fields(|key| match key {
    "managedFields" => &Shape::Nothing,
    "annotations" => &ANNOTATIONS,
    _ => &Shape::All,
});

static ANNOTATIONS: Shape =
    Shape::Fields(|key| if key.starts_with("quorate.dev/") { &Shape::All } else { &Shape::Nothing });

static SCALING: Shape = Shape::Fields(|key| match key {
    "metrics" | "behavior" | "currentMetrics" => &Shape::Nothing,
    _ => &Shape::All,
});

/// A list of objects.
pub(super) static OBJECTS: Shape = Shape::Fields(|key| match key {
    "metadata" => &Shape::All,
    "items" => const { &Shape::Items(&OBJECT) },
    _ => &Shape::Nothing,
});

/// A list of autoscalers.
pub(super) static AUTOSCALERS: Shape = Shape::Fields(|key| match key {
    "metadata" => &Shape::All,
    "items" => const { &Shape::Items(&AUTOSCALER) },
    _ => &Shape::Nothing,
});

/// A list of Nodes.
pub(super) static NODES: Shape = Shape::Fields(|key| match key {
    "metadata" => &Shape::All,
    "items" => const { &Shape::Items(&NODE) },
    _ => &Shape::Nothing,
});

/// Of a list of metadata, what tells objects apart and who owns them.
pub(super) static HEADS: Shape = Shape::Fields(|key| match key {
    "metadata" => &Shape::All,
    "items" => const { &Shape::Items(&HEAD) },
    _ => &Shape::Nothing,
});

static HEAD: Shape = Shape::Fields(|key| if key == "metadata" { &HEAD_METADATA } else { &Shape::Nothing });

static HEAD_METADATA: Shape = Shape::Fields(|key| match key {
    "name" | "resourceVersion" | "ownerReferences" | "deletionTimestamp" => &Shape::All,
    _ => &Shape::Nothing,
});

/// Of a list of pods' metadata, what tells whose they are.
pub(super) static PODS: Shape = Shape::Fields(|key| match key {
    "metadata" => &Shape::All,
    "items" => const { &Shape::Items(&POD) },
    _ => &Shape::Nothing,
});

static POD: Shape = Shape::Fields(|key| if key == "metadata" { &POD_METADATA } else { &Shape::Nothing });

static POD_METADATA: Shape = Shape::Fields(|key| match key {
    "name" | "labels" | "ownerReferences" => &Shape::All,
    _ => &Shape::Nothing,
});

/// Of a Table, its rows.
pub(super) static ROWS: Shape = Shape::Fields(|key| match key {
    "metadata" => &Shape::All,
    "rows" => const { &Shape::Items(&ROW) },
    _ => &Shape::Nothing,
});

static ROW: Shape = Shape::Fields(|key| if key == "cells" { &Shape::All } else { &Shape::Nothing });

/// What is left of a list when its items are gone.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Around {
    metadata: ListMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// How much of a list may still come.
#[derive(Debug)]
pub(super) struct Allowance(usize);

impl Allowance {
    /// As much as comes, where nobody waits for it: no more of it is held at once than one item.
    pub(super) fn of_any_length() -> Self {
        Self(usize::MAX)
    }

    /// How many more items fit into it, if they are as long as those that have come.
    pub(super) fn items(&self, come: usize) -> usize {
        let length = (MOST_OF_A_LIST - self.0.min(MOST_OF_A_LIST)) / come.max(1);
        self.0 / length.max(1)
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Self(MOST_OF_A_LIST)
    }
}

/// An object as it is now, or that there is none.
pub(super) async fn object<F: DeserializeOwned>(
    client: &Client,
    request: Request<Vec<u8>>,
    shape: &'static Shape,
) -> Result<Option<F>, ReadError> {
    let mut sieve = Sieve::new(shape, LONGEST_OBJECT);
    match receive(client, request, &mut sieve, &mut Allowance(MOST_OF_AN_OBJECT), |_| Ok(())).await {
        Err(ReadError::Status(StatusCode::NOT_FOUND)) => Ok(None),
        Err(error) => Err(error),
        Ok(()) => Ok(Some(decode(&sieve.finish()?)?)),
    }
}

/// The object of a name as it is now, or that there is none: found by a list, which needs no right but to list.
pub(super) async fn listed<F: DeserializeOwned>(
    client: &Client,
    path: &str,
    name: &str,
    list: &'static Shape,
) -> Result<Option<F>, ReadError> {
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let request = Requests::new(path).list(&params).map_err(ReadError::request)?;
    let (mut sieve, mut found) = (Sieve::new(list, LONGEST_OBJECT), None);
    receive(client, request, &mut sieve, &mut Allowance(MOST_OF_AN_OBJECT), |text| {
        found = Some(decode(text)?);
        Ok(())
    })
    .await?;
    sieve.finish()?;
    Ok(found)
}

/// One page of a list, item by item; where the next one begins.
pub(super) async fn page<I: DeserializeOwned>(
    client: &Client,
    request: Request<Vec<u8>>,
    shape: &'static Shape,
    allowance: &mut Allowance,
    item: impl FnMut(I) -> Result<(), ReadError>,
) -> Result<Option<String>, ReadError> {
    page_through(client, request, Sieve::new(shape, LONGEST_ITEM), allowance, item).await
}

/// The same of a list in which each item may be as long as an object.
pub(super) async fn page_of_objects<I: DeserializeOwned>(
    client: &Client,
    request: Request<Vec<u8>>,
    shape: &'static Shape,
    item: impl FnMut(I) -> Result<(), ReadError>,
) -> Result<Option<String>, ReadError> {
    page_through(client, request, Sieve::new(shape, LONGEST_OBJECT), &mut Allowance::of_any_length(), item).await
}

async fn page_through<I: DeserializeOwned>(
    client: &Client,
    request: Request<Vec<u8>>,
    mut sieve: Sieve,
    allowance: &mut Allowance,
    mut item: impl FnMut(I) -> Result<(), ReadError>,
) -> Result<Option<String>, ReadError> {
    receive(client, request, &mut sieve, allowance, |text| item(decode(text)?)).await?;
    let around: Around = decode(&sieve.finish()?)?;
    Ok(around.metadata.next.filter(|next| !next.is_empty()))
}

async fn receive(
    client: &Client,
    request: Request<Vec<u8>>,
    sieve: &mut Sieve,
    allowance: &mut Allowance,
    mut item: impl FnMut(&[u8]) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let response = client.send(request.map(Body::from)).await?;
    let status = response.status();
    let mut body = response.into_body();
    if !status.is_success() {
        // Read to its end, a connection can be used again.
        while let Some(Ok(piece)) = body.frame().await {
            let length = piece.data_ref().map_or(0, bytes::Bytes::len);
            allowance.0 = allowance.0.checked_sub(length).ok_or(ReadError::TooMuch)?;
        }
        return Err(ReadError::Status(status));
    }
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        allowance.0 = allowance.0.checked_sub(piece.len()).ok_or(ReadError::TooMuch)?;
        let mut result = Ok(());
        sieve.push(&piece, |text| {
            if result.is_ok() {
                result = item(text);
            }
        })?;
        result?;
    }
    Ok(())
}

fn decode<F: DeserializeOwned>(text: &[u8]) -> Result<F, ReadError> {
    serde_json::from_slice(text).map_err(|error| ReadError::Decode(std::sync::Arc::new(error)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sieved(shape: &'static Shape, object: &Value) -> (Vec<Value>, Value) {
        let (mut sieve, mut items) = (Sieve::new(shape, 1000), Vec::new());
        sieve.push(object.to_string().as_bytes(), |item| items.push(serde_json::from_slice(item).unwrap())).unwrap();
        (items, serde_json::from_slice(&sieve.finish().unwrap()).unwrap())
    }

    #[test]
    fn a_list_of_heads_holds_names_and_versions_l132() {
        let ballast = "x".repeat(10_000);
        let metadata =
            json!({"name": "db", "resourceVersion": "7", "annotations": {"a": ballast}, "managedFields": [ballast]});
        let list = json!({"kind": "PartialObjectMetadataList", "metadata": {"continue": "next"}, "items": [{"metadata": metadata}]});
        let (items, around) = sieved(&HEADS, &list);
        assert_eq!(items, [json!({"metadata": {"name": "db", "resourceVersion": "7"}})]);
        assert_eq!(around, json!({"metadata": {"continue": "next"}}));
    }

    #[test]
    fn of_a_pod_its_labels_and_owner_are_kept_l132() {
        let ballast = "x".repeat(10_000);
        let owner = json!([{"kind": "Job", "name": "j", "uid": "1", "controller": true}]);
        let metadata = json!({
            "name": "db-0", "labels": {"app": "db"}, "ownerReferences": owner,
            "annotations": {"a": ballast}, "managedFields": [ballast], "finalizers": [ballast],
        });
        let list = json!({"metadata": {}, "items": [{"metadata": metadata}]});
        let expected = json!({"metadata": {"name": "db-0", "labels": {"app": "db"}, "ownerReferences": owner}});
        assert_eq!(sieved(&PODS, &list).0, [expected]);
    }

    #[test]
    fn of_an_autoscaler_all_is_kept_but_ballast() {
        let ballast = "x".repeat(10_000);
        let autoscaler = json!({
            "metadata": {"name": "db", "annotations": {"quorate.dev/exempt": "replicas", "note": ballast}, "managedFields": [ballast]},
            "spec": {"minReplicas": 3, "metrics": [ballast], "behavior": {"scaleUp": ballast}},
            "status": {"conditions": [], "currentMetrics": [ballast]},
        });
        let expected = json!({
            "metadata": {"name": "db", "annotations": {"quorate.dev/exempt": "replicas"}},
            "spec": {"minReplicas": 3}, "status": {"conditions": []},
        });
        assert_eq!(sieved(&AUTOSCALER, &autoscaler).1, expected);
    }
}
