//! What a request's StatefulSets have to say about it: from the caches first, and before a denial once more from what is live.
//!
//! A request may bear on thousands of StatefulSets, as a Service does that all of them name (L134). They are judged from the
//! caches one after the other; of those that would deny it, one that still does when it is read live is enough.

use std::borrow::Cow;
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;

use super::decode::Incoming;
use super::failure::Failure;
use super::judge::{Judge, change};
use super::subject::Subject;
use crate::cluster::{Question, ReadError};
use crate::facts::{Evidence, Metadata, Situation, StatefulSet};
use crate::plain::plain;
use crate::policy::OnInternalError;
use crate::review::{Decision, Verdict, evaluate};

/// How many StatefulSets are confirmed at once, and how many are judged before others get their turn.
pub(super) const AT_ONCE: usize = 8;

/// The review of one request.
pub(super) struct Review<'a> {
    pub(super) judge: &'a Judge<'a>,
    pub(super) incoming: &'a Incoming<'a>,
    pub(super) subject: &'a Subject,
    pub(super) now: Timestamp,
}

/// A StatefulSet, and the decision about it.
pub(super) struct Case<'a> {
    situation: Situation<'a>,
    decision: Decision,
    /// What of it is live.
    live: Evidence,
    /// Whether the requester runs the StatefulSet's owner (L133), or why that is not known.
    runs_owner: Result<bool, Arc<ReadError>>,
}

/// What could not be read, and what is to be done then.
pub(super) type Unread = (OnInternalError, Arc<ReadError>);

/// Why there is no decision.
pub(super) enum Unjudged {
    /// It can't be judged at all.
    Failed(Failure),
    /// What a denial rests on can't be read.
    Unread(Unread),
}

