//! The flags of `quorate serve` that bound what clients may take.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{anyhow, ensure};

use super::container;
use crate::server::{Limits, duration};

/// The limits, each with its bounds.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// Open connections; for one more, the one that has been idle for the longest is closed
    #[arg(long, env = "QUORATE_MAX_CONNECTIONS", value_name = "COUNT", default_value = "1024", value_parser = count::<16, 65_536>)]
    max_connections: usize,
    /// Requests being answered at once; one more is told to come again
    #[arg(long, env = "QUORATE_MAX_REQUESTS", value_name = "COUNT", default_value = "256", value_parser = count::<1, 16_384>)]
    max_requests: usize,
    /// The longest body of a request; a longer review is denied
    #[arg(long, env = "QUORATE_MAX_BODY", value_name = "SIZE", default_value = "20Mi", value_parser = body)]
    max_body: usize,
    /// The memory that all requests at once may take, bodies and what they are decoded to; past it one is told to come again
    #[arg(long, env = "QUORATE_MAX_BODY_MEMORY", value_name = "SIZE", default_value = "96Mi", value_parser = body_memory)]
    max_body_memory: usize,
    /// The memory that what is kept of the cluster's objects may take; a namespace that has more than an eighth, and more
    /// than is left, is denied its writes [default: three eighths of the container's memory limit, or no bound]
    #[arg(long, env = "QUORATE_MAX_CACHE_MEMORY", value_name = "SIZE", value_parser = cache_memory)]
    max_cache_memory: Option<usize>,
    /// From the start of a connection to the end of its TLS handshake
    #[arg(long, env = "QUORATE_HANDSHAKE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = short)]
    handshake_timeout: Duration,
    /// From the first byte of a request to the end of its head
    #[arg(long, env = "QUORATE_HEADER_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = short)]
    header_timeout: Duration,
    /// From the end of a request's head to the end of its body; past it 408
    #[arg(long, env = "QUORATE_BODY_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = short)]
    body_timeout: Duration,
    /// Without a request on a connection; more than the 90s after which the API server closes it itself
    #[arg(long, env = "QUORATE_IDLE_TIMEOUT", value_name = "TIME", default_value = "2m", value_parser = idle)]
    idle_timeout: Duration,
    /// Without the client taking anything of its answer
    #[arg(long, env = "QUORATE_WRITE_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = short)]
    write_timeout: Duration,
}

impl LimitArgs {
    /// The limits of the webhook's port.
    ///
    /// # Errors
    ///
    /// No body of the greatest length could be read.
    pub(super) fn limits(&self) -> anyhow::Result<Limits> {
        let (body, memory) = (self.max_body, self.max_body_memory);
        ensure!(
            memory >= 2 * body,
            "--max-body-memory {memory} is too little for one body of --max-body {body}; give at least twice as much"
        );
        Ok(Limits {
            connections: self.max_connections,
            requests: self.max_requests,
            body,
            body_memory: memory,
            handshake: self.handshake_timeout,
            head: self.header_timeout,
            body_time: self.body_timeout,
            idle: self.idle_timeout,
            write: self.write_timeout,
            ..Limits::default()
        })
    }
}

impl LimitArgs {
    /// How many bytes the caches may take together.
    pub(super) fn cache_memory(&self) -> usize {
        self.max_cache_memory.or_else(|| Some(container::memory()? / 8 * 3)).unwrap_or(usize::MAX)
    }
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

fn count<const LEAST: usize, const MOST: usize>(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (LEAST..=MOST).contains(number));
    number.ok_or_else(|| format!("not a number from {LEAST} to {MOST}"))
}

fn cache_memory(text: &str) -> anyhow::Result<usize> {
    size(text, MIB..=64 * GIB, "from 1Mi to 64Gi")
}

fn body(text: &str) -> anyhow::Result<usize> {
    size(text, 64 * KIB..=64 * MIB, "from 64Ki to 64Mi")
}

fn body_memory(text: &str) -> anyhow::Result<usize> {
    size(text, MIB..=4 * GIB, "from 1Mi to 4Gi")
}

/// A size as Kubernetes writes it.
fn size(text: &str, bounds: RangeInclusive<usize>, said: &str) -> anyhow::Result<usize> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match &text[digits.len()..] {
        "" => Some(1),
        "k" => Some(1_000),
        "Ki" => Some(KIB),
        "M" => Some(1_000_000),
        "Mi" => Some(MIB),
        "G" => Some(1_000_000_000),
        "Gi" => Some(GIB),
        _ => None,
    };
    let bytes = factor.zip(digits.parse::<usize>().ok()).and_then(|(factor, number)| number.checked_mul(factor));
    let bytes = bytes.ok_or_else(|| anyhow!("not a size such as 512Ki, 7Mi or 1048576"))?;
    ensure!(bounds.contains(&bytes), "must be {said}");
    Ok(bytes)
}

fn short(text: &str) -> anyhow::Result<Duration> {
    time(text, Duration::from_millis(100)..=Duration::from_mins(5), "must be from 100ms to 5m")
}

fn idle(text: &str) -> anyhow::Result<Duration> {
    let why = "must be more than 90s (the API server would send a request on a connection that closes) and at most 1h";
    time(text, Duration::from_secs(91)..=Duration::from_hours(1), why)
}

fn time(text: &str, bounds: RangeInclusive<Duration>, said: &'static str) -> anyhow::Result<Duration> {
    let time = duration(text).ok_or_else(|| anyhow!("not a time such as 10s, 1m30s or 500ms"))?;
    ensure!(bounds.contains(&time), said);
    Ok(time)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("7Mi", Some(7 * MIB))]
    #[case("1048576", Some(MIB))]
    #[case("100k", Some(100_000))]
    #[case("64Ki", Some(64 * KIB))]
    #[case("63Ki", None)]
    #[case("1Gi", None)]
    #[case("99999999999999999999Mi", None)]
    #[case("7MiB", None)]
    #[case("Mi", None)]
    #[case("-1", None)]
    #[case("", None)]
    fn reads_a_size_as_kubernetes_writes_it(#[case] text: &str, #[case] bytes: Option<usize>) {
        assert_eq!(body(text).ok(), bytes);
    }

    /// L32
    #[rstest]
    #[case("2m", true)]
    #[case("91s", true)]
    #[case("90s", false)]
    #[case("10s", false)]
    #[case("2h", false)]
    fn keeps_idle_connections_longer_than_the_api_server(#[case] text: &str, #[case] taken: bool) {
        assert_eq!(idle(text).is_ok(), taken);
    }
}
