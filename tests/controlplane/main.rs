//! A real control plane.
fn main() {}
