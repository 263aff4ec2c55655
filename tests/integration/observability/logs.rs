//! What is logged of a request.

use serde_json::Value;

use super::{DATABASE, namespace, observed};
use crate::controlplane::wait_for;

/// The lines about objects of this name.
fn decisions(name: &str) -> Vec<Value> {
    let lines = observed().log();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    lines.filter(|line: &Value| line["message"] == "decided" && line["name"] == name).collect()
}

#[test]
fn a_decision_is_one_line_with_everything_at_its_top_level() {
    let (cluster, namespace) = namespace("logged");
    let database = DATABASE.replace("replicas: 3", "replicas: 1").replace("name: database", "name: logged");
    let kubectl = cluster.kubectl(&["create", "-f", "-"]).as_user("developer").namespace(&namespace);
    let denied = kubectl.stdin(&database).run().unwrap();
    assert!(!denied.success(), "{denied}");
    let line = wait_for("the line", || {
        let lines = decisions("logged").into_iter();
        let mut lines = lines.filter(|line| line["kind"] == "StatefulSet" && line["webhook"] == "validate");
        lines.next().ok_or_else(|| anyhow::anyhow!("no such line"))
    });
    let line = line.unwrap();
    for (field, value) in [
        ("level", "INFO"),
        ("operation", "CREATE"),
        ("namespace", namespace.as_str()),
        ("user", "developer"),
        ("verdict", "deny"),
        ("policies", "observed"),
    ] {
        assert_eq!(line[field], value, "{field}: {line:#}");
    }
    assert!(line["violations"].as_str().unwrap().contains("replicas=Deny"), "{line:#}");
    assert_eq!(line["uid"].as_str().unwrap().len(), 36, "{line:#}");
    assert!(line["took_us"].is_u64() && line["span"].is_null(), "{line:#}");
}

/// The API server asks mutating webhooks before it looks at the name.
#[test]
fn a_name_that_no_object_may_have_is_on_one_line_all_the_same() {
    let (cluster, namespace) = namespace("forged");
    let name = "x\n{\"level\":\"INFO\",\"message\":\"decided\",\"name\":\"forged\"}";
    let database = DATABASE.replace("name: database", &format!("name: {}", Value::from(name)));
    let refused = cluster.kubectl(&["create", "-f", "-"]).namespace(&namespace).stdin(&database).run().unwrap();
    assert!(!refused.success(), "{refused}");
    let printed = quorate::plain::plain(name).to_string();
    wait_for("the line", || {
        anyhow::ensure!(!decisions(&printed).is_empty(), "no such line");
        Ok(())
    })
    .unwrap();
    assert!(decisions("forged").is_empty(), "{}", observed().log());
}
