//! From when to when a certificate is good, and when it is time for its successor. All by the wall clock (L42): a monotonic
//! one stands still while a machine sleeps.

use std::time::{Duration, SystemTime};

use x509_parser::certificate::X509Certificate;

/// How far back certificates start, for clocks that are behind; less where they are short-lived.
const SKEW: Duration = Duration::from_mins(5);

/// From when to when a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) starts: SystemTime,
    pub(super) ends: SystemTime,
}

impl Validity {
    /// Of a certificate that is made now and lasts `lifetime`.
    pub(super) fn from_now(now: SystemTime, lifetime: Duration) -> Self {
        Self { starts: now - SKEW.min(lifetime / 10), ends: now + lifetime }
    }

    /// Of a certificate that was read.
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self { starts: since_1970(validity.not_before.timestamp()), ends: since_1970(validity.not_after.timestamp()) }
    }

    /// The same, ending with `other` if that ends sooner: a certificate is worth nothing without its CA.
    pub(super) fn within(self, other: Self) -> Self {
        Self { ends: self.ends.min(other.ends), ..self }
    }

    /// Whether the certificate is good at `now`.
    pub(super) fn holds(&self, now: SystemTime) -> bool {
        self.starts <= now && now < self.ends
    }

    /// Whether the certificate has ended at `now`. One that hasn't begun has only been made by somebody whose clock is ahead.
    pub(super) fn has_ended(&self, now: SystemTime) -> bool {
        now >= self.ends
    }

    /// Whether two thirds of the lifetime have passed at `now`.
    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        let lifetime = self.ends.duration_since(self.starts).unwrap_or_default();
        now >= self.ends - lifetime / 3
    }
}

fn since_1970(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    /// L42
    #[test]
    fn is_due_after_two_thirds_of_the_lifetime() {
        let now = SystemTime::UNIX_EPOCH + 500_000 * HOUR;
        let validity = Validity::from_now(now, 90 * HOUR);
        assert!(!validity.is_due(now) && !validity.is_due(now + 59 * HOUR));
        assert!(validity.is_due(now + 60 * HOUR) && validity.is_due(now + 1000 * HOUR));
        assert!(validity.holds(now + 89 * HOUR) && !validity.holds(now + 90 * HOUR));
    }

    #[test]
    fn starts_a_little_early_for_clocks_that_are_behind() {
        let now = SystemTime::UNIX_EPOCH + 500_000 * HOUR;
        assert!(Validity::from_now(now, HOUR).holds(now - Duration::from_mins(4)));
        // Of a minute's validity, five more would be most.
        let minute = Duration::from_mins(1);
        assert!(!Validity::from_now(now, minute).holds(now - Duration::from_secs(7)));
    }
}
