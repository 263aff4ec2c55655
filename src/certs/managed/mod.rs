//! TLS that Quorate manages itself: it makes a CA and a serving certificate, keeps them in two Secrets, has the API server
//! trust the CA, and renews both.
//!
//! Every replica does the same and any may write; the API server takes the first of several writes of a Secret, and the others go
//! on with what it says (L41). What there is decides what is next, never what happened: `plan` is a pure function of
//! the Secrets, the webhook configurations and the time, so that a replica may end, or begin, at any moment.
//!
//! A rotation never shows a client a certificate that it does not trust yet, or no longer:
//!
//! 1. A new CA comes beside the old one in `ca.crt` of Secret `quorate-ca`, and signs nothing.
//! 2. Both go into the `caBundle` of the webhook configurations.
//! 3. When these have been so for a while, it signs a serving certificate, which each replica serves once it sees it in
//!    Secret `quorate-tls`.
//! 4. The old CA leaves the bundle when it ends; nothing that it signed lasts longer.
//!
//! The Secrets are of type `Opaque`, with the keys that people know from cert-manager: `tls.crt`, `tls.key`, `ca.crt`. The type
//! `kubernetes.io/tls` would do too, but demands that whoever creates one names its data, and then whatever applies that manifest again
//! empties it. Somebody else creates them, without data: that way Quorate's rights are to these two names.

mod configurations;
mod keep;
mod plan;
mod report;
mod secrets;
mod watch;

use std::time::Duration;

use kube::Client;

pub use keep::keep;

/// The name of the Secret that holds the CA, its key, and all CAs that clients shall trust.
pub const CA_SECRET: &str = "quorate-ca";

/// The name of the Secret that holds the serving certificate, its key, and the CA that signed it.
pub const TLS_SECRET: &str = "quorate-tls";

/// The name of both webhook configurations.
pub const CONFIGURATIONS: &str = "quorate";

/// What to manage.
#[derive(Clone)]
pub struct Managed {
    /// The cluster.
    pub client: Client,
    /// Where the Secrets are, and Quorate's Service.
    pub namespace: String,
    /// The Service's name.
    pub service: String,
    /// How long a CA lasts; it is renewed after two thirds of that.
    pub ca_validity: Duration,
    /// Likewise, a serving certificate.
    pub certificate_validity: Duration,
}

impl std::fmt::Debug for Managed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Managed").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Managed {
    /// How often to look at the clock: often enough for the shortest of lives.
    fn pace(&self) -> Duration {
        const LONGEST: Duration = Duration::from_secs(5);
        LONGEST.min(self.certificate_validity.min(self.ca_validity) / 60)
    }

    /// How long API servers may take to learn what the webhook configurations say. They are told within milliseconds, even where there are
    /// several; this is for those that are busy.
    fn settling(&self) -> Duration {
        const LONGEST: Duration = Duration::from_secs(10);
        LONGEST.min(self.ca_validity / 12)
    }
}
