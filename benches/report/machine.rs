//! The machine that was measured on, which figures mean little without.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

/// Its processor, memory, kernel and compiler, as a list in Markdown.
pub(crate) fn describe() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap();
    let models: BTreeSet<_> = fields(&processors, "model name").collect();
    let models: Vec<_> = models.into_iter().collect();
    let model = if models.is_empty() { "a processor that does not say its name".to_owned() } else { models.join(", ") };
    let memory = fs::read_to_string("/proc/meminfo").unwrap();
    let memory: f64 = fields(&memory, "MemTotal").next().unwrap().trim_end_matches(" kB").parse().unwrap();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let rust = Command::new("rustc").arg("--version").output().unwrap();
    format!(
        "- {model}, of which {} processors\n- {:.1} GiB of memory\n- Linux {}\n- {}",
        available_parallelism().unwrap(),
        memory / f64::from(1 << 20),
        kernel.trim(),
        String::from_utf8(rust.stdout).unwrap().trim(),
    )
}

/// The values of a field, which a line says as `name : value`.
fn fields<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then_some(value.trim())
    })
}
