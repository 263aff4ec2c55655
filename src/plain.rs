//! Text that somebody else wrote, as it is fit to be shown: in messages, in warnings, in log lines, on terminals.
//!
//! Whoever writes a name or an annotation must not be able to forge a line of a log, to command a terminal, or to make an answer
//! as long as a body. Knows nothing but text.

use std::fmt::{self, Write};

/// The most characters of one piece of text that are shown.
const LONGEST: usize = 500;

/// The text on one line: what isn't visible is escaped, and what is long is cut.
///
/// ```
/// # use quorate::plain::plain;
/// assert_eq!(plain("db\n\u{1b}[31m").to_string(), r"db\n\u{1b}[31m");
/// ```
#[must_use]
pub fn plain(text: &str) -> Plain<'_> {
    Plain(text)
}

/// Text that displays on one line; see [`plain`].
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, character) in self.0.chars().enumerate() {
            if index == LONGEST {
                return formatter.write_char('…');
            }
            if is_invisible(character) {
                write!(formatter, "{}", character.escape_default())?;
            } else {
                formatter.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Whether a terminal obeys the character, or shows it nowhere, rather than show it: controls, ends of lines, marks that turn
/// the direction of text.
#[must_use]
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The lines that are shown of many: the first ones, and how many more there are.
#[must_use]
pub fn first_of(lines: Vec<String>, most: usize, further: usize) -> Vec<String> {
    let more = lines.len().saturating_sub(most) + further;
    let mut lines = lines;
    if more > 0 {
        lines.truncate(most);
        lines.push(format!("and {more} more"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::as_it_is("spec.replicas: 1 is below the minimum 3", "spec.replicas: 1 is below the minimum 3")]
    #[case::accents("Größe ✓ 東京", "Größe ✓ 東京")]
    #[case::another_line("db\n2026-11-23 INFO forged", r"db\n2026-11-23 INFO forged")]
    #[case::terminal("\u{1b}]0;title\u{7}", r"\u{1b}]0;title\u{7}")]
    #[case::carriage_return("a\rb\tc", r"a\rb\tc")]
    #[case::direction("\u{202e}lla", r"\u{202e}lla")]
    #[case::end_of_line_of_unicode("a\u{2028}b\u{85}c", r"a\u{2028}b\u{85}c")]
    fn shows_what_is_visible(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(plain(text).to_string(), shown);
    }

    #[test]
    fn cuts_what_is_long() {
        let shown = plain(&"ü".repeat(1_000_000)).to_string();
        assert_eq!(shown.chars().count(), LONGEST + 1);
        assert!(shown.ends_with('…'));
    }

    #[test]
    fn says_how_many_more_there_are() {
        let lines = |count: usize| (0..count).map(|line| line.to_string()).collect();
        assert_eq!(first_of(lines(3), 3, 0), ["0", "1", "2"]);
        assert_eq!(first_of(lines(9), 2, 0), ["0", "1", "and 7 more"]);
        assert_eq!(first_of(lines(2), 2, 7), ["0", "1", "and 7 more"]);
    }
}
