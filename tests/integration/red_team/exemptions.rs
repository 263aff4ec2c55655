//! Exemptions that are written while nobody asks who, and that come to count later.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde_json::{Value, json};

use crate::controlplane::{Quorate, shared};
use crate::ways::{Place, database, denied, policy, silent};

const MAY_NOT: &str = "may not add, change or extend an exemption";

/// One policy for everybody, and one for what is labelled: both let the platform team exempt, for 90 days.
fn policies() -> [String; 2] {
    let exemptions = |who: &str| json!({"requireReason": true, "maxDays": 90, "groups": [who]});
    let validate = |minimum: i32| json!({"replicas": {"action": "Deny", "minimum": minimum}});
    let gold = json!({"objectSelector": {"matchLabels": {"tier": "gold"}}});
    [
        policy("all", &json!({"validate": validate(2), "exemptions": exemptions("platform-admins")})),
        policy("gold", &json!({"match": gold, "validate": validate(3), "exemptions": exemptions("owners-of-gold")})),
    ]
}

/// The date so many days from today.
fn day(days: i64) -> String {
    let day = Timestamp::now() + (24 * days).hours();
    day.to_zoned(TimeZone::UTC).date().to_string()
}

fn claiming(annotations: &[(&str, &str)]) -> Value {
    let mut database = database(3);
    for (key, value) in annotations {
        database["items"][1]["metadata"]["annotations"][format!("quorate.dev/{key}")] = json!(value);
    }
    database
}

impl Place<'_> {
    fn annotate(&self, annotation: &str) -> crate::controlplane::kubectl::Output {
        self.kubectl(&["annotate", "--overwrite", "statefulset/db", &format!("quorate.dev/{annotation}")])
    }
}

/// What does not count can be written where nobody asks; what makes it count is reviewed.
#[test]
fn a_planted_exemption_comes_to_count_for_nobody_l139() {
    let cluster = shared();
    let [all, gold] = policies();
    let quorate = Quorate::builder(cluster).policy(&all).policy(&gold).start().unwrap();
    let why = ("exempt-reason", "mine");
    let (soon, late) = (day(30), day(1000));
    let until = format!("exempt-until={soon}");
    let planted: [(&str, Value, Vec<String>); 5] = [
        ("undated", claiming(&[("exempt", "replicas"), why]), vec![until.clone()]),
        ("distant", claiming(&[("exempt", "replicas"), why, ("exempt-until", &late)]), vec![until.clone()]),
        ("unreadable", claiming(&[("exempt", "replicas"), why, ("exempt-until", "soon")]), vec![until.clone()]),
        (
            "unreasoned",
            claiming(&[("exempt", "replicas"), ("exempt-until", &soon)]),
            vec!["exempt-reason=mine".to_owned()],
        ),
        (
            "dated",
            claiming(&[("exempt", " "), why, ("exempt-until", &soon)]),
            vec!["exempt=replicas".to_owned(), "exempt= spread ,replicas ".to_owned()],
        ),
    ];
    for (name, object, steps) in planted {
        let place = Place::ungoverned(cluster, &format!("planted-{name}"));
        silent(&place.apply(&object));
        place.govern(&quorate);
        for step in steps {
            denied(&place.annotate(&step), MAY_NOT);
            denied(&place.scale(1), "spec.replicas: 1 is below the minimum 2");
        }
        // In two steps it is the same.
        silent(&place.annotate("exempt-"));
        silent(&place.annotate(&until));
        denied(&place.annotate("exempt=replicas"), MAY_NOT);
        silent(&place.kubectl(&["label", "statefulset/db", "team=a"]));
    }
}

/// A label brings a policy about, under which the exemption counts: who may exempt under that policy is asked.
#[test]
fn a_label_makes_no_exemption_count_l139() {
    let cluster = shared();
    let [_, gold] = policies();
    let quorate = Quorate::builder(cluster).policy(&gold).start().unwrap();
    let place = Place::governed(cluster, &quorate, "labelled");
    let soon = day(30);
    silent(&place.apply(&claiming(&[("exempt", "replicas"), ("exempt-reason", "mine"), ("exempt-until", &soon)])));
    denied(&place.kubectl(&["label", "statefulset/db", "tier=gold"]), MAY_NOT);
    silent(&place.annotate("exempt-"));
    silent(&place.kubectl(&["label", "statefulset/db", "tier=gold"]));
    denied(&place.scale(1), "spec.replicas: 1 is below the minimum 3");
}
