//! Globs of ServiceAccounts.

use std::borrow::Cow;

use globset::{Glob, GlobMatcher};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::quoted;

/// A glob of ServiceAccounts, `namespace/name`. Each side is a glob of its own, so that no `*` is about both.
#[derive(Debug, Clone)]
pub struct AccountPattern {
    namespace: GlobMatcher,
    name: GlobMatcher,
}

impl AccountPattern {
    /// Whether this is the user name of a ServiceAccount that matches. No other user does.
    #[must_use]
    pub fn matches(&self, username: &str) -> bool {
        let account = username.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
        account.is_some_and(|(namespace, name)| self.namespace.is_match(namespace) && self.name.is_match(name))
    }

    /// Every ServiceAccount of the Namespaces that match.
    pub(in crate::policy) fn all_of(namespace: &str) -> Option<Self> {
        Self::parse(&format!("{namespace}/*")).ok()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("{} {why}; write namespace/name of a ServiceAccount, such as \"argocd/*\"", quoted(text))
        };
        let (namespace, name) = text.split_once('/').ok_or_else(|| wrong("names no namespace"))?;
        if namespace.is_empty() || name.is_empty() {
            return Err(wrong("matches nothing"));
        }
        if name.contains('/') {
            return Err(wrong("has more than one slash"));
        }
        let glob = |side: &str| match Glob::new(side) {
            Ok(glob) => Ok(glob.compile_matcher()),
            Err(error) => Err(wrong(&format!("is no glob: {}", error.kind()))),
        };
        Ok(Self { namespace: glob(namespace)?, name: glob(name)? })
    }

    fn written(&self) -> String {
        format!("{}/{}", self.namespace.glob().glob(), self.name.glob().glob())
    }
}

impl PartialEq for AccountPattern {
    fn eq(&self, other: &Self) -> bool {
        self.namespace.glob() == other.namespace.glob() && self.name.glob() == other.name.glob()
    }
}

impl Eq for AccountPattern {}

impl Serialize for AccountPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written())
    }
}

impl<'de> Deserialize<'de> for AccountPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for AccountPattern {
    fn schema_name() -> Cow<'static, str> {
        "AccountPattern".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[^/]+/[^/]+$"})
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("argocd/*", "system:serviceaccount:argocd:argocd-application-controller", true)]
    #[case("*/operator", "system:serviceaccount:postgres:operator", true)]
    #[case("postgres/operator", "system:serviceaccount:postgres:operator", true)]
    #[case("postgres/operator", "system:serviceaccount:postgres:operator2", false)]
    #[case("postgres/operator", "system:serviceaccount:postgres2:operator", false)]
    // A star is about one side.
    #[case("post*/tor", "system:serviceaccount:postgres:operator", false)]
    // Others can't look like one: the API server's own names have exactly this form.
    #[case("*/*", "developer", false)]
    #[case("*/*", "postgres/operator", false)]
    #[case("*/*", "system:serviceaccount:postgres", false)]
    fn matches_by_namespace_and_name(#[case] pattern: &str, #[case] username: &str, #[case] expected: bool) {
        let pattern = AccountPattern::parse(pattern).unwrap();
        assert_eq!(pattern.matches(username), expected);
        assert_eq!(AccountPattern::parse(&pattern.written()).unwrap(), pattern);
    }

    #[rstest]
    fn one_that_is_about_no_account_is_no_pattern(
        #[values("", "operator", "/operator", "postgres/", "a/b/c", "[/x", "a/{b")] text: &str,
    ) {
        let why = AccountPattern::parse(text).unwrap_err();
        assert!(why.contains("write namespace/name of a ServiceAccount"), "{why}");
    }
}
