//! Integration tests: one binary, whose modules are listed here, and one control plane for all of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails, in its helpers too")]

#[path = "../controlplane/mod.rs"]
mod controlplane;

mod admission;
mod budgets;
mod certificates;
mod chart;
mod check;
mod control_plane;
mod examples;
mod fuzzing;
mod generate;
mod hostile;
mod image;
mod injection;
mod instances;
mod mutation;
mod observability;
mod policy_files;
mod policy_reference;
mod policy_reload;
mod purity;
mod red_team;
mod reliability;
mod repository;
mod rules_reference;
mod server;
mod ways;
