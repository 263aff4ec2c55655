//! Exemptions as three real users write them: the platform team, a developer, and a controller that applies what is in Git.

use anyhow::ensure;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde_json::{Value, json};

use super::{Place, autoscaler, database, denied, policy, silent, warned};
use crate::controlplane::kubectl::Output;
use crate::controlplane::{Quorate, shared, wait_for};

const GITOPS: &str = "system:serviceaccount:gitops-system:gitops";

fn exemptible() -> String {
    let spec = json!({
        "validate": {"replicas": {"action": "Deny", "minimum": 3}, "headlessService": {"action": "Deny"}},
        "exemptions": {"requireReason": true, "maxDays": 90, "groups": ["platform-admins"], "users": [GITOPS]},
    });
    policy("exemptible", &spec)
}

/// The date so many days from today.
fn day(days: i64) -> String {
    let day = Timestamp::now() + (24 * days).hours();
    day.to_zoned(TimeZone::UTC).date().to_string()
}

/// A database that claims an exemption from `replicas` until a day.
fn exempted(replicas: i32, until: &str) -> Value {
    let mut database = database(replicas);
    database["items"][1]["metadata"]["annotations"] = json!({
        "quorate.dev/exempt": "replicas",
        "quorate.dev/exempt-reason": "one licence only",
        "quorate.dev/exempt-until": until,
    });
    database
}

impl Place<'_> {
    fn apply_as(&self, user: &str, objects: &Value) -> Output {
        self.as_user(user, &["apply", "-f", "-"]).stdin(&objects.to_string()).run().unwrap()
    }

    fn annotate_as(&self, user: &str, annotations: &[&str]) -> Output {
        let words: Vec<&str> =
            ["annotate", "--overwrite", "statefulset/db"].into_iter().chain(annotations.iter().copied()).collect();
        self.as_user(user, &words).run().unwrap()
    }
}

#[test]
fn only_those_whom_a_policy_names_may_exempt() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&exemptible()).start().unwrap();
    for user in ["platform", "gitops"] {
        let place = Place::governed(cluster, &quorate, "exempt");
        let may_not = "metadata.annotations[quorate.dev/exempt]: user \"developer\" may not add, change or extend an exemption; \
             ask group platform-admins or user system:serviceaccount:gitops-system:gitops";
        denied(&place.apply_as("developer", &exempted(1, &day(30))), may_not);
        denied(&place.apply_as(user, &database(1)), "spec.replicas: 1 is below the minimum 3");
        // Add.
        silent(&place.apply_as(user, &exempted(1, &day(30))));
        // Whoever else writes the object leaves it exempt, by every way.
        silent(&place.kubectl(&["set", "image", "statefulset/db", "db=server:2"]));
        silent(&place.scale(2));
        silent(&place.scale(1));
        silent(&place.apply(&autoscaler(1, 2)));
        silent(&place.kubectl(&["delete", "hpa/db"]));
        // Extend, widen, give another reason.
        for change in [
            &format!("quorate.dev/exempt-until={}", day(60)),
            "quorate.dev/exempt=replicas,headlessService",
            "quorate.dev/exempt-reason=another",
            "quorate.dev/exempt-until-",
        ] {
            denied(&place.annotate_as("developer", &[change]), "may not add, change or extend an exemption");
        }
        silent(&place.annotate_as(user, &[&format!("quorate.dev/exempt-until={}", day(60))]));
        // Shortening and removing need nobody's leave; the violation was there before.
        silent(&place.annotate_as("developer", &[&format!("quorate.dev/exempt-until={}", day(10))]));
        silent(&place.scale(2));
        silent(&place.annotate_as(
            "developer",
            &["quorate.dev/exempt-", "quorate.dev/exempt-until-", "quorate.dev/exempt-reason-"],
        ));
        warned(&place.kubectl(&["set", "image", "statefulset/db", "db=server:3"]), "spec.replicas: 2 is below");
        denied(&place.scale(1), "spec.replicas: 1 is below the minimum 3");
        denied(&place.annotate_as("developer", &["quorate.dev/exempt=replicas"]), "may not add, change or extend");
    }
}

#[test]
fn an_exemption_counts_only_as_the_policy_allows_it() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&exemptible()).start().unwrap();
    let place = Place::governed(cluster, &quorate, "objections");
    let few = "its exemption does not count: ";
    let with = |annotations: Value| {
        let mut database = database(1);
        database["items"][1]["metadata"]["annotations"] = annotations;
        place.apply_as("platform", &database)
    };
    let reason = "one licence only";
    let unreasoned = with(json!({"quorate.dev/exempt": "replicas", "quorate.dev/exempt-until": day(3)}));
    denied(&unreasoned, &format!("{few}policy exemptible requires quorate.dev/exempt-reason"));
    let endless = with(json!({"quorate.dev/exempt": "replicas", "quorate.dev/exempt-reason": reason}));
    denied(&endless, &format!("{few}policy exemptible requires quorate.dev/exempt-until"));
    let until = |day: &str| {
        with(json!({
            "quorate.dev/exempt": "replicas",
            "quorate.dev/exempt-reason": reason,
            "quorate.dev/exempt-until": day,
        }))
    };
    denied(&until(&day(120)), &format!("{few}policy exemptible allows none beyond "));
    denied(&until(&day(-1)), &format!("{few}it ended with {}", day(-1)));
    denied(&until("soon"), &format!("{few}quorate.dev/exempt-until is \"soon\", which is not a date"));
    let unknown = with(json!({
        "quorate.dev/exempt": "replica",
        "quorate.dev/exempt-reason": reason,
        "quorate.dev/exempt-until": day(3),
    }));
    denied(&unknown, "\"replica\" is no rule; name one of headlessService, replicas,");
    // The whole of its last day counts.
    silent(&until(&day(0)));
}

