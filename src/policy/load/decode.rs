//! One document to one policy.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_saphyr::{Error, Options};

use super::document::Document;
use super::locate::{self, Path};
use super::words::{self, About};
use super::{LoadError, Place, excerpt};
use crate::policy::values::{LabelKey, LabelValue, PolicyName, split_at};
use crate::policy::{Policy, Spec};

/// How deep a document may nest; the schema needs eight levels.
pub(super) const MAX_DEPTH: usize = 32;
/// How many values a document may hold.
pub(super) const MAX_NODES: usize = 10_000;
/// How many values the aliases of a document may expand to.
pub(super) const MAX_ALIASED: usize = 10_000;

/// What tells a policy from other objects; looked at first, as the rest of another object would only confuse.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a mapping")]
struct Header {
    #[serde(rename = "apiVersion")]
    _api_version: ApiVersion,
    #[serde(rename = "kind")]
    _kind: Kind,
}

#[derive(Deserialize, JsonSchema)]
enum ApiVersion {
    #[serde(rename = "quorate.dev/v1alpha1")]
    V1Alpha1,
}

#[derive(Deserialize, JsonSchema)]
enum Kind {
    AvailabilityPolicy,
}

/// What a platform team asks of StatefulSets, and what is done about those that fall short.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub(super) struct Written {
    #[serde(rename = "apiVersion")]
    _api_version: ApiVersion,
    #[serde(rename = "kind")]
    _kind: Kind,
    metadata: Metadata,
    /// What is asked. What a policy does not name, it does not do.
    spec: Spec,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
struct Metadata {
    /// No two policies of a set share a name.
    name: PolicyName,
    #[serde(default, rename = "labels")]
    _labels: BTreeMap<LabelKey, LabelValue>,
    #[serde(default, rename = "annotations")]
    _annotations: BTreeMap<LabelKey, String>,
}

/// The policy of a document.
pub(super) fn policy(document: &Document<'_>) -> Result<Policy, LoadError> {
    let written = decode::<Header>(document).and_then(|_| decode::<Written>(document));
    match written {
        Ok(Written { metadata, spec, .. }) => Ok(Policy { name: metadata.name.into(), spec }),
        Err(failed) => {
            let (error, path) = *failed;
            Err(explain(document, &error, path))
        }
    }
}

/// How documents are read: strictly, and without letting a small file grow big.
pub(super) fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES, max_documents: 2 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED },
        // As Kubernetes: what YAML takes for a number or a boolean is no text unless it is quoted.
        no_schema: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn decode<T: DeserializeOwned>(document: &Document<'_>) -> Result<T, Box<(Error, Path)>> {
    let mut path = Path::default();
    let decoded = serde_saphyr::with_deserializer_from_str_with_options(document.text, options(), |deserializer| {
        let mut track = serde_path_to_error::Track::new();
        let decoded = T::deserialize(serde_path_to_error::Deserializer::new(deserializer, &mut track));
        path = Path::from(&track.path());
        decoded
    });
    decoded.map_err(|error| Box::new((error, path)))
}

fn explain(document: &Document<'_>, error: &Error, path: Path) -> LoadError {
    let error = innermost(error);
    let at_error = error.location().map(|location| locate::place(document, location));
    if let Error::Message { msg, .. } = error
        && let Some((rest, message)) = split_at(msg)
    {
        let path = path.join(rest);
        return show(document, locate::find(document, &path).place, &path, message.to_owned());
    }
    let about = words::about(error);
    if about == About::Text {
        // The path is where reading stopped, not what is wrong.
        let place = at_error.unwrap_or(Place { line: document.lines_before + 1, column: 1 });
        return show(document, place, &Path::default(), words::explain(error, "", ""));
    }
    let found = locate::find(document, &path);
    let place = if about == About::Key { at_error.unwrap_or(found.place) } else { found.place };
    show(document, place, &path, words::explain(error, path.key(), &found.written))
}

/// The error itself, without what is wrapped around it.
pub(super) fn innermost(error: &Error) -> &Error {
    match error.without_snippet() {
        Error::AliasError { error, .. } => error.without_snippet(),
        error => error,
    }
}

fn show(document: &Document<'_>, place: Place, path: &Path, message: String) -> LoadError {
    LoadError::new(document.file, message).at(place).field(path.to_string()).excerpt(excerpt::show(document, place))
}
