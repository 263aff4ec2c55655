//! Integration tests.

mod policy_files;
mod policy_reload;
