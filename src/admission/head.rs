//! The beginning of an AdmissionReview: who asks about what. The API server writes the object after that.
//!
//! So a review that is not read to its end, as it is too long or there is no room for it, is still answered with its uid.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::decode::{GroupKind, GroupResource, Incoming, Operation};

/// The request as far as the text goes; `None` where that is not as far as its uid, kind and operation.
pub(super) fn head(text: &[u8]) -> Option<Incoming<'static>> {
    let mut request = Incoming::bare(String::new());
    // What is cut off is an error, and what came before it is known by then.
    let _ = Head(&mut request, Part::Review, Until::End).deserialize(&mut serde_json::Deserializer::from_slice(text));
    let is_known = !request.uid.is_empty() && !request.kind.kind.is_empty() && request.operation != Operation::Unknown;
    is_known.then_some(request)
}

/// The namespace that the request is about; empty where the text does not say.
pub(super) fn namespace(text: &[u8]) -> String {
    let mut request = Incoming::bare(String::new());
    let _ =
        Head(&mut request, Part::Review, Until::Namespace).deserialize(&mut serde_json::Deserializer::from_slice(text));
    request.namespace.into_owned()
}

/// Fills in the request.
struct Head<'r>(&'r mut Incoming<'static>, Part, Until);

/// How much of the request is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    End,
    Namespace,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Review,
    Request,
}

#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    group: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    resource: String,
}

impl<'de> DeserializeSeed<'de> for Head<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Head<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self(request, part, until) = self;
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            match (part, &*name) {
                (Part::Review, "request") => members.next_value_seed(Head(request, Part::Request, until))?,
                (Part::Request, "uid") => request.uid = Cow::Owned(members.next_value()?),
                (Part::Request, "operation") => request.operation = members.next_value()?,
                (Part::Request, "namespace") => {
                    request.namespace = Cow::Owned(members.next_value()?);
                    if until == Until::Namespace {
                        return Err(A::Error::custom("the rest is not read"));
                    }
                }
                (Part::Request, "name") => request.name = Cow::Owned(members.next_value()?),
                (Part::Request, "subResource") => request.sub_resource = Some(Cow::Owned(members.next_value()?)),
                (Part::Request, "kind") => {
                    let Names { group, kind, .. } = members.next_value()?;
                    request.kind = GroupKind { group: Cow::Owned(group), kind: Cow::Owned(kind) };
                }
                (Part::Request, "resource") => {
                    let Names { group, resource, .. } = members.next_value()?;
                    request.resource = GroupResource { group: Cow::Owned(group), resource: Cow::Owned(resource) };
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVIEW: &str = concat!(
        r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1","#,
        r#""kind":{"group":"","version":"v1","kind":"Service"},"resource":{"group":"","version":"v1","resource":"services"},"#,
        r#""requestKind":{"group":"","version":"v1","kind":"Service"},"name":"db","namespace":"shop","operation":"UPDATE","#,
        r#""userInfo":{"username":"developer"},"object":{"metadata":{"name":"db","annotations":{"a":"\u003c"#,
    );

    #[test]
    fn reads_what_comes_before_the_object_l9() {
        let request = head(REVIEW.as_bytes()).unwrap();
        assert_eq!((&*request.uid, &*request.kind.kind, &*request.namespace), ("u-1", "Service", "shop"));
        assert_eq!((request.operation, &*request.name), (Operation::Update, "db"));
        assert!(request.resource.is("", "services"));
    }

    #[test]
    fn is_none_where_too_little_is_there() {
        for length in 0..REVIEW.find("\"userInfo").unwrap_or_default() - 1 {
            assert!(head(&REVIEW.as_bytes()[..length]).is_none(), "{length}");
        }
    }
}
