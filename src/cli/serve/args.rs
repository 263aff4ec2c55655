//! The flags of `quorate serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::limits::LimitArgs;
use crate::cli::policy_paths::PolicyPaths;
use crate::server::duration;
use crate::telemetry::logs::Format;

/// Arguments of `quorate serve`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pub(super) policies: PolicyPaths,
    /// Where the webhook listens, with TLS
    #[arg(long, env = "QUORATE_LISTEN", value_name = "ADDR", default_value = "[::]:8443", value_parser = parse_address)]
    pub(super) listen: SocketAddr,
    /// Where /livez, /readyz and /metrics are, plain HTTP
    #[arg(long, env = "QUORATE_ADMIN_LISTEN", value_name = "ADDR", default_value = "[::]:8080", value_parser = parse_address)]
    pub(super) admin_listen: SocketAddr,
    /// The serving certificate, PEM, intermediates after it; taken up when it changes
    #[arg(long, env = "QUORATE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, env = "QUORATE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
    /// Make and renew the certificate, in Secrets of --namespace, and tell the API server of its CA [default where no files are given]
    #[arg(long, env = "QUORATE_SELF_MANAGED_TLS", conflicts_with_all = ["tls_cert", "standalone"])]
    pub(super) self_managed_tls: bool,
    /// The name of Quorate's Service, for a certificate of its own making
    #[arg(long, env = "QUORATE_SERVICE", value_name = "NAME", default_value = "quorate")]
    pub(super) service: String,
    /// How long a CA of its own making lasts; it is renewed after two thirds of that (8760h is a year)
    #[arg(long, env = "QUORATE_CA_VALIDITY", value_name = "TIME", default_value = "8760h", value_parser = parse_validity)]
    pub(super) ca_validity: Duration,
    /// How long a certificate of its own making lasts; it is renewed after two thirds of that (2160h is 90 days)
    #[arg(long, env = "QUORATE_CERTIFICATE_VALIDITY", value_name = "TIME", default_value = "2160h", value_parser = parse_validity)]
    pub(super) certificate_validity: Duration,
    /// Require client certificates signed by an authority in this PEM file; taken up when it changes
    #[arg(long, env = "QUORATE_CLIENT_CA", value_name = "FILE")]
    pub(super) client_ca: Option<PathBuf>,
    /// The Namespace that Quorate runs in, which it never governs [default: the pod's own]
    #[arg(long, env = "QUORATE_NAMESPACE", value_name = "NAME")]
    pub(super) namespace: Option<String>,
    /// The cluster's kubeconfig [default: the pod's ServiceAccount, else as kubectl]
    #[arg(long, env = "QUORATE_KUBECONFIG", value_name = "FILE", conflicts_with = "standalone")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context
    #[arg(long, env = "QUORATE_CONTEXT", value_name = "NAME", conflicts_with = "standalone")]
    pub(super) context: Option<String>,
    /// Serve without a cluster
    #[arg(long, env = "QUORATE_STANDALONE")]
    pub(super) standalone: bool,
    /// Manifests that stand for the cluster (repeatable; separated by commas in the environment)
    #[arg(long, env = "QUORATE_SURROUNDINGS", value_name = "PATH", requires = "standalone", value_delimiter = ',')]
    pub(super) surroundings: Vec<PathBuf>,
    /// Whether to keep a PodDisruptionBudget for each StatefulSet, in one replica at a time
    #[arg(long, env = "QUORATE_BUDGET_CONTROLLER", value_name = "WORD", default_value = "enabled")]
    pub(super) budget_controller: Switch,
    /// How long to go on serving after SIGTERM, until every client knows (10s, 1m30s)
    #[arg(long, env = "QUORATE_DRAIN", value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(super) drain: Duration,
    /// Whether answers are sent at once; only a measurement has them wait (L38)
    #[arg(long, hide = true, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub(super) tcp_nodelay: bool,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    /// How log lines look
    #[arg(long, env = "QUORATE_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: Format,
    /// What is logged, as a `tracing` filter (info, quorate=debug,kube=warn)
    #[arg(long, env = "QUORATE_LOG", value_name = "FILTER", default_value = "info")]
    pub(super) log: String,
}

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Switch {
    Enabled,
    Disabled,
}

fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "not an IP address and port such as [::]:8443 or 127.0.0.1:8443")
}

/// Between a minute, in which there is barely time to renew, and what certificates can say.
fn parse_validity(text: &str) -> Result<Duration, &'static str> {
    const RANGE: std::ops::RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(100 * 365 * 24);
    let validity = duration(text).ok_or("not a time such as 2160h or 30m")?;
    if RANGE.contains(&validity) { Ok(validity) } else { Err("not between 1m and 876000h, a hundred years") }
}

fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    duration(text).ok_or("not a time such as 10s, 1m30s or 500ms")
}
