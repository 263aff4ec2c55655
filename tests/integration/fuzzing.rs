//! The fuzz targets as ordinary tests: over the corpus, so that what was found stays found, and over mutations of it, the same
//! ones each time. No fuzzer is needed for it, and nothing looks for coverage; `make fuzz` does.

use std::fs::{read, read_dir};
use std::path::Path;

use fastrand::Rng;
use rstest::rstest;

#[path = "../../fuzz/src/mutator.rs"]
#[allow(unreachable_pub, reason = "it is public where it is used by the fuzzer")]
mod mutator;
#[path = "../../fuzz/src/targets/mod.rs"]
#[allow(unreachable_pub, reason = "they are public where they are fuzzed")]
mod targets;

const MUTATIONS: u32 = 1000;
/// How much longer than what it is made of a mutation may be.
const ROOM: usize = 256;

#[rstest]
#[case::certificates("certificates", targets::certificates::run)]
#[case::manifests("manifests", targets::manifests::run)]
#[case::mutations("mutations", targets::mutations::run)]
#[case::policies("policies", targets::policies::run)]
#[case::requests("requests", targets::requests::run)]
#[case::selectors("selectors", targets::selectors::run)]
fn keeps_its_promises_over_the_corpus_and_mutations_of_it(#[case] target: &str, #[case] run: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "a corpus of {} files proves nothing", files.len());
    for file in &files {
        eprintln!("{}", file.display());
        run(&read(file).unwrap());
    }
    for seed in 0..MUTATIONS {
        let file = &files[seed as usize % files.len()];
        eprintln!("{} with seed {seed}", file.display());
        run(&mutated(read(file).unwrap(), seed));
    }
}

fn mutated(mut input: Vec<u8>, seed: u32) -> Vec<u8> {
    let size = input.len();
    input.resize(size + ROOM, 0);
    let longest = input.len();
    let length = mutator::mutate(&mut input, size, longest, seed, |data, size, _| scrambled(data, size, seed));
    input.truncate(length);
    input
}

/// Bytes flipped, dropped, doubled, or exchanged for others of the same input.
fn scrambled(data: &mut [u8], size: usize, seed: u32) -> usize {
    let mut rng = Rng::with_seed(u64::from(seed));
    let mut length = size;
    for _ in 0..rng.usize(1..5) {
        if length == 0 {
            return 0;
        }
        let place = rng.usize(..length);
        let run = rng.usize(1..=32.min(length - place));
        match rng.u8(..5) {
            0 => data[place] ^= 1 << rng.u8(..8),
            1 => data[place] = rng.u8(..),
            2 => {
                data.copy_within(place + run..length, place);
                length -= run;
            }
            3 if length + run <= data.len() => {
                data.copy_within(place..length, place + run);
                length += run;
            }
            _ => {
                let from = rng.usize(..=length - run);
                data.copy_within(from..from + run, place);
            }
        }
    }
    length
}
