//! A client for the cluster that Quorate runs in, or that a kubeconfig names.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// How long a connection to the API server may take, its TLS handshake included.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the API server may say nothing in the middle of an answer: the list of all there is takes it a while.
const SILENCE: Duration = Duration::from_mins(1);

/// Which cluster.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// A kubeconfig; where none is named, the Pod's own ServiceAccount, else what kubectl would use.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig; its current one where none is named.
    pub context: Option<String>,
}

/// Why there is no connection to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig can't be used.
    #[error("can't use the kubeconfig {}", path.display())]
    Kubeconfig {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: kube::config::KubeconfigError,
    },
    /// The context can't be used.
    #[error("can't use the context {context:?}")]
    Context {
        /// Its name.
        context: String,
        /// Why.
        source: kube::config::KubeconfigError,
    },
    /// There is neither a ServiceAccount nor a kubeconfig.
    #[error(
        "no cluster: not in a Pod, and no usable kubeconfig ({}); give --kubeconfig FILE, or --standalone to serve without a cluster", reason(.0)
    )]
    NoCluster(kube::config::InferConfigError),
    /// The client can't be made.
    #[error("can't make a client for the cluster")]
    Client(#[source] kube::Error),
    /// The API server does not answer.
    #[error("the API server at {url} does not answer")]
    Unreachable {
        /// Its address.
        url: String,
        /// Why.
        source: kube::Error,
    },
}

/// A client for the target, after its API server has answered once.
///
/// # Errors
///
/// There is no such cluster, or it does not answer.
pub async fn connect(target: &Target) -> Result<Client, ConnectError> {
    let config = config(target).await?;
    let url = config.cluster_url.to_string();
    let client = Client::try_from(config).map_err(ConnectError::Client)?;
    client.apiserver_version().await.map_err(|source| ConnectError::Unreachable { url, source })?;
    Ok(client)
}

/// How to reach the target. Nothing waits for ever: an API server that is stopped closes no connection, and says nothing.
pub(super) async fn config(target: &Target) -> Result<Config, ConnectError> {
    let mut config = found(target).await?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    // A connection that was idle is not silent.
    config.reset_reader_on_write = true;
    Ok(config)
}

async fn found(target: &Target) -> Result<Config, ConnectError> {
    let options = KubeConfigOptions { context: target.context.clone(), ..KubeConfigOptions::default() };
    if let Some(path) = &target.kubeconfig {
        let at = |source| ConnectError::Kubeconfig { path: path.clone(), source };
        let kubeconfig = Kubeconfig::read_from(path).map_err(at)?;
        return Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(at);
    }
    if let Some(context) = &target.context {
        let at = |source| ConnectError::Context { context: context.clone(), source };
        return Config::from_kubeconfig(&options).await.map_err(at);
    }
    Config::infer().await.map_err(ConnectError::NoCluster)
}

/// Why the kubeconfig can't be used: of the two causes of the error, the one that a person can do something about.
fn reason(error: &kube::config::InferConfigError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
