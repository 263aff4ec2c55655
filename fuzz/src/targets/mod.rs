//! What is fuzzed: each module takes any bytes and panics where Quorate breaks a promise.
//!
//! The fuzzer drives these, and the ordinary tests run them over the corpus that is kept.

mod answer;
pub mod certificates;
pub mod manifests;
pub mod mutations;
pub mod policies;
pub mod requests;
pub mod selectors;
mod world;
