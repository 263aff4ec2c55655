//! Which exemptions are active now, and which injections pending: counted over all StatefulSets that are known, whenever
//! somebody asks for metrics. So is the age of what is known.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Admission;
use crate::review::{exempted, lacks_injection};
use crate::rules::Rule;

impl Admission {
    /// Sets the gauges of active exemptions, pending injections and silent caches to what holds at this time. Rests on the caches alone.
    pub fn take_census(&self, now: Timestamp) {
        let policies = self.policies.load();
        let mut counts: BTreeMap<Rule, usize> = Rule::ALL.iter().map(|&rule| (rule, 0)).collect();
        let mut pending = 0;
        for statefulset in self.source.every_statefulset() {
            let metadata = &statefulset.metadata;
            let (surroundings, _) = self.source.surroundings(&statefulset);
            let matching = policies.matching(metadata, &surroundings.namespace);
            pending += usize::from(lacks_injection(&statefulset, &surroundings, &matching, now));
            for rule in exempted(metadata, &matching, now) {
                *counts.entry(rule).or_default() += 1;
            }
        }
        for (rule, count) in counts {
            self.metrics.exemptions_active(rule, count);
        }
        self.metrics.pending_injections(pending);
        for (kind, silence) in self.source.silences() {
            self.metrics.cache_silence(kind.part(), silence);
        }
    }
}
