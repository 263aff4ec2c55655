//! Mutates JSON as JSON: bytes flipped at random seldom get past a parser.
//!
//! Values are removed, doubled, moved, exchanged for one another or for words that Kubernetes knows. Every fourth mutation is
//! of bytes all the same, as bodies need not be JSON.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// The words of the dictionary, which libFuzzer reads too.
const DICTIONARY: &str = include_str!("../dictionary");

/// Mutates the JSON in the first `size` bytes, in place, and says how many there are then: at most `max_size`. `bytes` mutates
/// what is no JSON.
pub fn mutate(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    bytes: impl Fn(&mut [u8], usize, usize) -> usize,
) -> usize {
    let mut rng = Rng::with_seed(u64::from(seed));
    let Ok(mut document) = serde_json::from_slice::<Value>(&data[..size]) else { return bytes(data, size, max_size) };
    if rng.u8(..4) == 0 {
        return bytes(data, size, max_size);
    }
    for _ in 0..rng.usize(1..4) {
        change(&mut document, &mut rng);
    }
    let text = document.to_string();
    if text.len() > max_size {
        return bytes(data, size, max_size);
    }
    data[..text.len()].copy_from_slice(text.as_bytes());
    text.len()
}

fn change(document: &mut Value, rng: &mut Rng) {
    let mut paths = Vec::new();
    collect(document, &mut String::new(), &mut paths);
    let source = paths.get(rng.usize(..paths.len())).and_then(|path| document.pointer(path)).cloned();
    let key = keys(document, rng);
    let Some(place) = document.pointer_mut(&paths[rng.usize(..paths.len())]) else { return };
    match rng.u8(..8) {
        0 => *place = Value::Null,
        1 => *place = word(rng),
        2 => *place = scalar(rng),
        3 => *place = source.unwrap_or_default(),
        4 => match place {
            Value::Object(members) => drop(members.insert(key, source.unwrap_or_default())),
            Value::Array(items) => items.insert(rng.usize(..=items.len()), source.unwrap_or_default()),
            _ => *place = scalar(rng),
        },
        5 => match place {
            Value::Object(members) if !members.is_empty() => {
                let name = members.keys().nth(rng.usize(..members.len())).cloned().unwrap_or_default();
                members.remove(&name);
            }
            Value::Array(items) if !items.is_empty() => drop(items.remove(rng.usize(..items.len()))),
            _ => *place = Value::Null,
        },
        6 => match place {
            Value::Object(members) => drop(members.insert(key, word(rng))),
            Value::Array(items) if !items.is_empty() => {
                let item = items[rng.usize(..items.len())].clone();
                items.insert(rng.usize(..=items.len()), item);
            }
            Value::String(text) => text.push_str(word(rng).as_str().unwrap_or_default()),
            other => *other = scalar(rng),
        },
        _ => match place {
            Value::Number(number) => *place = json!(number.as_i64().unwrap_or_default().wrapping_add(rng.i64(-2..=2))),
            Value::String(text) => *text = text.chars().filter(|_| rng.u8(..8) > 0).collect(),
            Value::Array(items) => items.reverse(),
            other => *other = scalar(rng),
        },
    }
}

/// The JSON pointer of every value.
fn collect(value: &Value, path: &mut String, paths: &mut Vec<String>) {
    paths.push(path.clone());
    let length = path.len();
    let mut member = |name: &str, value: &Value| {
        path.push('/');
        path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        collect(value, path, paths);
        path.truncate(length);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| member(name, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| member(&index.to_string(), item)),
        _ => {}
    }
}

/// A key: one of the document, or a word.
fn keys(document: &Value, rng: &mut Rng) -> String {
    if rng.bool() {
        return word(rng).as_str().unwrap_or_default().to_owned();
    }
    let mut all = Vec::new();
    let mut open = vec![document];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                all.extend(members.keys());
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    if all.is_empty() { String::new() } else { all[rng.usize(..all.len())].clone() }
}

/// A word of the dictionary.
fn word(rng: &mut Rng) -> Value {
    let lines = || DICTIONARY.lines().filter(|line| line.starts_with('"'));
    let line = lines().nth(rng.usize(..lines().count())).unwrap_or_default();
    Value::String(line.trim_matches('"').to_owned())
}

fn scalar(rng: &mut Rng) -> Value {
    match rng.u8(..12) {
        0 => json!(0),
        1 => json!(1),
        2 => json!(rng.i32(..)),
        3 => json!(i64::from(i32::MAX) + 1),
        4 => json!(u64::MAX),
        5 => json!(-1),
        6 => json!(1e300),
        7 => json!(true),
        8 => json!("\u{1b}[31m\n\u{0}"),
        9 => json!("50%"),
        10 => Value::Object(Map::new()),
        _ => json!([]),
    }
}
