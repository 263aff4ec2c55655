//! Keeps the policies in force the same as the files, without a restart.
//!
//! All files are read again as one: either all of them are valid and take effect together, or the last good policies stay in
//! force and the problems are logged, counted and shown on `/readyz?verbose`. Events of the file system make that quick; a look
//! at the contents at every poll makes it sure, as events miss a mounted ConfigMap's second swap of `..data` (L40).

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::policies::Snapshot;
use crate::policy::{LoadErrors, Policy, PolicySet};
use crate::telemetry::{Health, Metrics, State};

/// The part of `/readyz?verbose` that is about policies.
const PART: &str = "policies";
/// How many times reading is put off while files go on changing.
const MAX_DEBOUNCES: usize = 25;

/// How soon changes are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How often contents are compared when no event comes.
    pub poll: Duration,
    /// How long the files must have been still before they are read.
    pub debounce: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { poll: Duration::from_secs(10), debounce: Duration::from_millis(200) }
    }
}

/// Keeps `policies` the same as the files at `paths`, for ever.
pub async fn watch(
    paths: Vec<PathBuf>,
    policies: Arc<ArcSwap<PolicySet>>,
    own_namespace: Option<String>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
) {
    Reloader::new(paths, policies, own_namespace, metrics, health).run(Timing::default()).await;
}

/// Reads policy files again and puts them in force.
#[derive(Debug)]
pub struct Reloader {
    paths: Vec<PathBuf>,
    policies: Arc<ArcSwap<PolicySet>>,
    own_namespace: Option<String>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    /// Of the files as they were last read.
    digest: Option<u64>,
    broken: bool,
}

impl Reloader {
    /// One that has read nothing yet.
    #[must_use]
    pub fn new(
        paths: Vec<PathBuf>,
        policies: Arc<ArcSwap<PolicySet>>,
        own_namespace: Option<String>,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
    ) -> Self {
        Self { paths, policies, own_namespace, metrics, health, digest: None, broken: false }
    }

    /// Reloads whenever the files change, for ever.
    pub async fn run(mut self, timing: Timing) {
        let changed = Arc::new(Notify::new());
        let watcher = events(&self.paths, &changed);
        if let Err(error) = &watcher {
            tracing::warn!(%error, poll = ?timing.poll, "can't watch the policy files, will only look at them from time to time");
        }
        loop {
            self.reload_if_changed(timing.debounce).await;
            // That no event came in time is as good a reason to look as an event.
            timeout(timing.poll, changed.notified()).await.ok();
        }
    }

    /// Reads the files, and puts them in force if they differ from what was read before.
    async fn reload_if_changed(&mut self, debounce: Duration) {
        let Some(mut snapshot) = take(&self.paths).await else { return };
        if self.digest == Some(digest(&snapshot)) {
            return;
        }
        // Several files, or a large one, are not written at once. What never comes to rest is read all the same.
        for _ in 0..MAX_DEBOUNCES {
            sleep(debounce).await;
            let Some(later) = take(&self.paths).await else { return };
            if later == snapshot {
                break;
            }
            snapshot = later;
        }
        let is_first = self.digest.replace(digest(&snapshot)).is_none();
        match snapshot.policies() {
            Ok(read) => self.put_in_force(read, is_first),
            Err(errors) => self.keep(&errors),
        }
    }

    fn put_in_force(&mut self, read: PolicySet, is_first: bool) {
        let read = match &self.own_namespace {
            Some(namespace) => read.without_own_namespace(namespace),
            None => read,
        };
        let was_broken = std::mem::take(&mut self.broken);
        let changes = changes(&self.policies.load(), &read);
        let count = read.all().len();
        self.policies.store(Arc::new(read));
        self.metrics.policies_loaded(count);
        self.health.set(PART, State::Ok);
        if !is_first {
            self.metrics.policies_reloaded(true);
        }
        match changes {
            Some(changes) => tracing::info!(policies = count, %changes, "policies reloaded"),
            None if was_broken => tracing::info!(policies = count, "policy files are valid again"),
            None => {}
        }
    }

    fn keep(&mut self, errors: &LoadErrors) {
        self.broken = true;
        for error in errors.iter() {
            tracing::error!("policy file is wrong, the last good policies stay in force: {error}");
        }
        self.metrics.policies_reloaded(false);
        self.health.set(PART, State::Degraded(format!("{}; the last good policies are in force", errors.summary())));
    }
}

/// Reads the files off the runtime's threads; `None` if that panicked, which the next poll tries again.
async fn take(paths: &[PathBuf]) -> Option<Snapshot> {
    let paths = paths.to_vec();
    tokio::task::spawn_blocking(move || Snapshot::take(&paths)).await.ok()
}

fn digest(snapshot: &Snapshot) -> u64 {
    let mut hasher = DefaultHasher::new();
    snapshot.hash(&mut hasher);
    hasher.finish()
}

/// Notifies of events in the directories of the paths, for as long as the watcher that it returns lives.
fn events(paths: &[PathBuf], changed: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let notified = Arc::clone(changed);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // To read a file is an event too: ours must not wake us.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            notified.notify_one();
        }
    })?;
    for path in paths {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = if path.is_dir() { path } else { parent };
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// What changed, by name: `+new -gone ~changed`; `None` if nothing did.
fn changes(before: &PolicySet, after: &PolicySet) -> Option<String> {
    fn by_name(set: &PolicySet) -> BTreeMap<&str, &Policy> {
        set.all().iter().map(|policy| (policy.name.as_str(), policy.as_ref())).collect()
    }
    let (before, after) = (by_name(before), by_name(after));
    let added = after.keys().filter(|name| !before.contains_key(*name)).map(|name| format!("+{name}"));
    let removed = before.keys().filter(|name| !after.contains_key(*name)).map(|name| format!("-{name}"));
    let changed = after
        .iter()
        .filter(|(name, policy)| before.get(*name).is_some_and(|before| before != *policy))
        .map(|(name, _)| format!("~{name}"));
    let all: Vec<_> = added.chain(removed).chain(changed).collect();
    (!all.is_empty()).then(|| all.join(" "))
}
