//! Policies from the text of a file, with the place of every mistake.

use super::Policy;

/// What is wrong with a policy file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {message}")]
pub struct LoadError {
    /// The file's path.
    pub file: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Reads the policies of one file.
///
/// # Errors
///
/// The first mistake in the file.
pub fn parse(file: &str, _bytes: &[u8]) -> Result<Vec<Policy>, LoadError> {
    Err(LoadError { file: file.to_owned(), message: String::new() })
}
