//! What is wrong with policy files, for a person and for a program.

use std::fmt;

use crate::plain::plain;

/// A place in a file; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One thing that is wrong with a policy file. It displays as one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct LoadError {
    /// The file's path, as it was given.
    pub file: String,
    /// Where in the file, unless it is about the file as a whole.
    pub place: Option<Place>,
    /// The path of the field, such as `spec.validate.replicas.minimum`.
    pub field: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
    /// The line of the file, and under it a caret at the place.
    pub excerpt: Option<String>,
}

impl LoadError {
    /// Something that is wrong with the file as a whole.
    #[must_use]
    pub fn new(file: &str, message: impl Into<String>) -> Self {
        // A decoder's words may hold what was written, at any length.
        let message = plain(&message.into()).to_string();
        Self { file: file.to_owned(), place: None, field: None, message, excerpt: None }
    }

    pub(super) fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    pub(super) fn field(self, field: impl Into<String>) -> Self {
        let field = plain(&field.into()).to_string();
        Self { field: Some(field).filter(|field| !field.is_empty()), ..self }
    }

    pub(super) fn excerpt(self, excerpt: String) -> Self {
        Self { excerpt: Some(excerpt).filter(|excerpt| !excerpt.is_empty()), ..self }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if let Some(Place { line, column }) = self.place {
            write!(formatter, ":{line}:{column}")?;
        }
        if let Some(field) = &self.field {
            write!(formatter, ": {field}")?;
        }
        write!(formatter, ": {}", self.message)
    }
}

/// All that is wrong with policy files, by file and place; never empty. It displays with the lines of the files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct LoadErrors(Vec<LoadError>);

impl LoadErrors {
    pub(super) fn new(mut errors: Vec<LoadError>) -> Self {
        errors.sort_by(|left, right| (&left.file, left.place).cmp(&(&right.file, right.place)));
        Self(errors)
    }

    /// Each thing that is wrong.
    pub fn iter(&self) -> impl Iterator<Item = &LoadError> {
        self.0.iter()
    }

    /// How many things are wrong, in words.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut files: Vec<_> = self.0.iter().map(|error| error.file.as_str()).collect();
        files.dedup();
        let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
        match files.as_slice() {
            [file] => format!("{} in {file}", count(self.0.len(), "problem")),
            files => format!("{} in {}", count(self.0.len(), "problem"), count(files.len(), "file")),
        }
    }
}

impl fmt::Display for LoadErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n\n")?;
            }
            error.fmt(formatter)?;
            if let Some(excerpt) = &error.excerpt {
                write!(formatter, "\n{excerpt}")?;
            }
        }
        Ok(())
    }
}
