//! Policy files from files and directories, within limits and in an order of their own.
//!
//! A directory is read flat: `*.yaml`, `*.yml` and `*.json`, save names that begin with a dot, as those of a mounted ConfigMap's
//! machinery do. Nothing depends on the order of paths or files, and a file that is named twice is read once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::policy::{LoadError, LoadErrors, Loader, Located, PolicySet};

/// The most bytes that one file may have: as many as a ConfigMap.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
/// The most files that are read.
pub const MAX_FILES: usize = 4096;
/// The most bytes that all files together may have.
pub const MAX_TOTAL_BYTES: u64 = 16 << 20;

/// What policy files hold at one moment: for each file its bytes, or why there are none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Snapshot {
    files: BTreeMap<String, Result<Vec<u8>, String>>,
}

/// Reads policies from files and directories.
///
/// # Errors
///
/// All that is wrong with them: every unreadable path, and the first mistake of each document.
pub fn read(paths: &[PathBuf]) -> Result<PolicySet, LoadErrors> {
    Snapshot::take(paths).policies()
}

impl Snapshot {
    /// Reads the files, not what is in them.
    #[must_use]
    pub fn take(paths: &[PathBuf]) -> Self {
        let mut files = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut room = MAX_TOTAL_BYTES;
        for path in sorted(paths.iter().cloned()) {
            let found = list(&path).unwrap_or_else(|problem| {
                files.insert(shown(&path), Err(problem));
                Vec::new()
            });
            for file in found {
                // One file by two paths is one file; what can't be resolved is reported when it is read.
                if !seen.insert(fs::canonicalize(&file).unwrap_or_else(|_| file.clone())) {
                    continue;
                }
                if files.len() >= MAX_FILES {
                    let problem = format!("is one too many: Quorate reads at most {MAX_FILES} policy files; join some");
                    files.insert(shown(&file), Err(problem));
                    return Self { files };
                }
                let bytes = contents(&file, room);
                room -= bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
                files.insert(shown(&file), bytes);
            }
        }
        Self { files }
    }

    /// Every policy of the files, by file and place.
    ///
    /// # Errors
    ///
    /// As [`read`].
    pub fn located(&self) -> Result<Vec<Located>, LoadErrors> {
        let mut loader = Loader::default();
        for (file, bytes) in &self.files {
            match bytes {
                Ok(bytes) => loader.add(file, bytes),
                Err(problem) => loader.fail(LoadError::new(file, problem)),
            }
        }
        loader.finish()
    }

    /// The policies of the files as a set.
    ///
    /// # Errors
    ///
    /// As [`read`].
    pub fn policies(&self) -> Result<PolicySet, LoadErrors> {
        Ok(PolicySet::new(self.located()?.into_iter().map(|located| located.policy).collect()))
    }
}

/// The files that a path stands for.
fn list(path: &Path) -> Result<Vec<PathBuf>, String> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries: Vec<PathBuf> = fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(|error| unreadable(&error))?;
    let (directories, files): (Vec<_>, Vec<_>) =
        entries.into_iter().filter(|entry| !is_hidden(entry)).partition(|entry| entry.is_dir());
    let files = sorted(files.into_iter().filter(|file| is_policy_file(file)));
    if files.is_empty() {
        return Err(no_files(&sorted(directories.into_iter())));
    }
    Ok(files)
}

fn no_files(directories: &[PathBuf]) -> String {
    let hint = match directories.first() {
        Some(directory) => {
            format!("; directories inside of it are not read, name them: --policies {}", shown(directory))
        }
        None => "; put an AvailabilityPolicy there, or name another directory with --policies".to_owned(),
    };
    format!("holds no policy file (*.yaml, *.yml, *.json){hint}")
}

/// The bytes of a file, of which no more are read than allowed.
fn contents(file: &Path, room: u64) -> Result<Vec<u8>, String> {
    // Asked before opening, as to open a pipe would wait for its writer.
    if !fs::metadata(file).map_err(|error| unreadable(&error))?.is_file() {
        return Err("is not a regular file; policies are read from files and directories".to_owned());
    }
    let limit = MAX_FILE_BYTES.min(room);
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|open| open.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 <= limit {
        return Ok(bytes);
    }
    Err(if limit < MAX_FILE_BYTES {
        format!("is too much: all policy files together may have {} MiB", MAX_TOTAL_BYTES >> 20)
    } else {
        format!(
            "is larger than {} MiB, too large for a policy file; split it, or is it another kind of file?",
            limit >> 20
        )
    })
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "does not exist; name a policy file or a directory of such with --policies".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "can't be read: permission denied; let the user that runs quorate read it".to_owned()
        }
        _ => format!("can't be read: {error}"),
    }
}

/// Whether a directory's file is read by its name: not hidden, and YAML or JSON.
pub(super) fn has_readable_name(path: &Path) -> bool {
    !is_hidden(path) && is_policy_file(path)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn is_policy_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

fn sorted(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut paths: Vec<_> = paths.collect();
    paths.sort();
    paths
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
