//! Policies from the text of files, with the place of every mistake.
//!
//! A [`Loader`] takes any number of files, in any order, and yields either all their policies or all that is wrong with them:
//! the first mistake of each document.

mod decode;
mod document;
mod error;
mod excerpt;
mod locate;
mod schema;
mod words;

use std::collections::BTreeMap;

use document::Document;
pub use error::{LoadError, LoadErrors, Place};
use locate::Path;
pub use schema::schema;

use super::Policy;

/// A policy and where it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The policy.
    pub policy: Policy,
    /// The file's path, as it was given.
    pub file: String,
    /// Where the file says the policy's name.
    pub place: Place,
    excerpt: String,
}

/// Gathers policies from the text of files.
#[derive(Debug, Default)]
pub struct Loader {
    policies: Vec<Located>,
    errors: Vec<LoadError>,
}

impl Loader {
    /// Reads the policies of one file: YAML or JSON, one or more documents.
    pub fn add(&mut self, file: &str, bytes: &[u8]) {
        let documents = match document::split(file, bytes) {
            Ok(documents) => documents,
            Err(error) => return self.fail(error),
        };
        for document in &documents {
            match decode::policy(document) {
                Ok(policy) => {
                    let place = locate::find(document, &Path::of(&["metadata", "name"])).place;
                    let excerpt = excerpt::show(document, place);
                    self.policies.push(Located { policy, file: file.to_owned(), place, excerpt });
                }
                Err(error) => self.fail(error),
            }
        }
    }

    /// Takes note of a file that could not be read.
    pub fn fail(&mut self, error: LoadError) {
        self.errors.push(error);
    }

    /// Every policy by file and place.
    ///
    /// # Errors
    ///
    /// All that is wrong with the files, by file and place. Two policies of one name are wrong too.
    pub fn finish(mut self) -> Result<Vec<Located>, LoadErrors> {
        self.policies.sort_by(|left, right| (&left.file, left.place).cmp(&(&right.file, right.place)));
        let mut names = BTreeMap::new();
        for located in &self.policies {
            let name = &located.policy.name;
            match names.get(name) {
                None => {
                    names.insert(name.clone(), located);
                }
                Some(first) => self.errors.push(taken(located, first)),
            }
        }
        if self.errors.is_empty() { Ok(self.policies) } else { Err(LoadErrors::new(self.errors)) }
    }
}

fn taken(second: &Located, first: &Located) -> LoadError {
    let message = format!(
        "{:?} is already the name of a policy in {}:{}; give each policy a name of its own",
        second.policy.name, first.file, first.place.line,
    );
    LoadError::new(&second.file, message).at(second.place).field("metadata.name").excerpt(second.excerpt.clone())
}

/// Reads the policies of one file: YAML or JSON, one or more documents.
///
/// # Errors
///
/// The first mistake of each document.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Vec<Policy>, LoadErrors> {
    let mut loader = Loader::default();
    loader.add(file, bytes);
    Ok(loader.finish()?.into_iter().map(|located| located.policy).collect())
}

/// Says where a text is no YAML and what would be right, in files that hold something else than policies.
#[must_use]
pub fn syntax_error(file: &str, text: &str, error: &serde_saphyr::Error) -> LoadError {
    let document = Document { file, text, lines_before: 0 };
    let (error, place) =
        (decode::innermost(error), error.location().map(|location| locate::place(&document, location)));
    let is_template = place.and_then(|place| document.line(place.line)).is_some_and(|line| line.contains("{{"));
    let message = match error {
        _ if is_template => "is a template, not YAML; render it first".to_owned(),
        // The limits are others here.
        serde_saphyr::Error::Budget { .. } | serde_saphyr::Error::AliasReplayLimitExceeded { .. } => {
            "holds more than can be read, or is nested too deeply; split it, or write it without aliases".to_owned()
        }
        error if words::about(error) == words::About::Value => format!("can't be read: {error}"),
        error => words::explain(error, "", ""),
    };
    match place {
        Some(place) => LoadError::new(file, message).at(place).excerpt(excerpt::show(&document, place)),
        None => LoadError::new(file, message),
    }
}
