//! `make soak`: Quorate under a constant load and one fault after another, for half an hour, watched for what it gathers.
//!
//! Measures first what it can answer at most, then asks for half of that: reviews straight to the webhook's port, while
//! a real API server feeds its caches. Ends with an error if a request failed, or if memory or file descriptors grew.

#[path = "../controlplane/mod.rs"]
mod controlplane;
mod faults;
mod load;
#[path = "../integration/reliability/record.rs"]
#[allow(clippy::unwrap_used, reason = "it is the tests' own, where a panic is a failure")]
mod record;
mod reviews;
mod sample;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;

use controlplane::proxy::Proxy;
use controlplane::{ControlPlane, Quorate};
use load::{Counts, Target};
use record::{Row, number, record};
use sample::Sample;

/// When memory has settled: what it is then is what it is compared with.
const SETTLED: Duration = Duration::from_mins(2);

const MINUTE: Duration = Duration::from_mins(1);

/// How much more memory may be in use at the end, as a ratio.
const GROWTH: f64 = 1.10;

/// How many more file descriptors: connections of the moment.
const DESCRIPTORS: usize = 10;

/// How many more threads: those that read files are there for 10 s after, and policies, certificates and the census are read about as
/// often, sometimes at once and sometimes one after the other.
const THREADS: usize = 2;

/// Loads Quorate with half of what it can answer, and with faults, and watches it.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Arguments {
    /// How long, in minutes; more than three
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(4..))]
    minutes: u64,
    /// Requests per second, in place of half of the measured maximum
    #[arg(long)]
    rate: Option<f64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let cluster = ControlPlane::start()?;
    let network = Proxy::before(&cluster.server())?;
    let quorate = Quorate::builder(&cluster)
        .label("soak")
        .policy(reviews::POLICY)
        .api_server(&format!("https://{}", network.address()))
        // One line per decision would be most of the work.
        .argument("--log=warn")
        .unregistered()
        .start()?;
    reviews::surround(&cluster)?;
    let target = Arc::new(Target::of(&quorate)?);
    target.until_known().await?;

    let maximum = load::maximum(&target).await?;
    let rate = arguments.rate.unwrap_or(maximum / 2.0);
    println!("maximum {maximum:.0}/s, soaking at {rate:.0}/s for {} minutes", arguments.minutes);
    let length = Duration::from_mins(arguments.minutes);
    let counts = Arc::new(Counts::default());
    let started = Instant::now();
    let until = started + length;
    let loads = load::constant(&target, rate, until, &counts);
    let faults = faults::Faults { cluster: &cluster, quorate: &quorate, network: &network, target: &target };
    let watched = async {
        let (faults, samples) = tokio::join!(faults.run(until), sample::watch(&quorate, started, until, &counts));
        anyhow::Ok((faults?, samples?))
    };
    let (faults, samples) = watched.await?;
    for load in loads {
        load.await?;
    }
    let rest = sample::rest(&quorate, started, &counts).await?;
    println!("{rest}");
    judge(&arguments, rate, &samples, &rest, &counts, faults)
}

fn judge(
    arguments: &Arguments,
    rate: f64,
    samples: &[Sample],
    rest: &Sample,
    counts: &Counts,
    faults: usize,
) -> Result<()> {
    let settled = samples.iter().find(|sample| sample.at >= SETTLED).context("it was too short")?;
    let last = samples.last().context("it was too short")?;
    let peak = samples.iter().map(|sample| sample.memory).max().unwrap_or_default();
    let memory = last.memory.max(rest.memory);
    #[expect(clippy::cast_precision_loss, reason = "kilobytes")]
    let growth = memory as f64 / settled.memory as f64;
    // Connections come and go with slow clients, so that a minute's most is compared with another's.
    let most = |from: Duration, of: fn(&Sample) -> usize| {
        let minute = samples.iter().filter(|sample| sample.at >= from && sample.at < from + MINUTE);
        minute.map(of).max().unwrap_or_default()
    };
    let (early, late) = (settled.at, last.at.saturating_sub(MINUTE));
    let [descriptors, threads] = [(|sample| sample.descriptors) as fn(&Sample) -> usize, |sample| sample.threads]
        .map(|of| (most(early, of), most(late, of)));
    #[expect(clippy::cast_precision_loss, reason = "there are not that many")]
    let answered = counts.answered() as f64 / last.at.as_secs_f64();
    let result = format!(
        "{} requests, {answered:.0}/s (half of the maximum is {rate:.0}/s), {} errors; resident {:.1} MiB after 2 minutes, {:.1} MiB \
         at the end ({:+.1} %), {:.1} MiB at most; at most {} file descriptors in the third minute, {} in the last one; {} and {} threads",
        number(counts.answered()),
        counts.errors().len(),
        mebibytes(settled.memory),
        mebibytes(memory),
        (growth - 1.0) * 100.0,
        mebibytes(peak),
        descriptors.0,
        descriptors.1,
        threads.0,
        threads.1,
    );
    println!("\n{faults} faults; {result}");
    for error in counts.errors().iter().take(20) {
        println!("  {error}");
    }
    ensure!(counts.errors().is_empty(), "{} requests failed", counts.errors().len());
    ensure!(growth <= GROWTH, "memory grew to {growth:.2} of what it was after 2 minutes");
    ensure!(descriptors.1 <= descriptors.0 + DESCRIPTORS, "file descriptors grew");
    ensure!(threads.1 <= threads.0 + THREADS, "threads grew");
    let amount = format!("{} minutes, {faults} faults", arguments.minutes);
    let tried = "a soak at half of the maximum throughput: policies and certificates renewed, the API server stopped, watches cut, \
                 slow clients, in turn";
    record("make soak", &Row { tried, amount, result });
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "kilobytes")]
fn mebibytes(kibibytes: usize) -> f64 {
    kibibytes as f64 / 1024.0
}
