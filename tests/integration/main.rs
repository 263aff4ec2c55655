//! Integration tests: one binary, which lists its modules.

#![allow(clippy::unwrap_used, clippy::panic, reason = "so tests fail")]

mod generate;
mod mutation;
mod policy_files;
mod policy_reload;
