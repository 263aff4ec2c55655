//! The line of a file, and under it a caret where the mistake is.

use super::Place;
use super::document::Document;
use crate::plain::is_invisible;

/// Lines longer than this are cut around the place.
const WIDTH: usize = 100;

/// The line of the file with a caret under the column; empty where the file has no such line.
pub(super) fn show(document: &Document<'_>, place: Place) -> String {
    let Some(line) = document.line(place.line) else { return String::new() };
    // One character for another, so that the caret stands right.
    let shown = |each: char| if each != '\t' && is_invisible(each) { char::REPLACEMENT_CHARACTER } else { each };
    let characters: Vec<char> = line.chars().map(shown).collect();
    let column = (place.column - 1).min(characters.len());
    let first = if characters.len() <= WIDTH { 0 } else { column.saturating_sub(WIDTH / 2) };
    let last = characters.len().min(first + WIDTH);
    let cut = |at: bool| if at { "…" } else { "" };
    let before: String = characters[first..column].iter().collect();
    let after: String = characters[column..last].iter().collect();
    // Tabs stay tabs, so that the caret stands right however wide a terminal shows them.
    let indent: String = before.chars().map(|each| if each == '\t' { '\t' } else { ' ' }).collect();
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    format!(
        " {margin} |\n {number} | {}{before}{after}{}\n {margin} | {}{indent}^",
        cut(first > 0),
        cut(last < characters.len()),
        if first > 0 { " " } else { "" },
    )
}
