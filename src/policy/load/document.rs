//! The documents of a file. Each is decoded on its own, so that one mistake hides none in the next.

use super::{LoadError, Place};

/// How many documents a file may hold.
const MAX_DOCUMENTS: usize = 1000;

/// One document of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a> {
    /// The file's path.
    pub(super) file: &'a str,
    /// The document's text.
    pub(super) text: &'a str,
    /// How many lines of the file come before it.
    pub(super) lines_before: usize,
}

impl Document<'_> {
    /// A line of the file.
    pub(super) fn line(&self, line: usize) -> Option<&str> {
        self.text.lines().nth(line.checked_sub(self.lines_before + 1)?)
    }
}

/// The documents of a file that hold something.
pub(super) fn split<'a>(file: &'a str, bytes: &'a [u8]) -> Result<Vec<Document<'a>>, LoadError> {
    let text = text(file, bytes)?;
    let mut documents = Vec::new();
    let mut document = Document { file, text: "", lines_before: 0 };
    let (mut start, mut end, mut holds_something) = (0, 0, false);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        // Three dashes or dots in the first column divide documents wherever they stand, even inside of quotes.
        let rest = line.strip_prefix("---").or_else(|| line.strip_prefix("..."));
        let divides = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if divides && holds_something {
            documents.push(Document { text: &text[start..end], ..document });
            (start, holds_something) = (end, false);
            document.lines_before = number;
        }
        let content = if divides { rest.unwrap_or_default() } else { line }.trim();
        let is_directive = line.starts_with('%') && !holds_something;
        holds_something |= !(content.is_empty() || content.starts_with('#') || is_directive);
        end += line.len();
        if line.starts_with("...") && divides && !holds_something {
            start = end;
            document.lines_before = number + 1;
        }
    }
    if holds_something {
        documents.push(Document { text: &text[start..end], ..document });
    }
    if documents.len() > MAX_DOCUMENTS {
        let message = format!("holds {} documents; write at most {MAX_DOCUMENTS} into one file", documents.len());
        return Err(LoadError::new(file, message));
    }
    if documents.is_empty() {
        let holds = if text.trim().is_empty() { "is empty" } else { "holds only comments" };
        return Err(LoadError::new(file, format!("{holds}; write an AvailabilityPolicy into it, or remove it")));
    }
    Ok(documents)
}

/// The file as text that YAML allows.
fn text<'a>(file: &'a str, bytes: &'a [u8]) -> Result<&'a str, LoadError> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(LoadError::new(file, "is UTF-16; save it as UTF-8"));
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        let message =
            format!("byte {} of the file, 0x{byte:02X}, is not UTF-8; save the file as UTF-8", error.valid_up_to() + 1);
        LoadError::new(file, message).at(end_of(&before))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // To YAML a lone carriage return ends a line, to editors and to us it doesn't: every place after it would be wrong.
    let forbidden = |(offset, each): &(usize, char)| match each {
        '\r' => !text[offset + 1..].starts_with('\n'),
        '\t' | '\n' | '\u{85}' => false,
        each => each.is_control(),
    };
    match text.char_indices().find(forbidden) {
        None => Ok(text),
        Some((offset, character)) => {
            let character = u32::from(character);
            let message = format!("the control character U+{character:04X} can't be in a policy file; remove it");
            Err(LoadError::new(file, message).at(end_of(&text[..offset])))
        }
    }
}

/// The place right after this text.
fn end_of(text: &str) -> Place {
    let last = text.rsplit('\n').next().unwrap_or_default();
    Place { line: text.matches('\n').count() + 1, column: last.chars().count() + 1 }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one("a: 1\n", &[(0, "a: 1\n")])]
    #[case::two("a: 1\n---\nb: 2", &[(0, "a: 1\n"), (1, "---\nb: 2")])]
    #[case::comments_first("# about\n---\na: 1\n", &[(0, "# about\n---\na: 1\n")])]
    #[case::empty_between("---\na: 1\n---\n# nothing\n---\nb: 2\n", &[(0, "---\na: 1\n"), (2, "---\n# nothing\n---\nb: 2\n")])]
    #[case::dots("a: 1\n...\nb: 2\n", &[(0, "a: 1\n"), (2, "b: 2\n")])]
    #[case::directive("%YAML 1.2\n---\na: 1\n", &[(0, "%YAML 1.2\n---\na: 1\n")])]
    #[case::on_the_same_line("--- {a: 1}\n--- {b: 2}\n", &[(0, "--- {a: 1}\n"), (1, "--- {b: 2}\n")])]
    #[case::lines_of_windows("a: 1\r\n---\r\nb: 2", &[(0, "a: 1\r\n"), (1, "---\r\nb: 2")])]
    #[case::dashes_inside("a: |\n  ---\n  b\n", &[(0, "a: |\n  ---\n  b\n")])]
    fn splits(#[case] text: &str, #[case] expected: &[(usize, &str)]) {
        let documents = split("file", text.as_bytes()).unwrap();
        let found: Vec<_> = documents.iter().map(|document| (document.lines_before, document.text)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_lone_carriage_return_has_its_place() {
        let error = split("file", b"a: 1\r\nb: 2\rc: 3\n").unwrap_err();
        assert_eq!(error.place, Some(Place { line: 2, column: 5 }));
        assert!(error.message.contains("U+000D"), "{error}");
    }
}
