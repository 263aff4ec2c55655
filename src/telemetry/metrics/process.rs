//! What the process takes of the machine, under the names that every Prometheus client library gives it. Read from `/proc`
//! whenever somebody asks; where there is none, there are no such metrics.

use std::fmt::Error;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The metrics of this process.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let mut put = |name, help, metric: &dyn Encode| metric.put(&mut encoder, name, help);
        if let Some(stat) = Stat::read() {
            put(
                "process_cpu_seconds",
                "Time that processors spent on this process, in seconds.",
                &ConstCounter::new(stat.cpu),
            )?;
            put(
                "process_resident_memory_bytes",
                "Memory of this process that is in RAM, in bytes.",
                &ConstGauge::new(stat.resident),
            )?;
            if let Some(boot) = boot_time() {
                put(
                    "process_start_time_seconds",
                    "When this process was started, in seconds since 1970.",
                    &ConstGauge::new(boot + stat.started),
                )?;
            }
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory itself.
            let open = i64::try_from(open.count()).unwrap_or(i64::MAX).saturating_sub(1);
            put("process_open_fds", "Open file descriptors, sockets included.", &ConstGauge::new(open))?;
        }
        if let Some(most) = most_descriptors() {
            put("process_max_fds", "The most file descriptors that may be open.", &ConstGauge::new(most))?;
        }
        Ok(())
    }
}

/// A metric that can be put under a name.
trait Encode {
    fn put(&self, encoder: &mut DescriptorEncoder, name: &str, help: &str) -> Result<(), Error>;
}

impl<M: EncodeMetric> Encode for M {
    fn put(&self, encoder: &mut DescriptorEncoder, name: &str, help: &str) -> Result<(), Error> {
        self.encode(encoder.encode_descriptor(name, help, None, self.metric_type())?)
    }
}

/// What `/proc/self/stat` says; proc(5) numbers its fields.
struct Stat {
    /// Seconds in user and in kernel mode.
    cpu: f64,
    /// Seconds from boot to start.
    started: f64,
    /// Bytes.
    resident: i64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The second field, the program's name, may hold anything, parentheses too.
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        #[expect(clippy::cast_precision_loss, reason = "it is 100")]
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let page = i64::try_from(rustix::param::page_size()).ok()?;
        let pages: i64 = fields.get(24 - 3)?.parse().ok()?;
        Some(Self {
            cpu: (field(14)? + field(15)?) / ticks,
            started: field(22)? / ticks,
            resident: pages.saturating_mul(page),
        })
    }
}

/// When the machine was started, in seconds since 1970.
fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()
}

/// The soft limit of file descriptors, unless there is none.
fn most_descriptors() -> Option<i64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_proc_says_of_a_program_with_any_name() {
        let text = "7 (a) R 1 (b) S 1 7 7 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 4 0 123400 99999999 2560 18446744073709551615";
        let stat = Stat::parse(text).unwrap();
        assert!((stat.cpu - 3.0).abs() < 1e-9);
        assert!((stat.started - 1234.0).abs() < 1e-9);
        assert_eq!(stat.resident, 2560 * i64::try_from(rustix::param::page_size()).unwrap());
        assert!(Stat::parse("7 (a) R 1").is_none());
    }
}