impl From<Failure> for Unjudged {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Review<'_> {
    /// The decision about one StatefulSet as far as the caches know; none where there is no such StatefulSet any more.
    pub(super) async fn open<'s>(
        &self,
        statefulset: &'s StatefulSet,
        unknown: Evidence,
    ) -> Result<Option<Case<'s>>, Failure> {
        let Judge { source, ticket, .. } = self.judge;
        let (mut surroundings, unknown_too) = source.surroundings(statefulset);
        self.subject.narrow(&mut surroundings, statefulset, source);
        let mut situation = Situation { statefulset: Cow::Borrowed(statefulset), surroundings };
        let live = unknown | unknown_too;
        let question = Question { kinds: live, topology_keys: &std::collections::BTreeSet::new() };
        match source.read(question, ticket, &mut situation).await {
            Ok(true) if self.subject.bears_on(&situation.statefulset) => {}
            Ok(_) => return Ok(None),
            Err(error) => situation = self.known_by_now(statefulset, live, error).await?,
        }
        let runs_owner = self.runs_owner(&situation.statefulset).await;
        let decision = self.evaluate(&situation, matches!(runs_owner, Ok(true)));
        Ok(Some(Case { situation, decision, live, runs_owner }))
    }

    /// The decision about all of them: `None` where they have nothing to say. Those that would deny are confirmed in their order,
    /// a few at once, until a denial stands; then the rest need not be judged. What is kept until the end is what is told of them.
    pub(super) async fn decide(
        &self,
        statefulsets: &[Arc<StatefulSet>],
        unknown: Evidence,
    ) -> Result<Option<Decision>, Unjudged> {
        let (mut told, mut denied, mut unread) = (None, Vec::new(), None);
        for (number, statefulset) in statefulsets.iter().enumerate() {
            if number % AT_ONCE == AT_ONCE - 1 {
                // There may be thousands, and others wait.
                tokio::task::yield_now().await;
            }
            match self.open(statefulset, unknown).await? {
                Some(case) if denies(&case.decision) => denied.push(case),
                Some(case) => self.tell(&mut told, case.decision),
                None => {}
            }
            let rest = statefulsets.len() - number - 1;
            if (denied.len() == AT_ONCE || rest == 0) && self.stands(&mut denied, &mut told, &mut unread).await {
                if let Some(told) = &mut told {
                    told.more = rest;
                }
                return Ok(told);
            }
            // How many StatefulSets a request bears on, and how much there is to compare, is the requester's doing: that it takes
            // long frees nothing (L134, L141).
            if rest > 0 && self.judge.ticket.is_late() {
                return Err(Failure::Busy(self.incoming.namespace.clone().into_owned()).into());
            }
        }
        // Only where none of them stands: one that can't be read frees no other.
        unread.map_or(Ok(told), |unread| Err(Unjudged::Unread(unread)))
    }

    /// Whether one of these denials stands once it is confirmed. It nearly always is the first, and then the others are told of as
    /// the caches know them: to confirm each costs the API server several reads.
    async fn stands(
        &self,
        denied: &mut Vec<Case<'_>>,
        told: &mut Option<Decision>,
        unread: &mut Option<Unread>,
    ) -> bool {
        let mut cases = denied.drain(..);
        let Some(first) = cases.next() else { return false };
        let mut stands = self.take(self.confirm(first).await, told, unread);
        if stands {
            cases.for_each(|case| self.tell(told, case.decision));
            return true;
        }
        for confirmed in join_all(cases.map(|case| self.confirm(case))).await {
            stands |= self.take(confirmed, told, unread);
        }
        stands
    }

    /// Whether a denial was confirmed.
    fn take(
        &self,
        confirmed: Result<Option<Decision>, Unread>,
        told: &mut Option<Decision>,
        unread: &mut Option<Unread>,
    ) -> bool {
        match confirmed {
            Ok(Some(decision)) => {
                let stands = denies(&decision);
                self.tell(told, decision);
                stands
            }
            Ok(None) => false,
            Err(error) => {
                *unread = Some(error);
                false
            }
        }
    }

    fn tell(&self, told: &mut Option<Decision>, decision: Decision) {
        self.judge.count(&decision);
        match told {
            Some(told) => told.add(decision),
            None => *told = Some(decision),
        }
    }

    /// The decision once what a denial rests on is read live; none where there is no such StatefulSet any more. A denial stands
    /// where it can't be read, the caches can be relied on, and still say so: nobody may make reads fail to be admitted (L132).
    async fn confirm(&self, case: Case<'_>) -> Result<Option<Decision>, Unread> {
        let Case { mut situation, mut decision, mut live, mut runs_owner } = case;
        loop {
            let missing = decision.denial_rests_on().without(live);
            if missing == Evidence::NONE {
                return match runs_owner {
                    // Who asks is not known, and of an operator this would not be denied.
                    Err(error) if denies(&decision) && !denies(&self.evaluate(&situation, true)) => {
                        Err((decision.on_internal_error(), error))
                    }
                    _ => Ok(Some(decision)),
                };
            }
            let question = Question { kinds: missing, topology_keys: &decision.scarce_topology_keys() };
            match self.judge.source.read(question, &self.judge.ticket, &mut situation).await {
                Ok(true) if self.subject.bears_on(&situation.statefulset) => {}
                Ok(_) => return Ok(None),
                Err(error) if self.judge.source.is_current(missing) => {
                    tracing::warn!(error = %plain(&error.to_string()), "judged from the caches: they can't be confirmed");
                    return Ok(self.caught_up(situation, matches!(runs_owner, Ok(true))).await);
                }
                Err(error) => return Err((decision.on_internal_error(), error)),
            }
            live |= missing;
            if missing.contains(Evidence::PARENT) {
                runs_owner = self.runs_owner(&situation.statefulset).await;
            }
            decision = self.evaluate(&situation, matches!(runs_owner, Ok(true)));
        }
    }

    /// What the caches have learnt in the meantime of what they did not know, where it can't be read and they can be relied on:
    /// nobody may make reads fail to be admitted (L132).
    async fn known_by_now<'s>(
        &self,
        statefulset: &'s StatefulSet,
        unknown: Evidence,
        error: Arc<ReadError>,
    ) -> Result<Situation<'s>, Failure> {
        let Judge { source, ticket, .. } = self.judge;
        if !source.is_current(unknown) {
            return Err(Failure::LiveRead(error));
        }
        ticket.let_caches_catch_up().await;
        let Metadata { namespace, name, .. } = &statefulset.metadata;
        let busy = || Failure::Busy(namespace.clone());
        let statefulset = if unknown.contains(Evidence::PARENT) {
            Cow::Owned(Arc::unwrap_or_clone(source.statefulset(namespace, name).ok_or_else(busy)?))
        } else {
            Cow::Borrowed(statefulset)
        };
        let (mut surroundings, still_unknown) = source.surroundings(&statefulset);
        if still_unknown != Evidence::NONE {
            return Err(busy());
        }
        self.subject.narrow(&mut surroundings, &statefulset, source);
        Ok(Situation { statefulset, surroundings })
    }

    /// The decision by what the caches have learnt in the meantime, which is what was made before the request came (L35).
    async fn caught_up(&self, situation: Situation<'_>, runs_owner: bool) -> Option<Decision> {
        let Judge { source, ticket, .. } = self.judge;
        ticket.let_caches_catch_up().await;
        let mut statefulset = situation.statefulset;
        if !matches!(self.subject, Subject::StatefulSet { .. }) {
            let metadata = &statefulset.metadata;
            statefulset = Cow::Owned(Arc::unwrap_or_clone(source.statefulset(&metadata.namespace, &metadata.name)?));
        }
        if !self.subject.bears_on(&statefulset) {
            return None;
        }
        let mut surroundings = source.surroundings(&statefulset).0;
        // Of budgets, those of the first look are narrowed: these are newer.
        if !matches!(self.subject, Subject::Budget { .. }) {
            self.subject.narrow(&mut surroundings, &statefulset, source);
        }
        Some(self.evaluate(&Situation { statefulset, surroundings }, runs_owner))
    }

    async fn runs_owner(&self, statefulset: &StatefulSet) -> Result<bool, Arc<ReadError>> {
        self.judge.runs_owner(self.incoming, statefulset).await.map_err(Arc::new)
    }

    fn evaluate(&self, situation: &Situation<'_>, runs_owner: bool) -> Decision {
        let change = change(self.incoming, self.subject, &situation.statefulset, runs_owner);
        evaluate(&change, &situation.surroundings, self.judge.policies, self.now)
    }
}

fn denies(decision: &Decision) -> bool {
    decision.verdict() == Verdict::Deny
}
