//! How many members may be away.

/// As many of `replicas` as may be away while a majority stays: ⌊(n−1)/2⌋, and never below 1, as a budget that allows no
/// disruption blocks every drain (L52).
#[must_use]
pub fn quorum(replicas: i32) -> i32 {
    (replicas.saturating_sub(1) / 2).max(1)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::facts::{Amount, Limit};

    /// L52
    #[rstest]
    #[case(-1, 1)]
    #[case(0, 1)]
    #[case(1, 1)]
    #[case(2, 1)]
    #[case(3, 1)]
    #[case(4, 1)]
    #[case(5, 2)]
    #[case(6, 2)]
    #[case(7, 3)]
    #[case(9, 4)]
    #[case(100, 49)]
    #[case(i32::MAX, 1_073_741_823)]
    fn leaves_a_majority_and_allows_a_disruption_l52(#[case] replicas: i32, #[case] away: i32) {
        assert_eq!(quorum(replicas), away);
        if replicas > 2 {
            assert!(i64::from(replicas - away) * 2 > i64::from(replicas), "no majority is left");
        }
        if replicas > 0 {
            assert!(Limit::MaxUnavailable(Amount::Pods(away)).disruptions_allowed(replicas) > 0, "it blocks a drain");
        }
    }
}
