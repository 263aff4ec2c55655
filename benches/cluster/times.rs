//! What was measured, and how sure that is.

use crate::world::result::median;

/// How often rounds are drawn anew to see how far a figure depends on which of them there were.
const DRAWS: usize = 400;

/// How long requests took, in milliseconds, by round.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Vec<f64>>);

/// A figure and its quartiles over what might have been measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) spread: (f64, f64),
}

impl Times {
    /// Adds a round.
    pub(crate) fn push(&mut self, round: Vec<f64>) {
        self.0.push(round);
    }

    /// The percentile of each of some rounds, and of those the mean: a moment in which the machine was slow counts as one round.
    pub(crate) fn percentile(&self, percent: usize, rounds: &[usize]) -> f64 {
        let of_one = |round: &usize| {
            let mut times = self.0[*round].clone();
            times.sort_by(f64::total_cmp);
            times[(times.len() - 1) * percent / 100]
        };
        #[allow(clippy::cast_precision_loss, reason = "there are few")]
        let count = rounds.len() as f64;
        rounds.iter().map(of_one).sum::<f64>() / count
    }
}

impl Estimate {
    /// A figure that is made of rounds: of all of them, and of as many that are drawn with replacement, again and again.
    pub(crate) fn of(rounds: usize, figure: impl Fn(&[usize]) -> f64) -> Self {
        // The same draws for every figure, so that a report depends on nothing but what was measured.
        let mut random = fastrand::Rng::with_seed(1);
        let mut draws: Vec<f64> =
            (0..DRAWS).map(|_| figure(&(0..rounds).map(|_| random.usize(0..rounds)).collect::<Vec<_>>())).collect();
        Self { value: figure(&(0..rounds).collect::<Vec<_>>()), spread: median(&mut draws).1 }
    }
}

impl std::fmt::Display for Estimate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:.2} ({:.2} to {:.2})", self.value, self.spread.0, self.spread.1)
    }
}
