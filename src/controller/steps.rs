//! Does the steps of a plan, and tells of them.

use std::sync::Arc;

use super::events::{Told, tell};
use super::look::Looker;
use super::notes::{corrected, held, shared, stuck, taken, withdrawn, written};
use super::plan::Step;
use super::writes::Outcome;
use crate::facts::StatefulSet;

impl Looker<'_> {
    /// Does a step. What it returns is the state that the StatefulSet is in, if that is to be told, or what failed.
    pub(super) async fn take(&self, step: Step) -> (Option<Arc<StatefulSet>>, Result<Option<Told>, String>) {
        let recorder = &self.recorder;
        match step {
            Step::Delete { budget, statefulset, reason } => {
                let outcome = self.writes.delete(&budget).await;
                if let (Outcome::Done, Some(statefulset), Some(reason)) = (&outcome, &statefulset, &reason) {
                    tell(recorder, statefulset, withdrawn(&budget.name, reason)).await;
                }
                (statefulset, state_after(outcome, &budget.name))
            }
            Step::Create { statefulset, kept } => {
                let outcome = self.writes.create(&statefulset, &kept).await;
                if outcome == Outcome::Done {
                    tell(recorder, &statefulset, written("BudgetCreated", "Create", &kept)).await;
                }
                (Some(statefulset), state_after(outcome, &kept.name))
            }
            Step::Apply { statefulset, kept, uid } => {
                let outcome = self.writes.apply(&statefulset, &kept, &uid).await;
                if outcome == Outcome::Done {
                    tell(recorder, &statefulset, written("BudgetUpdated", "Apply", &kept)).await;
                }
                (Some(statefulset), state_after(outcome, &kept.name))
            }
            Step::Correct { budget, statefulset, spec } => {
                let outcome = self.writes.correct(&budget, &spec).await;
                if let (Outcome::Done, Some(statefulset)) = (&outcome, &statefulset) {
                    tell(recorder, statefulset, corrected(&budget, &spec)).await;
                }
                // What holds it is told as a state.
                (None, state_after(outcome, &budget.name))
            }
            Step::Held { statefulset, budget } => (Some(statefulset), Ok(Some(held(&budget)))),
            Step::Taken { statefulset, name } => (Some(statefulset), Ok(Some(taken(&name)))),
            Step::Shared { statefulset, reason } => (Some(statefulset), Ok(Some(shared(&reason)))),
            Step::Stuck { statefulset, by } => {
                let told = stuck(&statefulset, &by);
                (Some(statefulset), Ok(Some(told)))
            }
        }
    }
}

fn state_after(outcome: Outcome, name: &str) -> Result<Option<Told>, String> {
    match outcome {
        Outcome::Done | Outcome::Nothing => Ok(None),
        Outcome::Taken => Ok(Some(taken(name))),
        Outcome::Again(why) => Err(format!("PodDisruptionBudget {name}: {why}")),
    }
}
