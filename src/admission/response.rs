//! The one place that builds AdmissionResponses (L2).

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch;
use serde::Serialize;

use super::decode::Incoming;
use super::failure::Failure;
use crate::plain::{first_of, plain};
use crate::policy::{OnInternalError, Policy};
use crate::review::{Decision, MOST_TOLD, Verdict, Violation};
use crate::rules::Action;

/// What is answered, before it is encoded.
#[derive(Debug)]
pub(super) struct Answer {
    verdict: &'static str,
    denial: Option<Denial>,
    patch: Option<String>,
    warnings: Vec<String>,
    annotations: BTreeMap<&'static str, String>,
}

#[derive(Debug)]
struct Denial {
    code: u16,
    reason: &'static str,
    message: String,
    causes: Vec<Cause>,
    retry_after_seconds: Option<u32>,
}

impl Answer {
    /// What Quorate has no say in is admitted without a word.
    pub(super) fn not_reviewed() -> Self {
        Self {
            verdict: Verdict::Allow.name(),
            denial: None,
            patch: None,
            warnings: Vec::new(),
            annotations: BTreeMap::new(),
        }
    }

    /// A mutation that changes nothing.
    pub(super) fn left_alone(policies: &[Arc<Policy>], warnings: Vec<String>) -> Self {
        let verdict = if warnings.is_empty() { Verdict::Allow } else { Verdict::Warn }.name();
        let annotations = BTreeMap::from([("policies", names(policies)), ("verdict", verdict.to_owned())]);
        Self { verdict, warnings, annotations, ..Self::not_reviewed() }
    }

    /// A mutation.
    pub(super) fn patched(policies: &[Arc<Policy>], patch: &Patch, warnings: Vec<String>) -> Self {
        // A patch is made of strings and JSON values, which always encode; an empty one would be a mutation of nothing.
        let patch = serde_json::to_vec(patch).ok().map(|patch| STANDARD.encode(patch));
        Self { patch, ..Self::left_alone(policies, warnings) }
    }

    /// A decision.
    pub(super) fn decided(decision: &Decision) -> Self {
        let verdict = decision.verdict().name();
        let mut annotations =
            BTreeMap::from([("policies", names(&decision.policies)), ("verdict", verdict.to_owned())]);
        if !decision.violations.is_empty() {
            let violations = decision.violations.iter();
            let violations = violations.map(|violation| format!("{}={}", violation.rule.name(), violation.action));
            annotations.insert("violations", listed(violations, decision.untold.values().sum()));
        }
        let denial = (decision.verdict() == Verdict::Deny).then(|| Denial {
            code: 403,
            reason: "Forbidden",
            message: decision.denial(),
            causes: decision.with_action(Action::Deny).take(MOST_TOLD).map(Cause::from).collect(),
            retry_after_seconds: None,
        });
        Self { verdict, denial, patch: None, warnings: decision.warnings(), annotations }
    }

    /// What `onInternalError` says about a failure of our own.
    pub(super) fn failed(on_internal_error: OnInternalError, failure: &Failure) -> Self {
        // A decoder's words may hold what was written.
        let message = format!("Quorate could not judge this: {}", plain(&failure.to_string()));
        let annotations = BTreeMap::from([("verdict", "error".to_owned())]);
        let (denial, warnings) = match on_internal_error {
            OnInternalError::Allow => (None, vec![format!("{message}; admitted, as onInternalError: Allow says")]),
            OnInternalError::Deny => {
                let message = format!("{message}; denied, as onInternalError: Deny says; try again");
                let (code, reason) = (500, "InternalError");
                (Some(Denial { code, reason, message, causes: Vec::new(), retry_after_seconds: None }), Vec::new())
            }
        };
        Self { verdict: "error", denial, patch: None, warnings, annotations }
    }

