//! How much memory the container has.

use std::fs;

/// Where the kernel says it: cgroup v2, then v1.
const FILES: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// cgroup v1 has a number for no limit, which no machine has.
const NONE: usize = 1 << 50;

/// The most bytes that the container may take; `None` where it may take all there are, and where the kernel does not say.
pub(super) fn memory() -> Option<usize> {
    FILES.iter().find_map(|file| fs::read_to_string(file).ok()).and_then(|text| limit(&text))
}

fn limit(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|bytes| *bytes < NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_says() {
        assert_eq!(limit("268435456\n"), Some(256 << 20));
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit("9223372036854771712\n"), None);
    }
}
