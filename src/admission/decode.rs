//! An AdmissionReview, decoded as far as Quorate needs it and borrowed from the body where possible.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::member::member;
use crate::facts::{self, Marks, Requester};
use crate::mutate::{Injected, is_same_template};

/// What the request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Operation {
    Create,
    Update,
    Delete,
    Connect,
    /// It could not be read.
    #[serde(skip)]
    Unknown,
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// An AdmissionRequest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Incoming<'a> {
    #[serde(borrow)]
    pub(super) uid: Cow<'a, str>,
    pub(super) operation: Operation,
    #[serde(default)]
    pub(super) kind: GroupKind<'a>,
    #[serde(borrow, default)]
    pub(super) resource: GroupResource<'a>,
    #[serde(default, deserialize_with = "UserInfo::leniently")]
    pub(super) user_info: UserInfo,
    #[serde(borrow, default)]
    pub(super) sub_resource: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) old_object: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "null_as_false")]
    pub(super) dry_run: bool,
}

/// The kind of the object under review.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct GroupKind<'a> {
    #[serde(borrow, default)]
    pub(super) group: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) kind: Cow<'a, str>,
}

/// The resource that the request is sent to.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct GroupResource<'a> {
    #[serde(borrow, default)]
    pub(super) group: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) resource: Cow<'a, str>,
}

impl GroupResource<'_> {
    pub(super) fn is(&self, group: &str, resource: &str) -> bool {
        self.group == group && self.resource == resource
    }
}

/// Who sends the request.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct UserInfo {
    #[serde(default)]
    username: String,
    #[serde(default)]
    groups: Vec<String>,
}

impl UserInfo {
    pub(super) fn requester(&self) -> Requester<'_> {
        Requester { username: &self.username, groups: &self.groups, runs_owner: false }
    }

    /// A user of a shape that was not expected is nobody in particular, who may exempt nothing.
    fn leniently<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written: &RawValue = Deserialize::deserialize(deserializer)?;
        Ok(facts::decode(written.get()).unwrap_or_default())
    }
}

/// Why a body could not be decoded, and the uid to answer with, where there is one.
#[derive(Debug)]
pub(super) struct Undecodable {
    pub(super) uid: Option<String>,
    pub(super) why: String,
}

#[derive(Deserialize)]
struct Review<'a> {
    #[serde(borrow, deserialize_with = "object")]
    request: Incoming<'a>,
}

impl<'a> Incoming<'a> {
    pub(super) fn decode(body: &'a [u8]) -> Result<Self, Undecodable> {
        let mut written = serde_json::Deserializer::from_slice(body);
        let review: Review<'a> = object(&mut written)
            .and_then(|review| written.end().map(|()| review))
            .map_err(|error| Undecodable { uid: uid_at_least(body), why: error.to_string() })?;
        if review.request.uid.is_empty() {
            return Err(Undecodable { uid: None, why: "request.uid is empty".to_owned() });
        }
        Ok(review.request)
    }

    /// The same request as if it created one of its objects.
    pub(super) fn creating(&self, object: Option<&'a RawValue>) -> Self {
        Self { operation: Operation::Create, object, old_object: None, ..self.clone() }
    }

    /// What stands for a request of which only the uid could be read.
    pub(super) fn bare(uid: String) -> Self {
        Self {
            uid: Cow::Owned(uid),
            operation: Operation::Unknown,
            kind: GroupKind::default(),
            resource: GroupResource::default(),
            user_info: UserInfo::default(),
            sub_resource: None,
            namespace: Cow::Borrowed(""),
            name: Cow::Borrowed(""),
            object: None,
            old_object: None,
            dry_run: false,
        }
    }
}

/// The uid of a review whose other parts have shapes that were not expected.
fn uid_at_least(body: &[u8]) -> Option<String> {
    let request = member(body, "request")?;
    let uid: String = serde_json::from_str(member(request.get().as_bytes(), "uid")?.get()).ok()?;
    (!uid.is_empty()).then_some(uid)
}

/// A struct that is written as an object: what serde derives takes a list for one, too, member by member.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(members))
        }
    }

    deserializer.deserialize_map(Object(PhantomData))
}

fn null_as_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The parts of a StatefulSet that are compared as they are written. The API server writes both objects of a review with the
/// same encoder, so that equal bytes mean an equal value and others a change.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Written<'a> {
    #[serde(borrow, default)]
    pub(super) metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) spec: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct WrittenSpec<'a> {
    #[serde(borrow, default)]
    template: Option<&'a RawValue>,
}

impl<'a> Written<'a> {
    pub(super) fn decode(object: &'a RawValue) -> serde_json::Result<Self> {
        serde_json::from_str(object.get())
    }

    /// What its metadata says to us; `None` where that can't be read.
    pub(super) fn marks(&self) -> Option<Marks> {
        self.metadata.map_or_else(|| Some(Marks::default()), |metadata| facts::decode(metadata.get()).ok())
    }

    pub(super) fn spec_differs(&self, other: &Self) -> bool {
        self.spec.map(RawValue::get) != other.spec.map(RawValue::get)
    }

    /// Whether the templates differ in more than what is ours.
    pub(super) fn template_differs(&self, other: &Self, ours: &Injected) -> bool {
        let (one, other) = (self.template(), other.template());
        one != other
            && (ours.is_empty() || !one.zip(other).is_some_and(|(one, other)| is_same_template(one, other, ours)))
    }

    fn template(&self) -> Option<&'a str> {
        let spec: WrittenSpec<'a> = serde_json::from_str(self.spec?.get()).ok()?;
        spec.template.map(RawValue::get)
    }
}
