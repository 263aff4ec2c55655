//! A process of a run: in a process group of its own, with its log in a file, ended by its own pid.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::run::Run;

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(30);

/// A started process. It outlives this value: the run's keeper ends it, unless [`Process::end`] or [`Process::kill`] did.
pub(crate) struct Process {
    name: String,
    pid: u32,
    child: Mutex<Child>,
    entry: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `logs/<name>.log`, to which a later process of that name appends.
    pub(crate) fn start(run: &Run, name: &str, command: &Command) -> Result<Self> {
        let log = run.path("logs").join(format!("{name}.log"));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let errors = output.try_clone()?;
        Self::start_with(run, name, command, log, output.into(), errors.into())
    }

    /// Starts `command` with its output where the caller wants it; `log` is what error messages quote.
    pub(crate) fn start_with(
        run: &Run,
        name: &str,
        command: &Command,
        log: PathBuf,
        stdout: Stdio,
        stderr: Stdio,
    ) -> Result<Self> {
        let (mut registered, entry) = run.register(name, command);
        registered.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let child = registered.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), pid: child.id(), child: Mutex::new(child), entry, log })
    }

    /// The name it was started under.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, which is its process group too.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The file its output goes to.
    pub(crate) fn log_file(&self) -> &Path {
        &self.log
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// How it ended, or `None` while it runs.
    pub(crate) fn exit_status(&self) -> Result<Option<ExitStatus>> {
        Ok(self.child().try_wait()?)
    }

    /// An error that quotes the end of the log, if the process has ended.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(status) = self.exit_status()? {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(15)..].join("\n  ");
            bail!("{} ended with {status}; its log {} ends with\n  {tail}", self.name, self.log.display());
        }
        Ok(())
    }

    /// Sends a signal, named as `kill -s` does.
    pub(crate) fn signal(&self, signal: &str) -> Result<()> {
        let mut child = self.child();
        // A process that was not waited for keeps its pid, so that no other can be hit.
        if child.try_wait()?.is_none() {
            let mut kill = Command::new("sh");
            kill.args(["-c", r#"kill -s "$1" "$2""#, "sh", signal]).arg(self.pid.to_string());
            succeed(&mut kill).with_context(|| format!("cannot send SIG{signal} to {}", self.name))?;
        }
        Ok(())
    }

    /// SIGTERM, and SIGKILL after a grace; returns when it has ended.
    pub(crate) fn end(&self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        self.forget();
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if let Some(status) = self.exit_status()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("controlplane: {} did not end within {GRACE:?} of a SIGTERM, killing it", self.name);
        self.kill()
    }

    /// SIGKILL; returns when it has ended.
    pub(crate) fn kill(&self) -> Result<ExitStatus> {
        let mut child = self.child();
        child.kill()?;
        self.forget();
        Ok(child.wait()?)
    }

    /// Waits for its end, however long that takes.
    pub(crate) fn wait(&self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.exit_status()? {
                self.forget();
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Takes the pid off the keeper's list: once it is waited for, it may be another process's.
    fn forget(&self) {
        let _ = fs::remove_file(&self.entry);
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
