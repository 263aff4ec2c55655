//! Kubernetes manifests: of files, directories and standard input.

use std::fmt::Display;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::policies;
use crate::cluster::Objects;
use crate::facts::Metadata;
use crate::plain::plain;
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

impl Manifest {
    /// What rules need to know of the object.
    ///
    /// # Errors
    ///
    /// A field has a value that no such object can have.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ManifestError> {
        serde_path_to_error::deserialize(&self.object).map_err(|error| ManifestError::WrongField {
            file: self.file.clone(),
            line: self.line,
            kind: self.object["kind"].as_str().unwrap_or_default().to_owned(),
            field: error.path().to_string(),
            what: in_yaml_words(&error.inner().to_string()),
        })
    }
}

/// The decoder's words, without the names of its types.
fn in_yaml_words(text: &str) -> String {
    let text = text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: ")).unwrap_or(text);
    let Some((written, expected)) = text.rsplit_once(", expected ") else { return text.to_owned() };
    let expected = match expected {
        "a string" => "text",
        "a sequence" => "a list",
        "a map" => "a mapping",
        "a boolean" => "true or false",
        "i32" | "i64" | "u32" | "u64" => "a whole number",
        expected if expected.starts_with("struct ") => "a mapping",
        expected => expected,
    };
    format!("{written} must be {expected}")
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
    /// A field has a value that no object of its kind can have.
    #[error("{file}:{line}: {}: {}: {}", plain(.kind), plain(.field), plain(.what))]
    WrongField {
        /// The file's path.
        file: String,
        /// The line on which the object begins.
        line: u64,
        /// The object's kind.
        kind: String,
        /// The field's path.
        field: String,
        /// What it is, and what it must be.
        what: String,
    },
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
        add(&mut objects, manifest, default_namespace)?;
    }
    Ok(objects)
}

/// A PersistentVolumeClaim, of which only the name counts.
#[derive(Deserialize)]
struct Claim {
    metadata: Metadata,
}

fn add(objects: &mut Objects, manifest: &Manifest, default_namespace: &str) -> Result<(), ManifestError> {
    let mut manifest = manifest.clone();
    let object = &mut manifest.object;
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group).to_owned();
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    if object.pointer("/metadata/namespace").is_none_or(Value::is_null) && object["metadata"].is_object() {
        object["metadata"]["namespace"] = default_namespace.into();
    }
    match (group.as_str(), kind.as_str()) {
        ("", "Namespace") => objects.add_namespace(manifest.decode()?),
        ("", "Node") => objects.add_node(manifest.decode()?),
        ("", "PersistentVolumeClaim") => {
            let Claim { metadata } = manifest.decode()?;
            objects.add_claim(&metadata.namespace, &metadata.name);
        }
        ("", "Service") => objects.add_service(manifest.decode()?),
        ("apps", "StatefulSet") => objects.add_statefulset(manifest.decode()?),
        ("autoscaling", "HorizontalPodAutoscaler") => objects.add_autoscaler(manifest.decode()?),
        ("policy", "PodDisruptionBudget") => objects.add_budget(manifest.decode()?),
        _ => {}
    }
    Ok(())
}
