//! Fuzzing of Quorate: what is fuzzed, and how JSON is mutated so that inputs stay JSON.

pub mod mutator;
pub mod targets;
