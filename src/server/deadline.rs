//! How long a request may take: what the API server says in `?timeout=`, less a margin for the way back (L1).

use std::time::Duration;

/// What is assumed where the caller names no timeout; the API server's own default.
const DEFAULT: Duration = Duration::from_secs(10);

/// The longest that is believed; the API server allows no webhook more.
const LONGEST: Duration = Duration::from_secs(30);

/// The bounds of the margin for the answer's way back.
const MARGINS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// The time a request with this query has: a tenth less than its `timeout`, but at least 50 ms and at most 500 ms less; of a
/// timeout under 100 ms, which no API server sends, a half.
pub(super) fn of(query: Option<&str>) -> Duration {
    let timeout = query.and_then(timeout).unwrap_or(DEFAULT).min(LONGEST);
    let margin = (timeout / 10).clamp(MARGINS.0, MARGINS.1).min(timeout / 2);
    timeout.saturating_sub(margin)
}

fn timeout(query: &str) -> Option<Duration> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("timeout="))?;
    duration(value).filter(|timeout| !timeout.is_zero())
}

/// A duration as Go writes it: `10s`, `1m0s`, `1.5h`, `500ms`. `None` where it is none, or is negative.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number =
            rest.split(|c: char| !c.is_ascii_digit() && c != '.').next().filter(|number| !number.is_empty())?;
        rest = &rest[number.len()..];
        let unit = rest.split(|c: char| c.is_ascii_digit() || c == '.').next().unwrap_or_default();
        rest = &rest[unit.len()..];
        let seconds = number.parse::<f64>().ok()? * seconds(unit)?;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
    }
    (!text.is_empty()).then_some(total)
}

fn seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("10s", 10_000)]
    #[case("1m0s", 60_000)]
    #[case("500ms", 500)]
    #[case("1.5s", 1_500)]
    #[case("1h2m3s", 3_723_000)]
    #[case("0", 0)]
    fn reads_a_duration_as_go_writes_it(#[case] text: &str, #[case] milliseconds: u64) {
        assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)));
    }

    #[rstest]
    fn reads_no_other_text_as_a_duration(
        #[values("", "10", "s", "-1s", "1x", "1s2", "..s", "1 s", "99999999999999999999h", "NaNs", "infs")] text: &str,
    ) {
        assert_eq!(duration(text), None);
    }

    #[rstest]
    #[case(Some("timeout=10s"), 9_500)]
    #[case(Some("timeout=3s"), 2_700)]
    #[case(Some("a=b&timeout=200ms"), 150)]
    #[case(Some("timeout=1m0s"), 29_500)]
    #[case(Some("timeout=10ms"), 5)]
    #[case(Some("timeout=soon"), 9_500)]
    #[case(Some("timeout=0s"), 9_500)]
    #[case(Some("verbose"), 9_500)]
    #[case(None, 9_500)]
    fn leaves_a_margin_for_the_way_back(#[case] query: Option<&str>, #[case] milliseconds: u64) {
        assert_eq!(of(query), Duration::from_millis(milliseconds));
    }
}
