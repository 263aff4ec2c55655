//! Deletes every budget of ours, so that uninstalling leaves nothing.

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::{Api, Client};

use crate::facts::{Budget, MANAGED_BY};

/// How many budgets one answer of the API server holds, each of 1.5 MB at most.
const PAGE: u32 = 50;

/// Why budgets are left.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// They can't be listed.
    #[error("can't list PodDisruptionBudgets")]
    List(#[source] kube::Error),
    /// One can't be decoded.
    #[error("can't decode a PodDisruptionBudget")]
    Decode(#[source] serde_json::Error),
    /// One can't be deleted.
    #[error("can't delete PodDisruptionBudget {name} of namespace {namespace}")]
    Delete {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Why.
        source: kube::Error,
    },
}

/// Deletes every budget of ours in all namespaces; returns how many there were.
///
/// # Errors
///
/// The first that can't be deleted, or they can't be listed.
pub async fn remove(client: &Client) -> Result<usize, RemoveError> {
    let (label, value) = MANAGED_BY;
    let mut removed = 0;
    let mut page = ListParams::default().labels(&format!("{label}={value}")).limit(PAGE);
    loop {
        let budgets: Api<PodDisruptionBudget> = Api::all(client.clone());
        let listed = budgets.list(&page).await.map_err(RemoveError::List)?;
        for budget in listed.items {
            let facts = serde_json::to_value(budget).and_then(serde_json::from_value);
            let budget: Budget = facts.map_err(RemoveError::Decode)?;
            if budget.is_quorates() && delete(client, &budget).await? {
                removed += 1;
            }
        }
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(removed),
        }
    }
}

/// Whether it was still there.
async fn delete(client: &Client, budget: &Budget) -> Result<bool, RemoveError> {
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), &budget.namespace);
    let preconditions = Preconditions { uid: Some(budget.uid.clone()), resource_version: None };
    let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match budgets.delete(&budget.name, &parameters).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
        Err(source) => {
            let (namespace, name) = (budget.namespace.clone(), budget.name.clone());
            Err(RemoveError::Delete { namespace, name, source })
        }
    }
}
