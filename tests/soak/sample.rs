//! What the process takes, as the kernel says.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::sleep;

use crate::controlplane::Quorate;
use crate::load::Counts;
use crate::mebibytes;

/// How often.
const EVERY: Duration = Duration::from_secs(5);

/// How often that is printed.
const PRINTED: usize = 12;

/// How long after the load's end the last one is taken: connections are gone then.
const REST: Duration = Duration::from_secs(15);

/// What the process takes at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Since the load began.
    pub(crate) at: Duration,
    /// Resident, in KiB.
    pub(crate) memory: usize,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    answered: usize,
    errors: usize,
}

impl fmt::Display for Sample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, memory, descriptors, threads, answered, errors } = self;
        write!(
            formatter,
            "| {:>5} s | {answered:>10} | {errors:>6} | {:>8.1} | {descriptors:>5} | {threads:>7} |",
            at.as_secs(),
            mebibytes(*memory),
        )
    }
}

/// Takes samples until the time is over, and prints the first and then one each minute.
pub(crate) async fn watch(
    quorate: &Quorate<'_>,
    started: Instant,
    until: Instant,
    counts: &Counts,
) -> Result<Vec<Sample>> {
    println!("| time    |   requests | errors | RSS, MiB |   fds | threads |");
    println!("|---------|------------|--------|----------|-------|---------|");
    println!("{}", take(quorate, started, counts)?);
    let mut samples = Vec::new();
    while Instant::now() + EVERY < until {
        sleep(EVERY).await;
        let sample = take(quorate, started, counts)?;
        if (samples.len() + 1).is_multiple_of(PRINTED) {
            println!("{sample}");
        }
        samples.push(sample);
    }
    Ok(samples)
}

/// The one after the end.
pub(crate) async fn rest(quorate: &Quorate<'_>, started: Instant, counts: &Counts) -> Result<Sample> {
    sleep(REST).await;
    take(quorate, started, counts)
}

fn take(quorate: &Quorate<'_>, started: Instant, counts: &Counts) -> Result<Sample> {
    let process = format!("/proc/{}", quorate.pid());
    let status = fs::read_to_string(format!("{process}/status"))?;
    let number = |name: &str| -> Result<usize> {
        let value = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
        Ok(value.trim().trim_end_matches(" kB").parse()?)
    };
    Ok(Sample {
        at: started.elapsed(),
        memory: number("VmRSS:")?,
        descriptors: fs::read_dir(format!("{process}/fd"))?.count(),
        threads: number("Threads:")?,
        answered: counts.answered(),
        errors: counts.errors().len(),
    })
}
