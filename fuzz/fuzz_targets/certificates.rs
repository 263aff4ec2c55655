#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::targets::certificates;

fuzz_target!(|data: &[u8]| certificates::run(data));
