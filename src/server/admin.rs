//! The admin port's routes: `/livez`, `/readyz` and `/metrics`, answered as the API server answers its own.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use tokio::task::spawn_blocking;
use tracing::warn;

use super::Connections;
use crate::admission::Admission;
use crate::telemetry::{self, Health, Metrics};

/// What the routes show.
#[derive(Debug, Clone)]
pub struct Context {
    /// Shown by `/readyz`.
    pub health: Arc<Health>,
    /// Shown by `/metrics`.
    pub metrics: Arc<Metrics>,
    /// The webhook's connections, counted whenever `/metrics` is read.
    pub connections: Connections,
    /// Counts the active exemptions, likewise.
    pub admission: Arc<Admission>,
}

/// The routes.
pub fn router(context: Context) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(context)
}

/// `ok`, or 503 and every part with its state; with `?verbose` every part in any case.
async fn ready(State(context): State<Context>, RawQuery(query): RawQuery) -> Response {
    let ready = context.health.tell_readiness();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let verbose =
        query.is_some_and(|query| query.split('&').any(|pair| pair == "verbose" || pair.starts_with("verbose=")));
    if ready && !verbose {
        return (status, "ok").into_response();
    }
    (status, describe(&context.health, ready)).into_response()
}

fn describe(health: &Health, ready: bool) -> String {
    let mut text = String::new();
    for (part, state) in health.states() {
        // Writing to a String can't fail.
        let _ = match state {
            telemetry::State::Ok => writeln!(text, "[+]{part} ok"),
            telemetry::State::Degraded(reason) => writeln!(text, "[!]{part} degraded: {}", one_line(&reason)),
            telemetry::State::NotReady(reason) => writeln!(text, "[-]{part} not ready: {}", one_line(&reason)),
        };
    }
    text.push_str(if ready { "readyz check passed\n" } else { "readyz check failed\n" });
    text
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

async fn metrics(State(context): State<Context>) -> Response {
    context.metrics.connections_open(context.connections.open());
    context.metrics.health(&context.health);
    // It looks at everything that is cached: requests must not wait for that.
    if let Err(error) = spawn_blocking(move || context.admission.take_census(Timestamp::now())).await {
        warn!(%error, "the census failed; its gauges are old");
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], context.metrics.encode()).into_response()
}
