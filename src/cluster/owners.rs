//! Whether a ServiceAccount runs the custom resource that controls a StatefulSet (L133).
//!
//! An ownerReference is what its writer says. So the API server is asked whether it serves such a kind, and whether the account
//! may update the status of such objects: an operator may, and hardly anybody else. In all namespaces, nobody can give an account
//! that right but the cluster's administrator. In one namespace its own people can, if they have the right themselves: some kinds
//! add it to the ClusterRoles `admin` and `edit`. There it says nothing.
//!
//! What a tenant can make up costs little: the groups that are served are one short list, and nothing is asked about others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::api::PostParams;
use kube::{Api, Client};

use super::answers::Answers;
use super::live::ReadError;
use crate::facts::{Owner, Requester, StatefulSet};

/// How long all of it may take.
const DEADLINE: Duration = Duration::from_secs(1);

/// How long answers are believed.
const LASTS: Duration = Duration::from_mins(1);

/// How long it is believed that an account has no right: an operator and its rights are often installed in one go.
const REFUSED: Duration = Duration::from_secs(10);

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

/// Whether somebody may update the status of the objects of a kind: of all, as whoever runs a kind may, so that one answer is about
/// all owners that a namespace has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Right {
    user: String,
    groups: Vec<String>,
    group: String,
    resource: String,
    namespace: Option<String>,
}

/// The ClusterRoles that people of a namespace usually have, and what those let them update.
const TENANTS: [&str; 2] = ["admin", "edit"];

/// What the API server said about owners and who runs them.
#[derive(Debug)]
pub(super) struct Owners {
    groups: Answers<(), Groups>,
    kinds: Answers<String, Kinds>,
    rights: Answers<Right, bool>,
    tenants: Answers<(), Option<Arc<Vec<PolicyRule>>>>,
}

impl Default for Owners {
    fn default() -> Self {
        Self {
            groups: Answers::at_most(1),
            kinds: Answers::at_most(MOST_GROUPS),
            rights: Answers::at_most(MOST_RIGHTS),
            tenants: Answers::at_most(1),
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
            let everywhere = Right {
                user: requester.username.to_owned(),
                groups: requester.groups.to_vec(),
                group: owner.group().to_owned(),
                resource: served.plural,
                namespace: None,
            };
            if self.has(client, &everywhere).await? {
                return Ok(true);
            }
            let namespace = served.namespaced.then(|| namespace.to_owned());
            if namespace.is_some() && self.tenants_have(client, &everywhere).await? {
                return Ok(false);
            }
            self.has(client, &Right { namespace, ..everywhere }).await
        };
        tokio::time::timeout(DEADLINE, asks).await.map_err(|_| ReadError::Deadline)?
    }

    /// Whether the cluster serves the owner's kind.
    pub(super) async fn serves(&self, client: &Client, owner: &Owner) -> Result<bool, ReadError> {
        let served = tokio::time::timeout(DEADLINE, self.served(client, owner)).await;
        served.map_err(|_| ReadError::Deadline)?.map(|served| served.is_some())
    }

    async fn has(&self, client: &Client, right: &Right) -> Result<bool, ReadError> {
        let lasts = |granted: &bool| if *granted { LASTS } else { REFUSED };
        self.rights.to(right.clone(), lasts, is_granted(client, right.clone())).await
    }

    /// Whether people of a namespace have the right there, and can give it to any account. Where there are no such ClusterRoles,
    /// what people have isn't known.
    async fn tenants_have(&self, client: &Client, right: &Right) -> Result<bool, ReadError> {
        let rules = self.tenants.to((), |_| LASTS, rules_of_tenants(client)).await?;
        Ok(rules.is_none_or(|rules| rules.iter().any(|rule| is_granted_by(rule, right))))
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
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let review = Api::<SubjectAccessReview>::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(review.status.is_some_and(|status| status.allowed && !status.denied.unwrap_or_default()))
}

async fn rules_of_tenants(client: &Client) -> Result<Option<Arc<Vec<PolicyRule>>>, ReadError> {
    let api = Api::<ClusterRole>::all(client.clone());
    let mut rules = Vec::new();
    for name in TENANTS {
        let Some(role) = api.get_opt(name).await? else { return Ok(None) };
        let updates = |rule: &PolicyRule| rule.verbs.iter().any(|verb| verb == "update" || verb == "*");
        rules.extend(role.rules.into_iter().flatten().filter(updates));
    }
    Ok(Some(Arc::new(rules)))
}

fn is_granted_by(rule: &PolicyRule, right: &Right) -> bool {
    let names = |list: &Option<Vec<String>>, names: &[&str]| {
        list.iter().flatten().any(|name| name == "*" || names.contains(&name.as_str()))
    };
    let status = format!("{}/status", right.resource);
    names(&rule.api_groups, &[&right.group]) && names(&rule.resources, &[&status, "*/status"])
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{from_value, json};

    use super::*;

    #[rstest]
    #[case::the_status(json!(["db.example.com"]), json!(["databases", "databases/status"]), true)]
    #[case::any_status(json!(["db.example.com"]), json!(["*/status"]), true)]
    #[case::everything(json!(["*"]), json!(["*"]), true)]
    #[case::the_object_alone(json!(["db.example.com"]), json!(["databases", "databases/scale"]), false)]
    #[case::another_group(json!(["cert-manager.io"]), json!(["databases/status"]), false)]
    fn what_people_of_a_namespace_may_tells_nothing_of_operators_l133(
        #[case] groups: serde_json::Value,
        #[case] resources: serde_json::Value,
        #[case] granted: bool,
    ) {
        let rule: PolicyRule =
            from_value(json!({"apiGroups": groups, "resources": resources, "verbs": ["update"]})).unwrap();
        let right = Right {
            user: String::new(),
            groups: Vec::new(),
            group: "db.example.com".to_owned(),
            resource: "databases".to_owned(),
            namespace: None,
        };
        assert_eq!(is_granted_by(&rule, &right), granted);
    }

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
