//! One event, one line: names and messages come from clients, who must not be able to write lines that look like ours, nor to
//! move a terminal's cursor.

use std::io::{Result, Write};

/// Writes each event with the control characters inside it escaped. Given whole events, each with its line's end.
pub(super) struct OneLine<W> {
    pub(super) writer: W,
    /// Whether sequences that set a colour pass: most are ours, and others do no harm.
    pub(super) coloured: bool,
}

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> Result<usize> {
        // Every control character is of one byte, or of two that begin with 0xc2.
        let suspicious = |byte: &u8| byte.is_ascii_control() || *byte == 0xc2;
        let line = event.strip_suffix(b"\n").unwrap_or(event);
        if line.iter().any(suspicious) {
            self.writer.write_all(self.escaped(&String::from_utf8_lossy(line)).as_bytes())?;
        } else {
            self.writer.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> Result<()> {
        self.writer.flush()
    }
}

impl<W> OneLine<W> {
    fn escaped(&self, line: &str) -> String {
        let mut escaped = String::with_capacity(line.len() + 16);
        for (at, char) in line.char_indices() {
            if char.is_control() && !(self.coloured && sets_colour(&line[at..])) {
                escaped.extend(char.escape_default());
            } else {
                escaped.push(char);
            }
        }
        escaped + "\n"
    }
}

/// Whether the text begins with an escape sequence that sets colour or style: `ESC [ 1 ; 31 m`.
fn sets_colour(text: &str) -> bool {
    let sequence = text.strip_prefix("\u{1b}[");
    sequence
        .is_some_and(|rest| rest.trim_start_matches(|char: char| char.is_ascii_digit() || char == ';').starts_with('m'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(event: &str, coloured: bool) -> String {
        let mut line = OneLine { writer: Vec::new(), coloured };
        line.write_all(event.as_bytes()).unwrap();
        String::from_utf8(line.writer).unwrap()
    }

    #[test]
    fn escapes_what_is_no_colour_on_a_terminal() {
        let event = "\u{1b}[1;31mERROR\u{1b}[0m näme \u{1b}[2J \u{1b}]0;title\u{7} \r\n\u{9b}2J\n";
        let expected = "\u{1b}[1;31mERROR\u{1b}[0m näme \\u{1b}[2J \\u{1b}]0;title\\u{7} \\r\\n\\u{9b}2J\n";
        assert_eq!(written(event, true), expected);
        assert_eq!(written("\u{1b}[31mx\n", false), "\\u{1b}[31mx\n");
        assert_eq!(written("dataßase\n", false), "dataßase\n");
    }
}
