//! How a budget's selector relates to the pods of a StatefulSet (L50).

use crate::facts::{LabelSelector, Labels, Operator, Requirement};

/// How a selector relates to the pods of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coverage {
    /// It selects none of them.
    Disjoint,
    /// Which of them it selects depends on labels that controllers add to each pod.
    MayCover,
    /// It selects all of them.
    Covers,
}

/// The labels that the StatefulSet controller gives to each pod, over those of the template.
/// (`pkg/controller/statefulset/stateful_set_utils.go`)
const PER_POD: &[&str] =
    &["controller-revision-hash", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"];

/// How a selector relates to the pods of a template with these labels. An absent selector selects nothing, an empty one
/// everything.
#[must_use]
pub fn coverage(selector: Option<&LabelSelector>, template: &Labels) -> Coverage {
    let Some(selector) = selector else { return Coverage::Disjoint };
    let labels = selector.match_labels.iter().map(|(key, value)| {
        if is_of_each_pod(key) { Coverage::MayCover } else { Coverage::certain(template.get(key) == Some(value)) }
    });
    let expressions = selector.match_expressions.iter().map(|requirement| {
        if is_of_each_pod(&requirement.key) {
            of_each_pod(requirement)
        } else {
            Coverage::certain(requirement.matches(template))
        }
    });
    labels.chain(expressions).min().unwrap_or(Coverage::Covers)
}

/// Whether the StatefulSet controller gives each pod a label of this key, with a value that the template doesn't tell.
pub(super) fn is_of_each_pod(key: &str) -> bool {
    PER_POD.contains(&key)
}

impl Coverage {
    fn certain(selects: bool) -> Self {
        if selects { Self::Covers } else { Self::Disjoint }
    }
}

/// A requirement on a label that every pod has, with a value that the template doesn't tell.
fn of_each_pod(requirement: &Requirement) -> Coverage {
    match requirement.operator {
        Operator::Exists => Coverage::Covers,
        Operator::DoesNotExist | Operator::Unknown => Coverage::Disjoint,
        Operator::In | Operator::NotIn => Coverage::MayCover,
    }
}
