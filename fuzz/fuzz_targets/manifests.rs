#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::targets::manifests;

fuzz_target!(|data: &[u8]| manifests::run(data));
