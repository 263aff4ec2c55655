//! Parses the arguments, runs the command, and ends with its exit code.

fn main() {}
