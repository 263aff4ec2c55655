//! Whether a ServiceAccount runs the custom resource that controls a StatefulSet (L133).
//!
//! An ownerReference is what its writer says. So the API server is asked whether it serves such a kind, and whether the account
//! may update the status of that object: an operator may, and hardly anybody else. What a tenant can make up costs little: the
//! groups that are served are one short list, and nothing is asked about others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use super::answers::Answers;
use super::live::ReadError;
use crate::facts::{Owner, Requester, StatefulSet};

/// How long all of it may take.
const DEADLINE: Duration = Duration::from_secs(1);

/// How long answers are believed.
const LASTS: Duration = Duration::from_mins(1);

/// How long it is believed that a kind is not served: its definition may have come a moment before its first object.
const ABSENT: Duration = Duration::from_secs(2);

/// The most answers that are kept about accounts; each has a few hundred bytes.
const MOST_RIGHTS: usize = 4096;

/// The most groups of which the kinds are kept. Only served ones come here.
const MOST_GROUPS: usize = 1024;

/// The versions that are served of each group, the preferred one first.
type Groups = Arc<BTreeMap<String, Vec<String>>>;

/// The resource of each kind, in one version of a group.
type Kinds = Arc<HashMap<String, Served>>;

#[derive(Debug, Clone, Default)]
struct Served {
    plural: String,
    namespaced: bool,
    has_status: bool,
}

/// Whether somebody may update the status of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Right {
    user: String,
    groups: Vec<String>,
    group: String,
    resource: String,
    namespace: Option<String>,
    name: String,
}

/// What the API server said about owners and who runs them.
#[derive(Debug)]
pub(super) struct Owners {
    groups: Answers<(), Groups>,
    kinds: Answers<String, Kinds>,
    rights: Answers<Right, bool>,
}

impl Default for Owners {
    fn default() -> Self {
        Self {
            groups: Answers::at_most(1),
            kinds: Answers::at_most(MOST_GROUPS),
            rights: Answers::at_most(MOST_RIGHTS),
        }
    }
}

/// The owner of which it takes the API server to tell whether the requester runs it; none where he doesn't anyway.
pub(super) fn to_be_asked_about<'a>(requester: Requester<'_>, statefulset: &'a StatefulSet) -> Option<&'a Owner> {
    let metadata = &statefulset.metadata;
    let is_of_another = requester.account_namespace().is_some_and(|namespace| namespace != metadata.namespace);
    metadata.controller.as_ref().filter(|owner| is_of_another && owner.is_custom())
}

impl Owners {
    /// Whether the owner is of a served kind with a status, and the requester may update that.
    pub(super) async fn runs(
        &self,
        client: &Client,
        requester: Requester<'_>,
        owner: &Owner,
        namespace: &str,
    ) -> Result<bool, ReadError> {
        let asks = async {
            let served = self.served(client, owner).await?.filter(|served| served.has_status);
            let Some(served) = served else { return Ok(false) };
            let right = Right {
                user: requester.username.to_owned(),
                groups: requester.groups.to_vec(),
                group: owner.group().to_owned(),
                resource: served.plural,
                namespace: served.namespaced.then(|| namespace.to_owned()),
                name: owner.name.clone(),
            };
            self.rights.to(right.clone(), |_| LASTS, is_granted(client, right)).await
        };
        tokio::time::timeout(DEADLINE, asks).await.map_err(|_| ReadError::Deadline)?
    }

    /// Whether the cluster serves the owner's kind.
    pub(super) async fn serves(&self, client: &Client, owner: &Owner) -> Result<bool, ReadError> {
        let served = tokio::time::timeout(DEADLINE, self.served(client, owner)).await;
        served.map_err(|_| ReadError::Deadline)?.map(|served| served.is_some())
    }

    /// The resource of the owner's kind, in the version that it names or the preferred one: a version may have gone since.
    async fn served(&self, client: &Client, owner: &Owner) -> Result<Option<Served>, ReadError> {
        let group = owner.group();
        let lasts = |groups: &Groups| if groups.contains_key(group) { LASTS } else { ABSENT };
        let groups = self.groups.to((), lasts, served_groups(client)).await?;
        let Some(versions) = groups.get(group) else { return Ok(None) };
        let is_named = |version: &&String| **version == owner.api_version;
        let Some(version) = versions.iter().find(is_named).or(versions.first()) else { return Ok(None) };
        let lasts = |kinds: &Kinds| if kinds.contains_key(&owner.kind) { LASTS } else { ABSENT };
        let kinds = self.kinds.to(version.clone(), lasts, served_kinds(client, version)).await?;
        Ok(kinds.get(&owner.kind).cloned())
    }
}

async fn served_groups(client: &Client) -> Result<Groups, ReadError> {
    let groups = client.list_api_groups().await?.groups.into_iter().map(|group| {
        let preferred = group.preferred_version.map(|version| version.group_version);
        let others = group.versions.into_iter().map(|version| version.group_version);
        (group.name, preferred.into_iter().chain(others).collect())
    });
    Ok(Arc::new(groups.collect()))
}

async fn served_kinds(client: &Client, version: &str) -> Result<Kinds, ReadError> {
    let resources = client.list_api_group_resources(version).await?.resources;
    let mut kinds: HashMap<String, Served> = HashMap::new();
    for resource in resources {
        let (plural, subresource) = resource.name.split_once('/').map_or((&*resource.name, ""), |parts| parts);
        match subresource {
            "" => {
                let served = kinds.entry(resource.kind).or_default();
                (served.plural, served.namespaced) = (plural.to_owned(), resource.namespaced);
            }
            "status" => kinds.entry(resource.kind).or_default().has_status = true,
            _ => {}
        }
    }
    Ok(Arc::new(kinds))
}

async fn is_granted(client: &Client, right: Right) -> Result<bool, ReadError> {
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(right.user),
            groups: Some(right.groups),
            resource_attributes: Some(ResourceAttributes {
                verb: Some("update".to_owned()),
                group: Some(right.group),
                resource: Some(right.resource),
                subresource: Some("status".to_owned()),
                namespace: right.namespace,
                name: Some(right.name),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let review = Api::<SubjectAccessReview>::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(review.status.is_some_and(|status| status.allowed && !status.denied.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{from_value, json};

    use super::*;

    #[rstest]
    #[case::an_operator("system:serviceaccount:operators:db", "db.example.com/v1", true)]
    #[case::of_the_same_namespace("system:serviceaccount:shop:default", "db.example.com/v1", false)]
    #[case::a_person("developer", "db.example.com/v1", false)]
    #[case::not_an_account("system:serviceaccount:operators", "db.example.com/v1", false)]
    #[case::a_built_in_kind("system:serviceaccount:operators:db", "apps/v1", false)]
    #[case::of_the_core("system:serviceaccount:operators:db", "v1", false)]
    fn the_api_server_is_only_asked_where_it_matters_l133(
        #[case] username: &str,
        #[case] api_version: &str,
        #[case] asked: bool,
    ) {
        let owner = json!({"apiVersion": api_version, "kind": "X", "name": "x", "uid": "1", "controller": true});
        let statefulset =
            from_value(json!({"metadata": {"name": "db", "namespace": "shop", "ownerReferences": [owner]}})).unwrap();
        let requester = Requester { username, ..Requester::default() };
        assert_eq!(to_be_asked_about(requester, &statefulset).is_some(), asked);
    }
}
