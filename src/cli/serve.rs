//! `quorate serve`: puts the webhook together and runs it until it is told to end.

mod args;
mod background;
mod container;
mod limits;
mod wiring;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tracing::{error, info, warn};

pub(super) use args::Args;
use background::Background;
use wiring::{Parts, Server};

use crate::server::Signals;
use crate::telemetry::logs;

/// After so many turns of tasks, a thread looks for what came from the network: a namespace that keeps all threads busy must not
/// keep another's request from being seen (L141).
const EVENTS: u32 = 13;

/// How long the budget controller may take to give its Lease back once everything else has ended.
const LEAVE: Duration = Duration::from_secs(2);

/// Serves until a signal. An error is anything that keeps it from starting.
pub(super) fn run(args: Box<Args>) -> anyhow::Result<ExitCode> {
    let _logging = logs::start(args.log_format, &args.log)
        .with_context(|| format!("--log {} is no filter such as info or quorate=debug,kube=warn", args.log))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().event_interval(EVENTS).build()?;
    let result = runtime.block_on(serve(args));
    // A read from a hanging disk must not keep the process from ending.
    runtime.shutdown_background();
    result
}

async fn serve(args: Box<Args>) -> anyhow::Result<ExitCode> {
    let background = Background::default();
    let parts = Parts::gather(&args, &background.health).await?;
    let signals = Signals::listen()?;
    parts.report()?;
    let Server { webhook, admin, shutdown, connections, mut budgets_left } = parts.assemble(&args, &background)?;
    tokio::spawn(admin.serve());
    let webhook = tokio::spawn(webhook.serve());
    let told_twice = signals.handle(shutdown, connections, Arc::clone(&background.health), args.drain);
    let code = tokio::select! {
        ended = webhook => match ended {
            Ok(true) => { info!("every request was answered; bye"); ExitCode::SUCCESS }
            Ok(false) => { warn!("some requests took too long to wait for; bye"); ExitCode::SUCCESS }
            Err(failure) => { error!(%failure, "the webhook's port failed"); ExitCode::FAILURE }
        },
        () = told_twice => { warn!("ending at once, as told twice"); ExitCode::FAILURE }
    };
    // So that another replica need not wait for the Lease to run out.
    let _ = tokio::time::timeout(LEAVE, budgets_left.wait_for(|left| *left)).await;
    Ok(code)
}
