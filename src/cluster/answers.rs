//! What the API server was asked and has answered, kept for a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Answers by question. Each question is asked once at a time, and the number of those that are kept is bounded.
#[derive(Debug)]
pub(super) struct Answers<Q, A> {
    kept: Mutex<HashMap<Q, Slot<A>>>,
    most: usize,
}

/// The answer, and when it came. Requests that wait for the same answer wait for this.
type Slot<A> = Arc<tokio::sync::Mutex<Option<(Instant, A)>>>;

impl<Q: Hash + Eq, A: Clone> Answers<Q, A> {
    /// Keeps at most so many.
    pub(super) fn at_most(most: usize) -> Self {
        Self { kept: Mutex::default(), most }
    }

    /// The answer to a question: one that is kept, while it is no older than `lasts` says of it, else what `ask` brings. An error
    /// is not kept.
    pub(super) async fn to<E>(
        &self,
        question: Q,
        lasts: impl Fn(&A) -> Duration,
        ask: impl Future<Output = Result<A, E>>,
    ) -> Result<A, E> {
        let slot = self.slot(question);
        let mut kept = slot.lock().await;
        if let Some((at, answer)) = &*kept
            && at.elapsed() < lasts(answer)
        {
            return Ok(answer.clone());
        }
        let answer = ask.await?;
        *kept = Some((Instant::now(), answer.clone()));
        Ok(answer)
    }

    fn slot(&self, question: Q) -> Slot<A> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever asks endless questions costs others one more of theirs, and no memory.
        if kept.len() >= self.most && !kept.contains_key(&question) {
            kept.clear();
        }
        Arc::clone(kept.entry(question).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    async fn ask(answers: &Answers<usize, usize>, question: usize, asked: &AtomicUsize) -> usize {
        let ask = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok::<_, Infallible>(asked.fetch_add(1, Ordering::Relaxed))
        };
        answers.to(question, |_| MINUTE, ask).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_wait_for_the_same_share_one_answer_until_it_is_old() {
        let (answers, asked) = (Answers::at_most(4), AtomicUsize::new(0));
        let all = futures::future::join_all((0..100).map(|_| ask(&answers, 7, &asked))).await;
        assert_eq!(all, vec![0; 100]);
        tokio::time::sleep(MINUTE).await;
        assert_eq!(ask(&answers, 7, &asked).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_questions_are_not_kept_l133() {
        let (answers, asked) = (Answers::at_most(4), AtomicUsize::new(0));
        for question in 0..10_000 {
            ask(&answers, question, &asked).await;
        }
        assert!(answers.kept.lock().unwrap().len() <= 4);
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let answers = Answers::at_most(1);
        answers.to(1, |_| MINUTE, async { Err::<usize, _>("down") }).await.unwrap_err();
        assert_eq!(answers.to(1, |_| MINUTE, async { Ok::<_, &str>(2) }).await, Ok(2));
    }
}
