//! Kubernetes manifests: of files, directories and standard input.

use std::fmt::Display;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;
use serde_saphyr::Spanned;

use super::policies;
use crate::cluster::Objects;
use crate::policy::{LoadError, syntax_error};

/// One object of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The file's path, or `-`.
    pub file: String,
    /// The line on which the object begins, from 1.
    pub line: u64,
    /// The object.
    pub object: Value,
}

/// Why a manifest can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file or directory can't be read.
    #[error("{file}: can't be read: {source}")]
    Read {
        /// Its path.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A directory holds no file that is read.
    #[error("{directory}: holds no manifest (*.yaml, *.yml, *.json); directories inside of it are not read, name them")]
    NoFiles {
        /// Its path.
        directory: String,
    },
    /// It is not YAML, nor JSON.
    #[error("{}{}", .0, .0.excerpt.as_ref().map(|lines| format!("\n{lines}")).unwrap_or_default())]
    Syntax(LoadError),
    /// A document is no Kubernetes object.
    #[error("{file}:{line}: not a Kubernetes object: {what}")]
    NoObject {
        /// The file's path.
        file: String,
        /// The line on which the document begins.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// Standard input, as a path.
const STDIN: &str = "-";

/// The objects of all files, of the files of all directories (flat, as kubectl reads them), and of standard input for `-`.
/// The items of a List count one by one, empty documents not at all.
///
/// # Errors
///
/// The first file that can't be read, or document that is no object.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Manifest>, ManifestError> {
    let mut manifests = Vec::new();
    for path in paths {
        if path.as_os_str() == STDIN {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map_err(|source| unreadable(STDIN, source))?;
            manifests.extend(parse(STDIN, &text)?);
        } else {
            let files = files(path).map_err(|source| unreadable(path.display(), source))?;
            if files.is_empty() {
                return Err(ManifestError::NoFiles { directory: path.display().to_string() });
            }
            for file in files {
                manifests.extend(read_file(&file)?);
            }
        }
    }
    Ok(manifests)
}

/// The files that a path stands for, in the order of their names.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files: Vec<PathBuf> =
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    files.retain(|file| file.is_file() && policies::has_readable_name(file));
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> Result<Vec<Manifest>, ManifestError> {
    let text = fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => unreadable(path.display(), io::Error::other("it is not UTF-8")),
        _ => unreadable(path.display(), source),
    })?;
    parse(&path.display().to_string(), &text)
}

fn unreadable(file: impl Display, source: io::Error) -> ManifestError {
    ManifestError::Read { file: file.to_string(), source }
}

/// The objects of one file.
///
/// # Errors
///
/// The text is not YAML, or a document is no Kubernetes object.
pub fn parse(file: &str, text: &str) -> Result<Vec<Manifest>, ManifestError> {
    let documents: Vec<Spanned<Value>> =
        serde_saphyr::from_multiple(text).map_err(|error| ManifestError::Syntax(syntax_error(file, text, &error)))?;
    let mut manifests = Vec::new();
    for document in documents {
        let line = document.defined.line();
        for object in items(document.value) {
            if let Some(what) = fault(&object) {
                return Err(ManifestError::NoObject { file: file.to_owned(), line, what });
            }
            manifests.push(Manifest { file: file.to_owned(), line, object });
        }
    }
    Ok(manifests)
}

fn items(mut document: Value) -> Vec<Value> {
    if document.is_null() {
        return Vec::new();
    }
    let is_list = document["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match document.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if is_list => items,
        Some(items) => {
            document["items"] = items;
            vec![document]
        }
        None => vec![document],
    }
}

fn fault(object: &Value) -> Option<String> {
    if !object.is_object() {
        return Some("a mapping is needed".to_owned());
    }
    ["apiVersion", "kind"]
        .into_iter()
        .find(|field| !object[field].is_string())
        .map(|field| format!("{field} is missing"))
}

/// The objects among manifests that rules look at, as what surrounds their StatefulSets. Objects without a namespace are in
/// `default_namespace`.
///
/// # Errors
///
/// One of them can't be decoded.
pub fn surroundings(manifests: &[Manifest], default_namespace: &str) -> Result<Objects, ManifestError> {
    let mut objects = Objects::default();
    for manifest in manifests {
        let decode_error = |error: serde_json::Error| ManifestError::NoObject {
            file: manifest.file.clone(),
            line: manifest.line,
            what: error.to_string(),
        };
        add(&mut objects, &manifest.object, default_namespace).map_err(decode_error)?;
    }
    Ok(objects)
}

fn add(objects: &mut Objects, object: &Value, default_namespace: &str) -> serde_json::Result<()> {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let mut object = object.clone();
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    if object.pointer("/metadata/namespace").is_none_or(Value::is_null) && object["metadata"].is_object() {
        object["metadata"]["namespace"] = default_namespace.into();
    }
    match (group, kind.as_str()) {
        ("", "Namespace") => objects.add_namespace(serde_json::from_value(object)?),
        ("", "Service") => objects.add_service(serde_json::from_value(object)?),
        ("apps", "StatefulSet") => objects.add_statefulset(serde_json::from_value(object)?),
        ("autoscaling", "HorizontalPodAutoscaler") => objects.add_autoscaler(serde_json::from_value(object)?),
        ("policy", "PodDisruptionBudget") => objects.add_budget(serde_json::from_value(object)?),
        _ => {}
    }
    Ok(())
}