#[test]
fn an_expired_exemption_stops_changes_of_the_spec_but_nothing_else() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&exemptible()).start().unwrap();
    let place = Place::ungoverned(cluster, "expired");
    silent(&place.apply(&exempted(1, &day(-1))));
    place.govern(&quorate);
    let over = format!(
        "spec.replicas: 1 is below the minimum 3; set spec.replicas to 3 or more; its exemption does not count: it ended with {}",
        day(-1)
    );
    denied(&place.kubectl(&["set", "image", "statefulset/db", "db=server:2"]), &over);
    silent(&place.kubectl(&["label", "statefulset/db", "team=a"]));
    warned(&place.scale(1), "spec.replicas: 1 is below the minimum 3");
    warned(&place.scale(2), "spec.replicas: 2 is below the minimum 3");
    denied(&place.scale(1), "spec.replicas: 1 is below the minimum 3");
    // The platform team can renew it, a developer can't.
    let renew = format!("quorate.dev/exempt-until={}", day(30));
    denied(&place.annotate_as("developer", &[&renew]), "may not add, change or extend");
    silent(&place.annotate_as("platform", &[&renew]));
    silent(&place.scale(1));
}

#[test]
fn what_is_wrong_with_an_exemption_from_before_stops_nobody_l22() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&exemptible()).start().unwrap();
    for (rules, until) in [("replica", day(3)), ("replicas", "soon".to_owned())] {
        let place = Place::ungoverned(cluster, "malformed");
        let mut database = exempted(3, &until);
        database["items"][1]["metadata"]["annotations"]["quorate.dev/exempt"] = json!(rules);
        silent(&place.apply(&database));
        place.govern(&quorate);
        silent(&place.kubectl(&["label", "statefulset/db", "team=a"]));
        silent(&place.kubectl(&["set", "image", "statefulset/db", "db=server:2"]));
        denied(&place.scale(1), "spec.replicas: 1 is below the minimum 3");
        silent(&place.annotate_as("developer", &["quorate.dev/exempt-"]));
    }
}

#[test]
fn an_annotation_of_ones_own_exempts_from_nothing() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(&exemptible()).policies("policies/baseline.yaml").start().unwrap();
    let place = Place::governed(cluster, &quorate, "no-escape");
    let database = database(3);
    place.apply(&database);
    let exempt = ["quorate.dev/exempt=replicas", "quorate.dev/exempt-reason=mine"];
    denied(&place.annotate_as("developer", &exempt), "may not add, change or extend an exemption");
    let labelled = place.kubectl(&["label", "statefulset/db", "quorate.dev/exempt=replicas"]);
    silent(&labelled);
    denied(&place.scale(1), "spec.replicas: 1 is below the minimum");
    // Not through the subresources either.
    for subresource in ["scale", "status"] {
        let patch = json!({"metadata": {"annotations": {"quorate.dev/exempt": "replicas"}}}).to_string();
        let subresource = format!("--subresource={subresource}");
        place.kubectl(&["patch", "statefulset/db", &subresource, "--type=merge", "-p", &patch]);
        let stored = place.object("statefulset", "db").unwrap();
        assert!(stored["metadata"]["annotations"].get("quorate.dev/exempt").is_none(), "{subresource}: {stored}");
    }
    // Baseline allows none at all, which even the platform team can't change.
    let all = [
        "quorate.dev/exempt=replicas",
        "quorate.dev/exempt-reason=theirs",
        &format!("quorate.dev/exempt-until={}", day(3)),
    ];
    silent(&place.annotate_as("platform", &all));
    denied(&place.scale(1), "its exemption does not count: policy baseline allows none");
    silent(&place.scale(2));
}

#[test]
fn active_exemptions_are_counted_by_rule() {
    let cluster = shared();
    // Other tests' StatefulSets are in the caches of every instance: only this namespace matches.
    let place = Place::ungoverned(cluster, "counted");
    let own = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}}});
    let policy = exemptible().replace(r#""spec":{"#, &format!(r#""spec":{{"match":{own},"#));
    let quorate = Quorate::builder(cluster).policy(&policy).start().unwrap();
    let counted = |rule: &str, count: u32| {
        wait_for("the count of exemptions", || {
            let metrics = quorate.metrics()?;
            let line = format!("quorate_exemptions_active{{rule=\"{rule}\"}} {count}");
            ensure!(metrics.lines().any(|found| found == line), "{line} is not in:\n{metrics}");
            Ok(())
        })
        .unwrap();
    };
    counted("replicas", 0);
    place.apply_as("platform", &exempted(1, &day(3)));
    counted("replicas", 1);
    counted("headlessService", 0);
    place.annotate_as("platform", &["quorate.dev/exempt=replicas,headlessService"]);
    counted("headlessService", 1);
    // One that is over, or that no policy lets count, is not active.
    place.annotate_as("platform", &[&format!("quorate.dev/exempt-until={}", day(-1))]);
    counted("replicas", 0);
    place.annotate_as("platform", &[&format!("quorate.dev/exempt-until={}", day(1))]);
    counted("replicas", 1);
    place.as_admin(&["delete", "statefulset/db"]).ok().unwrap();
    counted("replicas", 0);
}
