//! `quorate serve`: wires the webhook together and runs it until it is told to end.

mod args;
mod wiring;

use std::process::ExitCode;

use anyhow::Context as _;
use tracing::{error, info, warn};

pub(super) use args::Args;
use wiring::Wiring;

use crate::server::Signals;
use crate::telemetry::logs;

/// Serves until a signal. An error is anything that keeps it from starting.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    logs::start(args.log_format, &args.log).with_context(|| format!("--log {}", args.log))?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(args))
}

async fn serve(args: Args) -> anyhow::Result<ExitCode> {
    let signals = Signals::listen()?;
    let wiring = Wiring::start(&args).await?;
    let Wiring { webhook, admin, shutdown, connections, health } = wiring;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        webhook = %webhook.listener.local_addr()?,
        admin = %admin.listener.local_addr()?,
        "listening"
    );
    tokio::spawn(admin.serve());
    let webhook = tokio::spawn(webhook.serve());
    let interrupted = signals.handle(shutdown, connections, health, args.drain);
    Ok(tokio::select! {
        ended = webhook => match ended {
            Ok(true) => { info!("every request was answered; bye"); ExitCode::SUCCESS }
            Ok(false) => { warn!("some requests took too long to wait for; bye"); ExitCode::SUCCESS }
            Err(failure) => { error!(%failure, "the webhook's port failed"); ExitCode::FAILURE }
        },
        () = interrupted => { warn!("ending at once, as told twice"); ExitCode::FAILURE }
    })
}
