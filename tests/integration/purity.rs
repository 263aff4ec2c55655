//! The core is pure: no I/O, no clock, not async, no client, nothing of the house but itself.

use std::path::Path;
use std::{fs, iter};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// The modules of the core; the ones that don't exist yet are pure once they do.
const CORE: &[&str] = &["facts", "policy", "rules", "mutate", "review", "budget", "plain"];

/// What a path in the core must not begin with.
const FORBIDDEN: &[&str] = &[
    "tokio",
    "futures",
    "kube",
    "axum",
    "hyper",
    "hyper_util",
    "tower",
    "rustls",
    "notify",
    "tracing",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::io",
    "std::thread",
    "crate::admission",
    "crate::cluster",
    "crate::controller",
    "crate::server",
    "crate::certs",
    "crate::telemetry",
    "crate::cli",
    "crate::files",
];

/// What a path in the core must not hold anywhere.
const CLOCKS: &[&str] = &["SystemTime", "Instant", "Timestamp::now", "Zoned::now"];

/// Macros that write to the outside.
const OUTPUT: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];

#[test]
fn the_core_is_pure() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut offences = Vec::new();
    let mut files = 0;
    for module in CORE {
        for file in rust_files(&source.join(module)) {
            let text = fs::read_to_string(&file).unwrap();
            let name = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display();
            offences.extend(scan(&text).into_iter().map(|(line, what)| format!("{name}:{line}: {what}")));
            files += 1;
        }
    }
    assert!(files > 20, "only {files} files of the core were found");
    assert!(offences.is_empty(), "the core names what only the edges may:\n{}", offences.join("\n"));
}

#[test]
fn the_scanner_finds_what_offends() {
    let sample = r#"
        //! Comments may name tokio::spawn, and so may "tracing::info".
        use std::collections::BTreeMap;
        use std::{fmt, fs::File, net};
        use crate::{facts::Labels, cluster::{Index, Live}};
        use super::super::files;
        use k8s_openapi::api::core::v1::Pod;
        /// std::env::var in a docstring.
        fn pure(kube: &str) -> String { let hyper = "std::fs::read"; format!("{kube} // {hyper}") }
        async fn waits() {}
        fn reads() { let _ = ::std::env::var("HOME"); if true { tracing::info!("x"); } }
        fn clock() -> jiff::Timestamp { jiff::Timestamp::now() }
        fn ticks() -> std::time::Instant { std::time::Instant::now() }
        fn talks() { println!("{}", kube::Client::try_default()); }
        use tokio;
    "#;
    let found: Vec<_> = scan(sample).into_iter().map(|(line, what)| format!("{line} {what}")).collect();
    let expected = [
        "4 std::fs::File",
        "4 std::net",
        "5 crate::cluster::Index",
        "5 crate::cluster::Live",
        "6 crate::files",
        "10 async",
        "11 std::env::var",
        "11 tracing::info",
        "12 jiff::Timestamp::now",
        "13 std::time::Instant",
        "13 std::time::Instant::now",
        "14 println!",
        "14 kube::Client::try_default",
        "15 tokio",
    ];
    assert_eq!(found, expected);
}

/// The offences of a Rust file: line and what is named there.
fn scan(source: &str) -> Vec<(usize, String)> {
    let tokens: TokenStream = source.parse().unwrap();
    let mut offences = Vec::new();
    walk(tokens, &[], &mut offences);
    offences
}

/// Visits every path in the tokens. In the braces of `use a::{b, c}` each path goes on from `prefix`.
fn walk(tokens: TokenStream, prefix: &[String], offences: &mut Vec<(usize, String)>) {
    let mut tokens = tokens.into_iter().peekable();
    let mut path = prefix.to_vec();
    let mut line = 0;
    let mut imported = !prefix.is_empty();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ident) => {
                line = ident.span().start().line;
                let word = ident.to_string();
                let next = tokens.peek().map(ToString::to_string).unwrap_or_default();
                match word.as_str() {
                    "async" => offences.push((line, word.clone())),
                    _ if next == "!" && OUTPUT.contains(&word.as_str()) => offences.push((line, format!("{word}!"))),
                    _ => {}
                }
                if word == "use" {
                    imported = true;
                } else {
                    path.push(word);
                }
                if next == ":" && continues(&mut tokens) {
                    continue;
                }
            }
            TokenTree::Group(group) => {
                // A group that follows `::` goes on with the path, any other begins anew.
                let nested = if group.delimiter() == Delimiter::Brace && imported { path.as_slice() } else { &[] };
                walk(group.stream(), nested, offences);
                path.clear();
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => imported = false,
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        if path.len() > prefix.len() {
            offences.extend(offence(&path, imported).map(|what| (line, what)));
        }
        path = prefix.to_vec();
    }
}

/// Takes the rest of a `::`, if that is what follows, and says whether it did.
fn continues(tokens: &mut iter::Peekable<impl Iterator<Item = TokenTree>>) -> bool {
    let double = matches!(tokens.peek(), Some(TokenTree::Punct(colon)) if colon.spacing() == Spacing::Joint);
    if double {
        tokens.next();
        tokens.next();
    }
    double
}

/// The path as an offence, if it is one. A single word counts only where it is imported: elsewhere it is a variable.
fn offence(path: &[String], imported: bool) -> Option<String> {
    if path.len() < 2 && !imported {
        return None;
    }
    let outward = path.iter().take_while(|segment| ["super", "crate", "self"].contains(&segment.as_str())).count();
    let mut segments = path[outward..].to_vec();
    if outward > 0 {
        segments.insert(0, "crate".to_owned());
    }
    let named = segments.join("::");
    let begins = FORBIDDEN.iter().any(|forbidden| named == *forbidden || named.starts_with(&format!("{forbidden}::")));
    let tells_time = CLOCKS.iter().any(|clock| format!("::{named}::").contains(&format!("::{clock}::")));
    (begins || tells_time).then_some(named)
}

fn rust_files(directory: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
