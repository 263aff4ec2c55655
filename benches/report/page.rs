//! The page: the template, with what was found in its places.

use std::fmt::Write as _;

use crate::found::{Allocations, Estimate, Found};
use crate::machine;
use crate::scale;
use crate::world::result::{Budget, Figure, Results, Table};

/// What is the same whatever was measured: the method above all.
const TEMPLATE: &str = include_str!("template.md");

/// The template, filled in.
pub(crate) fn render(found: &Found, runs: &str) -> String {
    let measured = |bench: &str, results: &Option<Results>| results.as_ref().map_or_else(|| absent(bench), details);
    let filled = [
        ("machine", machine::describe()),
        ("budgets", budgets(found)),
        ("runs", runs.to_owned()),
        ("https", measured("https", &found.https)),
        ("cluster", measured("cluster", &found.cluster)),
        ("memory", measured("cluster", &found.memory)),
        ("allocations", found.allocations.as_ref().map_or_else(|| absent("allocations"), allocations)),
        ("decision", found.decision.as_deref().map_or_else(|| absent("decision"), estimates)),
        ("scale", scale::describe(found)),
    ];
    let page = filled.iter().fold(TEMPLATE.to_owned(), |page, (place, text)| {
        assert!(page.contains(&format!("{{{{{place}}}}}")), "the template has no {place}");
        page.replace(&format!("{{{{{place}}}}}"), text.trim_end())
    });
    assert!(!page.contains("{{"), "the template has a place for what is not there");
    page
}

/// Whether a figure keeps its budget, in a word; nothing where there is none.
pub(crate) fn verdict(figure: &Figure) -> &'static str {
    match figure.budget {
        Budget::None => "",
        budget if budget.is_kept(figure.measured) => "kept",
        _ => "MISSED",
    }
}

/// Every figure that has a budget.
fn budgets(found: &Found) -> String {
    let row = |(bench, figure): (&str, &Figure)| {
        let budget = match figure.budget {
            Budget::AtMost(most) => format!("≤ {most} {}", figure.unit),
            Budget::AtLeast(least) => format!("≥ {least} {}", figure.unit),
            Budget::None => return None,
        };
        let verdict = verdict(figure).to_owned();
        let [measured, spread] = cells(figure);
        Some(vec![bench.to_owned(), figure.what.clone(), measured, spread, budget, verdict])
    };
    let rows: Vec<_> = found.figures().filter_map(row).collect();
    let mut text = markdown(&["measured by", "what", "median", "quartiles", "budget", ""], &rows);
    for bench in found.missing() {
        let _ = writeln!(text, "\n{}", absent(bench));
    }
    text
}

/// The figures of a bench for which there is no budget, and its tables.
fn details(results: &Results) -> String {
    let beside = results.figures.iter().filter(|figure| matches!(figure.budget, Budget::None));
    let rows: Vec<_> = beside
        .map(|figure| {
            let [measured, spread] = cells(figure);
            vec![figure.what.clone(), measured, spread]
        })
        .collect();
    let mut text = String::new();
    if !rows.is_empty() {
        let _ = writeln!(text, "{}", markdown(&["beside the budgets", "median", "quartiles"], &rows));
    }
    for Table { title, head, rows } in &results.tables {
        let head: Vec<_> = head.iter().map(String::as_str).collect();
        let _ = writeln!(text, "**{title}**\n\n{}", markdown(&head, rows));
    }
    text
}

fn cells(figure: &Figure) -> [String; 2] {
    let Figure { measured, spread: (low, high), unit, .. } = figure;
    let spread = if low < high { format!("{} to {}", number(*low), number(*high)) } else { String::new() };
    [format!("{} {unit}", number(*measured)), spread]
}

/// As many digits as mean something.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn allocations(allocations: &Allocations) -> String {
    let row = |(what, count): (&String, &crate::found::Count)| {
        vec![what.clone(), count.count.to_string(), format!("{:.1}", kib(count.bytes))]
    };
    let rows: Vec<_> = allocations.counts.iter().map(row).collect();
    format!(
        "The body has {:.1} KiB.\n\n{}",
        kib(allocations.body),
        markdown(&["one call of", "allocations", "KiB in all"], &rows)
    )
}

#[allow(clippy::cast_precision_loss, reason = "they are small")]
fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

fn estimates(estimates: &[Estimate]) -> String {
    let parse = estimates.iter().find(|of| of.name == "parse").map(|of| of.median);
    let row = |of: &Estimate| {
        let [median, low, high] = [of.median, of.interval.0, of.interval.1].map(|time| number(time / 1e3));
        let ratio = parse.map(|parse| number(of.median / parse)).unwrap_or_default();
        vec![format!("{} / {}", of.group, of.name), median, format!("{low} to {high}"), ratio]
    };
    let rows: Vec<_> = estimates.iter().map(row).collect();
    markdown(&["what", "median µs", "95 % confidence", "× `parse`"], &rows)
}

fn absent(bench: &str) -> String {
    format!("Not measured: `cargo bench --bench {bench}`.")
}

/// A table; numbers stand at the right.
pub(crate) fn markdown(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let is_number =
        |text: &String| text.is_empty() || text.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    let rule = |column: usize| {
        let numbers = column > 0 && rows.iter().all(|row| row.get(column).is_none_or(is_number));
        if numbers { "---:" } else { "---" }
    };
    let head_line = line(&head.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
    let rules = format!("|{}|\n", (0..head.len()).map(rule).collect::<Vec<_>>().join("|"));
    let rows: String = rows.iter().map(|row| line(row)).collect();
    format!("{head_line}{rules}{rows}")
}
