//! The labels of metrics, each with all the values it may have: names of objects would let a client grow Quorate's memory (L37).

/// A label and its value.
pub(super) type Pair = (&'static str, &'static str);

/// What stands for a value that is not of the set.
pub(super) const OTHER: &str = "other";

/// A label, and the values it may have.
#[derive(Debug)]
pub(super) struct Label {
    name: &'static str,
    pub(super) values: &'static [&'static str],
}

pub(super) const WEBHOOK: Label = Label { name: "webhook", values: &["validate", "mutate"] };
pub(super) const OPERATION: Label = Label { name: "operation", values: &["CREATE", "UPDATE", "DELETE"] };
pub(super) const VERDICT: Label = Label { name: "verdict", values: &["allow", "warn", "deny", "error"] };
pub(super) const ACTION: Label = Label { name: "action", values: &["Deny", "Warn", "Audit", "Exempt"] };
pub(super) const KIND: Label =
    Label { name: "kind", values: &["undecodable", "unreadable", "busy", "deadline", "panic", "live_read", "patch"] };
pub(super) const RESULT: Label = Label { name: "result", values: &["success", "failure"] };
pub(super) const REASON: Label = Label {
    name: "reason",
    values: &[
        "connections",
        "requests",
        "share",
        "handshake",
        "slow",
        "body_size",
        "body_time",
        "body_memory",
        "body_values",
        "content_type",
    ],
};
/// A background task; that of a cache is named after it.
pub(super) const TASK: Label = Label {
    name: "task",
    values: &[
        "policies",
        "certificate",
        "client_ca",
        "registration",
        "self_dial",
        "budgets",
        "cache-controllerrevisions",
        "cache-horizontalpodautoscalers",
        "cache-namespaces",
        "cache-nodes",
        "cache-persistentvolumeclaims",
        "cache-poddisruptionbudgets",
        "cache-services",
        "cache-statefulsets",
    ],
};
pub(super) const CACHE: Label = Label {
    name: "cache",
    values: &[
        "cache-controllerrevisions",
        "cache-horizontalpodautoscalers",
        "cache-namespaces",
        "cache-nodes",
        "cache-persistentvolumeclaims",
        "cache-poddisruptionbudgets",
        "cache-services",
        "cache-statefulsets",
    ],
};
pub(super) const WRITE: Label = Label { name: "operation", values: &["create", "apply", "correct", "delete"] };
pub(super) const WRITTEN: Label = Label { name: "result", values: &["success", "conflict", "failure"] };

impl Label {
    /// This label with that value, or with [`OTHER`] in its place.
    pub(super) fn is(&self, value: &'static str) -> Pair {
        (self.name, if self.values.contains(&value) { value } else { OTHER })
    }

    /// This label with each value it may have.
    pub(super) fn each(&self) -> impl Iterator<Item = Pair> {
        self.values.iter().map(|&value| (self.name, value))
    }
}
