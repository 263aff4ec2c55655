//! Finds the programs of the control plane, and builds those that are missing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::process::Process;
use super::run::Run;

/// The directory that holds etcd, the Kubernetes programs, kwok and helm, as `build.sh` says.
///
/// The first call on a machine builds them for some minutes, with progress on stderr; the build ends with the run.
pub(crate) fn locate(run: &Run) -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controlplane/build.sh");
    let answer = run.path("programs");
    let mut build = Command::new("bash");
    build.arg(script);
    // Its caches are the user's own, not the run's.
    if let Some(home) = std::env::var_os("HOME") {
        build.env("HOME", home);
    }
    let stdout = File::create(&answer)?.into();
    let build = Process::start_with(run, "build", &build, answer.clone(), stdout, Stdio::inherit())?;
    if !build.wait()?.success() {
        bail!("the programs of the control plane could not be built, see above");
    }
    let directory = fs::read_to_string(&answer).context("build.sh says nothing")?;
    Ok(PathBuf::from(directory.trim_end()))
}
