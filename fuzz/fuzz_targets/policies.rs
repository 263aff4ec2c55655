#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::targets::policies;

fuzz_target!(|data: &[u8]| policies::run(data));
