//! `--policies`, which every command takes.

use std::path::PathBuf;

/// Where the policies are.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PolicyPaths {
    /// Policy file, or directory of such; may be repeated, or name several with commas between
    #[arg(
        long = "policies",
        value_name = "PATH",
        env = "QUORATE_POLICIES",
        value_delimiter = ',',
        default_value = "policies"
    )]
    pub(super) policies: Vec<PathBuf>,
}
