//! The pods of a namespace's StatefulSets, found by their labels.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Candidate;
use crate::budget::coverage::is_of_each_pod;
use crate::budget::{Coverage, coverage};
use crate::facts::{LabelSelector, Operator, POD_NAME};

/// The pods of a namespace's StatefulSets, as their templates tell, found by a label.
pub(super) struct Pods<'a> {
    candidates: &'a [Candidate<'a>],
    by_label: HashMap<&'a str, HashMap<&'a str, Vec<usize>>>,
    by_name: HashMap<&'a str, usize>,
    all: Vec<usize>,
}

impl<'a> Pods<'a> {
    pub(super) fn of(candidates: &'a [Candidate<'a>]) -> Self {
        let mut by_label: HashMap<_, HashMap<_, Vec<usize>>> = HashMap::new();
        for (index, candidate) in candidates.iter().enumerate() {
            for (key, value) in &candidate.statefulset.template.labels {
                by_label.entry(key.as_str()).or_default().entry(value.as_str()).or_default().push(index);
            }
        }
        let names = candidates.iter().enumerate();
        let by_name = names.map(|(index, candidate)| (candidate.statefulset.metadata.name.as_str(), index)).collect();
        Self { candidates, by_label, by_name, all: (0..candidates.len()).collect() }
    }

    /// The StatefulSets of whose pods a selector selects all, or some.
    pub(super) fn selected_by(&self, selector: &LabelSelector) -> Vec<usize> {
        let selects =
            |index: &usize| coverage(Some(selector), self.candidates[*index].statefulset) != Coverage::Disjoint;
        self.narrowed(selector).iter().copied().filter(selects).collect()
    }

    /// The fewest that can be told without looking at them: those with the rarest of the labels that the selector demands.
    pub(super) fn narrowed(&self, selector: &LabelSelector) -> Cow<'_, [usize]> {
        let demands = selector.requirements().filter(|(_, operator, _)| *operator == Operator::In);
        let with_label = |key: &str, value: &str| {
            self.by_label.get(key).and_then(|values| values.get(value)).map_or(&[][..], Vec::as_slice)
        };
        let found = demands.filter_map(|(key, _, values)| match key {
            POD_NAME => {
                let name_of = |pod: &'_ String| Some(pod.rsplit_once('-')?.0.to_owned());
                let named =
                    values.iter().filter_map(name_of).filter_map(|name| self.by_name.get(name.as_str()).copied());
                let mut named: Vec<usize> = named.collect();
                named.sort_unstable();
                named.dedup();
                Some(Cow::Owned(named))
            }
            _ if is_of_each_pod(key) => None,
            _ => match values {
                [value] => Some(Cow::Borrowed(with_label(key, value))),
                values => {
                    let mut with_any: Vec<usize> =
                        values.iter().flat_map(|value| with_label(key, value)).copied().collect();
                    with_any.sort_unstable();
                    with_any.dedup();
                    Some(Cow::Owned(with_any))
                }
            },
        });
        found.min_by_key(|indices| indices.len()).unwrap_or(Cow::Borrowed(&self.all))
    }
}
