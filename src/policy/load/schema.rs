//! The JSON Schema of a policy file.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::decode::Written;

/// The JSON Schema of a policy file, for editors: whatever loads is valid, and most of what doesn't load is not. A few mistakes
/// show only when all of a file is known, such as a weight of a required term.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft07().with_transform(ForReaders);
    let mut generator = settings.into_generator();
    let mut schema = Written::json_schema(&mut generator);
    schema.insert("$schema".to_owned(), "http://json-schema.org/draft-07/schema#".into());
    schema.insert("title".to_owned(), "AvailabilityPolicy".into());
    schema.insert("definitions".to_owned(), Value::Object(generator.take_definitions(true)));
    ForReaders.transform(&mut schema);
    schema.to_value()
}

/// Leaves out what only the source's readers have a use for: the numbers of lessons, and defaults that say nothing.
#[derive(Debug, Clone)]
struct ForReaders;

impl Transform for ForReaders {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = for_readers(text);
        }
        if schema.get("default").is_some_and(says_nothing) {
            schema.remove("default");
        }
        transform_subschemas(self, schema);
    }
}

fn says_nothing(default: &Value) -> bool {
    default.is_null() || default.as_array().is_some_and(Vec::is_empty)
}

fn for_readers(comment: &str) -> String {
    let mut text = comment.replace('\n', " ");
    while let Some(start) = text.find(" (L") {
        let Some(length) = text[start..].find(')') else { break };
        text.replace_range(start..=start + length, "");
    }
    text
}
