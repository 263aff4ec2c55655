//! The corpus of the fuzzer, run once: what it found stays found, on every machine and without a fuzzer.

use std::fs::{read, read_dir};
use std::path::Path;

use rstest::rstest;

#[path = "../../fuzz/src/targets/mod.rs"]
#[allow(unreachable_pub, reason = "they are public where they are fuzzed")]
mod targets;

#[rstest]
#[case::certificates("certificates", targets::certificates::run)]
#[case::manifests("manifests", targets::manifests::run)]
#[case::mutations("mutations", targets::mutations::run)]
#[case::policies("policies", targets::policies::run)]
#[case::requests("requests", targets::requests::run)]
#[case::selectors("selectors", targets::selectors::run)]
fn keeps_its_promises_over_the_corpus(#[case] target: &str, #[case] run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files = 0;
    for file in read_dir(corpus).unwrap() {
        let path = file.unwrap().path();
        eprintln!("{}", path.display());
        run(&read(path).unwrap());
        files += 1;
    }
    assert!(files >= 10, "a corpus of {files} files proves nothing");
}
