//! Integration tests: one binary, whose modules are listed here, and one control plane for all of them.

#[path = "../controlplane/mod.rs"]
mod controlplane;

mod control_plane;
mod generate;
mod instances;
mod mutation;
