//! One run of the control plane: its directory, and the keeper that clears up after it.
//!
//! Tests have no moment at which they could clear up themselves: the test runner drops no statics, and a killed process
//! runs nothing at all. So a small script in a process group of its own holds the other end of a pipe from this process;
//! when the pipe closes, for whatever reason, it ends what was started and removes the directory.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

const KEEPER: &str = include_str!("keeper.sh");

/// The directory of one run and everything that was started in it.
pub(crate) struct Run {
    directory: PathBuf,
    keeper: Mutex<Option<(Child, ChildStdin)>>,
    started: AtomicUsize,
}

impl Run {
    /// Makes the directory `target/controlplane/run-<pid>-<n>` and starts its keeper.
    pub(crate) fn new() -> Result<Arc<Self>> {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let name = format!("run-{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
        let directory = target_directory()?.join("controlplane").join(name);
        // A run whose logs were kept may have had the same number.
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot clear {}", directory.display()));
            }
            _ => {}
        }
        for part in ["processes", "logs"] {
            fs::create_dir_all(directory.join(part))
                .with_context(|| format!("cannot make {}", directory.join(part).display()))?;
        }
        // A copy: the one in the repository may change while bash is reading it.
        let script = directory.join("keeper.sh");
        fs::write(&script, KEEPER)?;
        // The pipe's end on this side is close-on-exec (the standard library sees to it): no child may hold it open.
        let mut keeper = Command::new("bash")
            .arg(&script)
            .arg(&directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start bash, which ends the control plane when the run is over")?;
        let pipe = keeper.stdin.take().context("the keeper has no pipe")?;
        Ok(Arc::new(Self { directory, keeper: Mutex::new(Some((keeper, pipe))), started: AtomicUsize::new(0) }))
    }

    /// Where everything of this run lies.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A path in the run's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Leaves the logs when the run ends, and says where they are. A run that is being ended keeps nothing.
    pub(crate) fn keep_logs(&self) -> PathBuf {
        if !self.is_over() {
            // Without this file the logs are lost, which is no reason to hide the failure they are about.
            let _ = fs::write(self.path("keep"), "");
        }
        self.path("logs")
    }

    /// A command that registers itself with the keeper before it becomes `command`, in a process group of its own; and the
    /// file it registers with, to be removed when the process was ended otherwise.
    ///
    /// So there is no moment at which this process could be killed and leave one behind that the keeper does not know; and
    /// once the keeper is at work, nothing starts any more.
    pub(crate) fn register(&self, name: &str, command: &Command) -> (Command, PathBuf) {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        // Names sort in the order of the start.
        let entry = self.path("processes").join(format!("{number:06}-{name}"));
        let mut registered = Command::new("sh");
        registered
            .args(["-c", r#"echo $$ >"$1" && shift && exec "$@""#, "sh"])
            .arg(&entry)
            .arg(command.get_program())
            .args(command.get_args())
            .env("HOME", &self.directory)
            .current_dir(command.get_current_dir().unwrap_or(&self.directory))
            .process_group(0);
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => registered.env(key, value),
                None => registered.env_remove(key),
            };
        }
        (registered, entry)
    }

    /// Ends all processes of the run, the last one first, and removes its directory; returns when that is done.
    pub(crate) fn end(&self) {
        let keeper = self.keeper().take();
        if let Some((mut keeper, pipe)) = keeper {
            drop(pipe);
            // The keeper itself says what it could not end.
            let _ = keeper.wait();
        }
    }

    /// Whether it has ended, or is about to.
    pub(crate) fn is_over(&self) -> bool {
        self.keeper().is_none()
    }

    fn keeper(&self) -> MutexGuard<'_, Option<(Child, ChildStdin)>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.end();
    }
}

/// Cargo's target directory: this program is `target/<profile>/{examples,deps}/<name>`.
fn target_directory() -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    let target = program.ancestors().nth(3).context("this program lies outside a target directory")?;
    Ok(target.to_path_buf())
}

/// A loopback port that nobody listens on.
///
/// Taken from below the range that the kernel picks from for outgoing connections, which could otherwise take it before
/// its owner binds it. Processes that run side by side begin their search at different places.
pub(crate) fn free_port() -> Result<u16> {
    const FIRST: u16 = 15_000;
    const COUNT: u16 = 15_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(COUNT))?;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (offset + step) % COUNT;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no free port between {FIRST} and {}", FIRST + COUNT)
}
