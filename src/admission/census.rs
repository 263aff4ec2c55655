//! Which exemptions are active now: counted over all StatefulSets that are known, whenever somebody asks for metrics.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Admission;
use crate::review::exempted;
use crate::rules::Rule;

impl Admission {
    /// Sets the gauges of active exemptions to what holds at this time. Rests on the caches alone.
    pub fn count_exemptions(&self, now: Timestamp) {
        let policies = self.policies.load();
        let mut counts: BTreeMap<Rule, usize> = Rule::ALL.iter().map(|&rule| (rule, 0)).collect();
        for statefulset in self.source.every_statefulset() {
            let metadata = &statefulset.metadata;
            if metadata.annotations.is_empty() {
                continue;
            }
            let (surroundings, _) = self.source.surroundings(&statefulset);
            for rule in exempted(metadata, &policies.matching(metadata, &surroundings.namespace), now) {
                *counts.entry(rule).or_default() += 1;
            }
        }
        for (rule, count) in counts {
            self.metrics.exemptions_active(rule, count);
        }
    }
}
