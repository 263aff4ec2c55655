#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use quorate_fuzz::mutator;
use quorate_fuzz::targets::mutations;

fuzz_target!(|data: &[u8]| mutations::run(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutator::mutate(data, size, max_size, seed, fuzzer_mutate)
});
