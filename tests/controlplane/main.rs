//! A control plane with Quorate in front, to try things out (`up`, which is `make cluster`) and to be shown what Quorate
//! does (`demo`, which is `make demo`).

#[path = "mod.rs"]
mod controlplane;
mod demo;

use std::io::{IsTerminal, stdout};
use std::mem::ManuallyDrop;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use controlplane::run::Run;
use controlplane::{ControlPlane, Quorate};

/// A real Kubernetes control plane on this machine, with Quorate in front of it.
#[derive(Debug, Parser)]
#[command(name = "controlplane")]
enum Command {
    /// Starts one, and ends it on Ctrl-C.
    Up,
    /// Shows with kubectl what Quorate does, and checks that it does.
    Demo,
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let command = Command::parse();
    match run(&command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    let run = Run::new()?;
    end_on_signals(Arc::clone(&run))?;
    let result = with_cluster(command, &run);
    // A Ctrl-C reaches kubectl as well, whose failure then is none.
    std::thread::sleep(Duration::from_millis(100));
    while INTERRUPTED.load(Ordering::SeqCst) {
        std::thread::park();
    }
    if result.is_err() {
        let logs = run.keep_logs();
        eprintln!("controlplane: the logs are kept in {}", logs.display());
    }
    run.end();
    result
}

fn with_cluster(command: &Command, run: &Arc<Run>) -> Result<()> {
    let cluster = ControlPlane::start_in(run)?;
    progress("the API server is ready, adding three nodes in three zones");
    let nodes = cluster.add_nodes(3, &["zone-a", "zone-b", "zone-c"])?;
    cluster.add_volumes(&nodes, 8)?;
    progress("starting Quorate in front of it");
    // Never dropped: it ends with the run, and there is no use in unregistering it from a cluster that goes as well.
    let quorate = ManuallyDrop::new(Quorate::builder(&cluster).everywhere().start()?);
    match command {
        Command::Up => serve(&cluster, &quorate),
        Command::Demo => demo::run(&cluster),
    }
}

/// Tells how to use the cluster and waits for its end.
fn serve(cluster: &ControlPlane, quorate: &Quorate<'_>) -> Result<()> {
    eprintln!(
        "\nA Kubernetes cluster with Quorate in front is running. In another terminal:\n\n  \
         export KUBECONFIG={}\n  export PATH={}:$PATH\n  kubectl get nodes\n\n\
         kubectl is admin there; --context=platform, developer or gitops makes it somebody with fewer rights.\n\
         Metrics: http://127.0.0.1:{}/metrics. Logs: {}.\n\
         Ctrl-C here ends it and removes everything.",
        cluster.kubeconfig().display(),
        cluster.programs().display(),
        quorate.admin_port(),
        cluster.run().path("logs").display(),
    );
    // For scripts; whoever sits at a terminal has it above.
    if !stdout().is_terminal() {
        println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    }
    loop {
        std::thread::sleep(Duration::from_secs(1));
        cluster.check()?;
        quorate.process().check()?;
    }
}

/// Clears up on Ctrl-C and its relatives, and only then exits, so that the shell's prompt means that all is gone.
fn end_on_signals(run: Arc<Run>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate, mut hangup) = {
        let _context = runtime.enter();
        let on = |kind| signal(kind).context("cannot listen for signals");
        (on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        INTERRUPTED.store(true, Ordering::SeqCst);
        progress("ending");
        run.end();
        std::process::exit(130);
    });
    Ok(())
}

fn progress(text: &str) {
    eprintln!("controlplane: {text}");
}