    /// What is answered about an object that its requester made unreadable: a denial. Of a mutation, and where no policy denies
    /// anything, a warning: what is not mutated the validating webhook denies.
    pub(super) fn unreadable(denies: bool, failure: &Failure) -> Self {
        let message = plain(&failure.to_string()).to_string();
        if !denies {
            return Self::left_alone(&[], vec![format!("not judged, nothing is injected: {message}")]);
        }
        let verdict = Verdict::Deny.name();
        let causes = match failure {
            Failure::Unreadable { field, .. } => {
                vec![Cause {
                    reason: "FieldValueNotSupported",
                    message: message.clone(),
                    field: plain(field).to_string(),
                }]
            }
            _ => Vec::new(),
        };
        let denial = Denial { code: 403, reason: "Forbidden", message, causes, retry_after_seconds: None };
        let annotations = BTreeMap::from([("verdict", verdict.to_owned())]);
        Self { verdict, denial: Some(denial), annotations, ..Self::not_reviewed() }
    }

    /// What is answered where a namespace asks for more than its share: not now. Clients of Kubernetes try again by themselves,
    /// and nobody gets past the policies by asking for much (L141).
    pub(super) fn busy(failure: &Failure) -> Self {
        let message = format!("{}; try again", plain(&failure.to_string()));
        let verdict = "error";
        let (code, reason) = (429, "TooManyRequests");
        let denial = Denial { code, reason, message, causes: Vec::new(), retry_after_seconds: Some(1) };
        let annotations = BTreeMap::from([("verdict", verdict.to_owned())]);
        Self { verdict, denial: Some(denial), annotations, ..Self::not_reviewed() }
    }

    /// `allow`, `warn`, `deny` or `error`.
    pub(super) fn verdict(&self) -> &'static str {
        self.verdict
    }

    /// What the API server's audit log will say under this key.
    pub(super) fn annotation(&self, key: &str) -> &str {
        self.annotations.get(key).map_or("", String::as_str)
    }

    /// Whether there is a patch.
    pub(super) fn is_patched(&self) -> bool {
        self.patch.is_some()
    }

    /// The AdmissionReview that answers `incoming`.
    pub(super) fn encode(&self, incoming: &Incoming<'_>) -> Vec<u8> {
        let review = Review {
            api_version: "admission.k8s.io/v1",
            kind: "AdmissionReview",
            response: Response {
                uid: &incoming.uid,
                allowed: self.denial.is_none(),
                status: self.denial.as_ref().map(|denial| denial.status(incoming)),
                patch: self.patch.as_deref(),
                patch_type: self.patch.as_ref().map(|_| "JSONPatch"),
                audit_annotations: &self.annotations,
                warnings: &self.warnings,
            },
        };
        // Nothing but strings, numbers and maps with string keys: encoding can't fail.
        serde_json::to_vec(&review).unwrap_or_default()
    }
}

impl Denial {
    fn status<'a>(&'a self, incoming: &'a Incoming<'_>) -> Status<'a> {
        Status {
            status: "Failure",
            code: self.code,
            reason: self.reason,
            message: &self.message,
            details: Details {
                name: plain(&incoming.name).to_string(),
                group: plain(&incoming.resource.group).to_string(),
                kind: plain(&incoming.resource.resource).to_string(),
                causes: &self.causes,
                retry_after_seconds: self.retry_after_seconds,
            },
        }
    }
}

impl From<&Violation> for Cause {
    fn from(violation: &Violation) -> Self {
        Self { reason: "FieldValueNotSupported", message: violation.explanation(), field: violation.field() }
    }
}

fn names(policies: &[Arc<Policy>]) -> String {
    listed(policies.iter().map(|policy| policy.name.clone()), 0)
}

/// What an audit annotation lists: the first ones, and how many more there are.
fn listed(items: impl Iterator<Item = String>, further: usize) -> String {
    first_of(items.collect(), MOST_TOLD, further).join(",")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: &'a BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Status<'a> {
    status: &'static str,
    code: u16,
    reason: &'static str,
    message: &'a str,
    details: Details<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    name: String,
    group: String,
    kind: String,
    causes: &'a [Cause],
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Cause {
    reason: &'static str,
    message: String,
    field: String,
}
