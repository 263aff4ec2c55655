//! Picks up renewed certificate files (L40, L44).
//!
//! Kubelet and cert-manager replace files by swapping a symlink of the directory, so the *directory* is watched; and since a
//! watch may miss what happens, the contents are compared every few seconds too. Certificate and key are taken together or not
//! at all, and whatever is wrong with them, what was served before is served on.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use super::files::Contents;
use super::{Error, Files, Pair, Serving};
use crate::telemetry::{Health, Metrics, State};

/// How often the contents are compared, whatever the watch says.
const COMPARE: Duration = Duration::from_secs(10);

/// How long files may settle after an event, so that certificate and key are seen after both were written.
const SETTLE: Duration = Duration::from_millis(100);

/// The name of this part in `/readyz?verbose`.
const PART: &str = "certificate";

/// Keeps `serving` as the files are, for ever.
pub async fn follow(files: Files, serving: Arc<Serving>, metrics: Arc<Metrics>, health: Arc<Health>) {
    let changed = Arc::new(Notify::new());
    let watcher = watch([files.certificate.as_path(), files.key.as_path()], Arc::clone(&changed));
    if let Err(error) = &watcher {
        warn!(%error, "cannot watch the certificate's directory; comparing its files every 10 s instead");
    }
    let mut follower = Follower { files, serving, metrics, health, seen: None, failure: None };
    loop {
        follower = follower.compare().await;
        pause(&changed).await;
    }
}

/// Returns when it is time to compare again.
pub(super) async fn pause(changed: &Notify) {
    if timeout(COMPARE, changed.notified()).await.is_ok() {
        sleep(SETTLE).await;
    }
}

/// Watches the directories of files; the watch ends with what is returned.
pub(super) fn watch<const N: usize>(
    files: [&Path; N],
    changed: Arc<Notify>,
) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |_| changed.notify_one())?;
    for file in files {
        watcher.watch(directory(file), RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

struct Follower {
    files: Files,
    serving: Arc<Serving>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    /// What the files held when they were last looked at, good or bad.
    seen: Option<Contents>,
    /// The failure that was last reported, so that each is reported once.
    failure: Option<String>,
}

impl Follower {
    async fn compare(mut self) -> Self {
        let files = self.files.clone();
        match spawn_blocking(move || files.read()).await {
            Ok(Ok(contents)) if self.seen.as_ref() == Some(&contents) => {}
            Ok(Ok(contents)) => {
                let pair = self.files.parse(&contents);
                self.seen = Some(contents);
                self.take(pair);
            }
            Ok(Err(error)) => {
                self.seen = None;
                self.take(Err(error));
            }
            Err(error) => error!(%error, "cannot read certificates"),
        }
        self.report_time();
        self
    }

    fn take(&mut self, pair: Result<Pair, Error>) {
        match pair {
            Ok(pair) => {
                if self.serving.pair().is_none_or(|served| served.chain() != pair.chain()) {
                    info!(expires = %utc(pair.ends()), "serving a new certificate");
                    self.metrics.certificate_reloaded(true);
                    self.serving.replace(pair);
                } else if self.failure.is_some() {
                    info!("the certificate's files are good again");
                }
                self.failure = None;
            }
            Err(failure) => {
                let failure = failure.to_string();
                if self.failure.as_ref() != Some(&failure) {
                    error!(error = failure, "cannot take the new certificate; the old one is served on");
                    self.metrics.certificate_reloaded(false);
                    self.failure = Some(failure);
                }
            }
        }
    }

    /// Says how long the served certificate lasts; at every comparison, since time passes while files stand still (L42).
    fn report_time(&self) {
        let Some(pair) = self.serving.pair() else { return };
        self.metrics.certificate_expires(pair.ends());
        let objection = self.failure.as_deref().or(pair.objection(SystemTime::now()));
        self.health.set(PART, objection.map_or(State::Ok, |objection| State::Degraded(objection.to_owned())));
    }
}

pub(super) fn utc(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "unknown".to_owned(), |time| time.strftime("%FT%TZ").to_string())
}
