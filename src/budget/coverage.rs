//! How a budget's selector relates to the pods of a StatefulSet (L50, L137).
//!
//! The pods are what the StatefulSet controller makes of the template: it adds labels that differ from pod to pod. No pod is
//! enumerated, as there may be two billion: the cost goes by the length of the selector.

use std::collections::BTreeSet;

use crate::facts::{LabelSelector, Operator, POD_NAME, StatefulSet};

/// How a selector relates to the pods of a StatefulSet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coverage {
    /// It selects none of them.
    Disjoint,
    /// It selects so many of them, and not all.
    CoversSome(i32),
    /// It selects all of them.
    Covers,
}

/// The pod's ordinal. The StatefulSet controller writes this label over the template's, as it does with [`POD_NAME`], and the next.
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The name of the ControllerRevision that the pod was made of.
const REVISION: &str = "controller-revision-hash";

/// Labels that a pod gets from its Node when it is bound to it, over those of the template (L109).
const OF_THE_NODE: &[&str] = &["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

/// Stands for a revision that has no name yet, and so differs from each that a selector may name: no label has this value.
const UNNAMED: &str = "?";

/// How a selector relates to the pods of a StatefulSet. An absent selector selects nothing, an empty one everything.
#[must_use]
pub fn coverage(selector: Option<&LabelSelector>, statefulset: &StatefulSet) -> Coverage {
    let Some(selector) = selector else { return Coverage::Disjoint };
    let mut selected = Selected::all_of(statefulset);
    let some_are_left = selector.requirements().all(|(key, operator, values)| selected.keep(key, operator, values));
    if some_are_left { selected.coverage() } else { Coverage::Disjoint }
}

/// Whether the value of the label is not the template's, but differs from pod to pod.
pub(super) fn is_of_each_pod(key: &str) -> bool {
    [POD_NAME, POD_INDEX, REVISION].contains(&key) || OF_THE_NODE.contains(&key)
}

/// The pods that meet some requirements.
struct Selected<'a> {
    statefulset: &'a StatefulSet,
    /// The ordinals to which a requirement limits them, where one does.
    only: Option<BTreeSet<i64>>,
    /// Ordinals that are excluded.
    except: BTreeSet<i64>,
    /// Whether those of the current revision are among them.
    current: bool,
    /// Whether those of the update revision are among them.
    update: bool,
}

impl<'a> Selected<'a> {
    fn all_of(statefulset: &'a StatefulSet) -> Self {
        Self { statefulset, only: None, except: BTreeSet::new(), current: true, update: true }
    }

    /// Leaves those that meet one more requirement; `false` where it is met by none, whatever the others say.
    fn keep(&mut self, key: &str, operator: Operator, values: &[String]) -> bool {
        let statefulset = self.statefulset;
        match key {
            POD_NAME => self.keep_ordinals(operator, values, |value| {
                value.strip_prefix(statefulset.metadata.name.as_str())?.strip_prefix('-')
            }),
            POD_INDEX => self.keep_ordinals(operator, values, Some),
            REVISION => {
                let holds =
                    |revision: &Option<String>| operator.holds(values, Some(revision.as_deref().unwrap_or(UNNAMED)));
                self.current &= holds(&statefulset.current_revision);
                self.update &= holds(&statefulset.update_revision);
                self.current || self.update
            }
            // What the template says is overwritten, and what the Nodes say differs from pod to pod and isn't known here.
            _ if OF_THE_NODE.contains(&key) => false,
            _ => operator.holds(values, statefulset.template.labels.get(key).map(String::as_str)),
        }
    }

    fn keep_ordinals<'v>(
        &mut self,
        operator: Operator,
        values: &'v [String],
        ordinal: impl Fn(&'v str) -> Option<&'v str>,
    ) -> bool {
        let first = i64::from(self.statefulset.first_ordinal);
        let ordinals = first..first + i64::from(self.statefulset.replicas.max(0));
        let named = values.iter().filter_map(|value| decimal(ordinal(value)?)).filter(|each| ordinals.contains(each));
        match operator {
            Operator::In => {
                let named: BTreeSet<i64> = named.collect();
                self.only = Some(match self.only.take() {
                    Some(only) => &only & &named,
                    None => named,
                });
                self.only.as_ref().is_some_and(|only| !only.is_empty())
            }
            Operator::NotIn => {
                self.except.extend(named);
                true
            }
            Operator::Exists => true,
            Operator::DoesNotExist | Operator::Unknown => false,
        }
    }

    fn coverage(&self) -> Coverage {
        let replicas = i64::from(self.statefulset.replicas.max(0));
        let count = match &self.only {
            Some(only) => length(only.difference(&self.except).count()),
            None => replicas - length(self.except.len()),
        };
        // Which pods have which revision isn't known, only how many do.
        let updated = i64::from(self.statefulset.updated_replicas);
        let of_revision = match (self.current, self.update) {
            (true, true) => replicas,
            (false, true) => updated.clamp(1, replicas.max(1)),
            (true, false) => (replicas - updated).clamp(1, replicas.max(1)),
            (false, false) => 0,
        };
        // Of a StatefulSet without pods, a selector that asks for none in particular selects all.
        let all = count == replicas && self.current && self.update && (replicas > 0 || self.only.is_none());
        match count.min(of_revision) {
            _ if all => Coverage::Covers,
            count if count > 0 => Coverage::CoversSome(i32::try_from(count).unwrap_or(i32::MAX)),
            _ => Coverage::Disjoint,
        }
    }
}

/// The number that is written in this way and no other: without a sign or leading zeros.
fn decimal(text: &str) -> Option<i64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let number: i32 = is_plain.then(|| text.parse().ok()).flatten()?;
    Some(i64::from(number))
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
