//! The JSON Schema of policy files, and the tables of `docs/policies.md` that are made from it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use quorate::policy::schema;
use serde_json::{Map, Value};

const SCHEMA: &str = "docs/availabilitypolicy.schema.json";
const REFERENCE: &str = "docs/policies.md";

/// The mark before a table, with the path of the fields in it, and the one behind it.
const BEGINS: &str = "<!-- fields of ";
const ENDS: &str = "<!-- end of fields -->";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn up_to_date(name: &str, expected: &str) {
    if std::env::var_os("QUORATE_WRITE_DOCS").is_some() {
        fs::write(path(name), expected).unwrap();
    }
    let found = fs::read_to_string(path(name)).unwrap_or_default();
    assert!(found == expected, "{name} is not what src/policy and src/rules say: run `make docs`");
}

#[test]
fn the_schema_for_editors_is_what_the_command_prints() {
    let printed = Command::new(env!("CARGO_BIN_EXE_quorate")).args(["policy", "schema"]).output().unwrap();
    assert!(printed.status.success());
    up_to_date(SCHEMA, &String::from_utf8(printed.stdout).unwrap());
}

#[test]
fn the_reference_of_policies_is_up_to_date() {
    let text = fs::read_to_string(path(REFERENCE)).unwrap();
    let schema = schema();
    let mut expected = String::new();
    let mut in_table = false;
    for line in text.lines() {
        in_table &= line != ENDS;
        if !in_table {
            expected += line;
            expected.push('\n');
        }
        if let Some(of) = line.strip_prefix(BEGINS).and_then(|rest| rest.strip_suffix(" -->")) {
            expected += &table(&schema, of);
            in_table = true;
        }
    }
    assert!(expected.matches(BEGINS).count() >= 4, "{REFERENCE} has lost its tables");
    up_to_date(REFERENCE, &expected);
}

/// The table of what is below some fields of `spec`; a field's own row too where an ellipsis follows its name.
fn table(schema: &Value, of: &str) -> String {
    let mut table = "\n| Field | Is | Default | Meaning |\n|---|---|---|---|\n".to_owned();
    let spec = resolve(schema, &schema["properties"]["spec"]);
    for name in of.split(", ") {
        let (name, whole) = name.strip_suffix("…").map_or((name, false), |name| (name, true));
        let field = &spec["properties"][name];
        assert!(field.is_object(), "spec has no field {name}");
        if whole {
            rows(schema, field, name, is_required(spec, name), &mut table);
        } else {
            rows_below(schema, field, "", &mut table);
        }
    }
    table.push('\n');
    table
}

/// A row for a field, and one for each below it.
fn rows(schema: &Value, field: &Value, name: &str, required: bool, table: &mut String) {
    let default = match &field["default"] {
        _ if required => "required".to_owned(),
        Value::Null => "–".to_owned(),
        Value::String(word) => format!("`{word}`"),
        value => format!("`{value}`"),
    };
    let text = field["description"].as_str().unwrap_or_default();
    assert!(!text.is_empty(), "{name} has no description");
    let _ = writeln!(table, "| `{name}` | {} | {default} | {} |", kind(schema, field), text.trim_end_matches('.'));
    rows_below(schema, field, &format!("{name}."), table);
}

fn rows_below(schema: &Value, field: &Value, prefix: &str, table: &mut String) {
    let mut mapping = resolve(schema, field);
    let mut prefix = prefix.to_owned();
    if mapping["items"].is_object() {
        mapping = resolve(schema, &mapping["items"]);
        prefix = prefix.replace('.', "[].");
    }
    // A selector is Kubernetes' own, and explained there.
    if mapping["properties"]["matchLabels"].is_object() {
        return;
    }
    let empty = Map::new();
    let fields = mapping["properties"].as_object().unwrap_or(&empty);
    let is_rule = |name: &str| prefix.is_empty() && resolve(schema, &fields[name])["properties"]["action"].is_object();
    // Required ones first; the schema has no other order.
    let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
    names.sort_by_key(|name| (*name != "action", !is_required(mapping, name), *name));
    for name in names {
        let below = format!("{prefix}{name}");
        if is_rule(name) {
            rows_below(schema, &fields[name], &format!("{below}."), table);
        } else {
            rows(schema, &fields[name], &below, is_required(mapping, name), table);
        }
    }
}

fn is_required(mapping: &Value, name: &str) -> bool {
    mapping["required"].as_array().is_some_and(|names| names.iter().any(|each| each == name))
}

