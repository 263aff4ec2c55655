//! Integration tests: one binary, which lists its modules.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails, in its helpers too")]

mod examples;
mod generate;
mod mutation;
mod policy_files;
mod policy_reload;
mod purity;
mod repository;
