//! What stands for an API server: it lists so many objects of each kind, and then says nothing more. The real one takes
//! minutes to be filled; the caches are Quorate's own.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tempfile::TempPath;

use super::body;

/// How many objects there are.
#[derive(Debug, Clone)]
pub(crate) struct Size {
    pub(crate) namespaces: usize,
    pub(crate) statefulsets: usize,
    pub(crate) services: usize,
    pub(crate) budgets: usize,
    pub(crate) nodes: usize,
}

impl Size {
    /// The request's own Namespace and Service.
    pub(crate) const EMPTY: Self = Self { namespaces: 100, statefulsets: 0, services: 0, budgets: 0, nodes: 0 };
    /// What bodies are measured beside.
    pub(crate) const SERVICES: Self = Self { services: 5_000, ..Self::EMPTY };
    /// The large cluster of the budgets.
    pub(crate) const LARGE: Self =
        Self { namespaces: 100, statefulsets: 5_000, services: 20_000, budgets: 5_000, nodes: 5_000 };
}

/// Serves it on loopback for as long as the process lives; a kubeconfig for it.
pub(crate) async fn serve(size: &Size) -> TempPath {
    let lists = Arc::new(lists(size));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/{*path}", axum::routing::get(answer)).with_state(lists);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "clusters": [{"name": "bench", "cluster": {"server": server}}],
        "users": [{"name": "bench", "user": {}}],
    });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, kubeconfig.to_string().as_bytes()).unwrap();
    file.into_temp_path()
}

async fn answer(
    State(lists): State<Arc<HashMap<&'static str, String>>>,
    Path(path): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    if query.contains_key("watch") {
        let nothing = futures::stream::pending::<Result<bytes::Bytes, std::convert::Infallible>>();
        return axum::body::Body::from_stream(nothing).into_response();
    }
    let kind = path.rsplit('/').next().unwrap_or_default();
    let empty = json!({"metadata": {"resourceVersion": "1"}, "items": []}).to_string();
    ([("content-type", "application/json")], lists.get(kind).cloned().unwrap_or(empty)).into_response()
}

fn lists(size: &Size) -> HashMap<&'static str, String> {
    let own = json!({"metadata": {"name": "db", "namespace": "shop-7"}, "spec": {"clusterIP": "None", "selector": {"app": "db"}}});
    let counts = [
        ("services", size.services),
        ("statefulsets", size.statefulsets),
        ("poddisruptionbudgets", size.budgets),
        ("nodes", size.nodes),
        ("namespaces", size.namespaces),
    ];
    let list = |(kind, count): (&'static str, usize)| {
        let own = (kind == "services").then(|| own.clone());
        let items: Vec<_> = (0..count).map(|number| object(kind, number, size.namespaces)).chain(own).collect();
        (kind, json!({"metadata": {"resourceVersion": "1"}, "items": items}).to_string())
    };
    counts.map(list).into()
}

/// One of the objects of a kind, which is named as in paths; they are spread over so many namespaces.
pub(crate) fn object(kind: &str, number: usize, namespaces: usize) -> Value {
    let namespace = format!("shop-{}", number % namespaces);
    let name = format!("db-{number}");
    let metadata = json!({"name": name, "namespace": namespace, "labels": {"app": name}});
    match kind {
        "services" => {
            json!({"metadata": metadata, "spec": {"clusterIP": "None", "selector": {"app": name}, "ports": [{"port": 5432}]}})
        }
        "statefulsets" => {
            let mut statefulset = body::statefulset("db:1", true);
            statefulset["metadata"]["name"] = json!(name);
            statefulset["metadata"]["namespace"] = json!(namespace);
            statefulset
        }
        "poddisruptionbudgets" => {
            json!({"metadata": metadata, "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": name}}}})
        }
        "nodes" => json!({
            "metadata": {"name": format!("node-{number}"), "labels": {
                "kubernetes.io/hostname": format!("node-{number}"),
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": format!("zone-{}", number % 3),
            }},
            "spec": {},
        }),
        "namespaces" => {
            json!({"metadata": {"name": namespace, "labels": {"kubernetes.io/metadata.name": namespace, "environment": "production"}}})
        }
        kind => panic!("there are no {kind}"),
    }
}