/// What is behind references, and beside `null`.
fn resolve<'a>(schema: &'a Value, field: &'a Value) -> &'a Value {
    if let Some(reference) = field["$ref"].as_str() {
        return resolve(schema, schema.pointer(reference.trim_start_matches('#')).unwrap());
    }
    let choices = field["allOf"].as_array().or(field["anyOf"].as_array());
    let mut some = choices.into_iter().flatten().filter(|choice| choice["type"] != "null");
    match (some.next(), some.next()) {
        (Some(only), None) => resolve(schema, only),
        _ => field,
    }
}

/// What a field is, in words.
fn kind(schema: &Value, field: &Value) -> String {
    let field = resolve(schema, field);
    let words = |values: Vec<&Value>| {
        let words: Vec<_> = values.iter().filter_map(|value| value.as_str()).map(|word| format!("`{word}`")).collect();
        words.join(", ")
    };
    if let Some(values) = field["enum"].as_array() {
        let is_action = values.iter().any(|value| value == "Audit");
        return if is_action { "action".to_owned() } else { words(values.iter().collect()) };
    }
    if let Some(choices) = field["oneOf"].as_array() {
        return words(choices.iter().map(|choice| &choice["const"]).collect());
    }
    if let Some(choices) = field["anyOf"].as_array() {
        let kinds: Vec<_> = choices.iter().map(|choice| kind(schema, choice)).collect();
        return kinds.join(", ");
    }
    if let Some(word) = field["const"].as_str() {
        return format!("`{word}`");
    }
    let types = match &field["type"] {
        Value::Array(types) => types.iter().find(|name| *name != "null").cloned().unwrap_or_default(),
        name => name.clone(),
    };
    match types.as_str().unwrap_or_default() {
        "array" => format!("list of {}", plural(&kind(schema, &field["items"]))),
        "integer" => match (field["minimum"].as_u64(), field["maximum"].as_u64()) {
            (Some(least), Some(most)) if most < 1000 => format!("number, {least} to {most}"),
            (Some(least), _) => format!("number from {least}"),
            _ => "number".to_owned(),
        },
        "boolean" => "`true`, `false`".to_owned(),
        "object" if field["properties"]["matchLabels"].is_object() => "label selector".to_owned(),
        "object" => "mapping".to_owned(),
        "string" if field["format"] == "date" => "date".to_owned(),
        "string" if field["pattern"].as_str().is_some_and(|pattern| pattern.ends_with("%$")) => "percentage".to_owned(),
        "string" if field["pattern"] == "^[^/]+/[^/]+$" => "glob".to_owned(),
        "string" if field["pattern"].is_string() => "label key".to_owned(),
        "string" => "text".to_owned(),
        other => panic!("what is a {other:?}? {field}"),
    }
}

fn plural(kind: &str) -> String {
    if kind == "text" { "texts".to_owned() } else { format!("{kind}s") }
}

fn files(directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(path(directory)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

/// The documents of a file, or nothing where it is no YAML.
fn documents(file: &Path) -> Option<Vec<Value>> {
    serde_saphyr::from_multiple(&fs::read_to_string(file).ok()?).ok()
}

#[test]
fn what_loads_is_valid_and_what_is_shipped_names_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let shipped = ["policies", "policies/databases", "policies/trial"].map(files).concat();
    assert!(shipped.len() >= 4);
    for file in &shipped {
        let up = "../".repeat(file.strip_prefix(path("")).unwrap().components().count() - 1);
        let line = format!("# yaml-language-server: $schema={up}{SCHEMA}\n");
        assert!(fs::read_to_string(file).unwrap().starts_with(&line), "{} lacks {line}", file.display());
    }
    for file in shipped {
        for document in documents(&file).unwrap() {
            let wrong = validator.iter_errors(&document).map(|error| error.to_string()).collect::<Vec<_>>();
            assert!(wrong.is_empty(), "{}: {wrong:?}", file.display());
        }
    }
}

/// What the schema can't say: it is found when the file is loaded.
const BEYOND_THE_SCHEMA: &[&str] = &[
    "bad-glob.yaml",
    "empty.yaml",
    "minimum-too-large.yaml",
    "name-twice.yaml",
    "only-comments.yaml",
    "selector-with-values.yaml",
    "selector-without-values.yaml",
    "topology-key-twice.yaml",
    "unknown-tag.yaml",
    "weight-with-required.yaml",
    "when-infeasible-with-preferred.yaml",
];

#[test]
fn the_schema_finds_what_loading_finds() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let mut beyond = Vec::new();
    for file in files("tests/fixtures/policies/bad") {
        let Some(documents) = documents(&file) else { continue };
        if documents.iter().all(|document| validator.is_valid(document)) {
            beyond.push(file.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    assert_eq!(beyond, BEYOND_THE_SCHEMA);
}
