//! Objects with too much of something, most of which an API server would take and send.
//!
//! Time is not measured: what took the product of two such lengths would not come back before the tests' patience ends.

use serde_json::{Map, Value, json};

use super::{Served, request, review, review_with, statefulset};

/// In KiB. A body has at most 7 MiB; decoded it takes several times that, and two requests are decoded at a time.
#[cfg(target_os = "linux")]
const MOST_MEMORY: u64 = 400 << 10;

fn with(pointer: &str, value: Value) -> Value {
    let mut object = statefulset();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[name] = value;
    object
}

fn many(count: usize, item: impl Fn(usize) -> Value) -> Value {
    (0..count).map(item).collect()
}

fn numbered(count: usize, value: &str) -> Value {
    Value::Object((0..count).map(|number| (format!("k{number}"), json!(value))).collect::<Map<_, _>>())
}

fn annotated(annotations: &[(&str, String)]) -> Value {
    with("/metadata/annotations", annotations.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect())
}

/// Judged twice: created, and updated to itself with another template.
async fn judged(served: &mut Served, what: &str, object: &Value) -> [Value; 2] {
    eprintln!("{what}");
    let answers = served.review(&review(&request(object, None))).await;
    let mut old = object.clone();
    old["spec"]["template"]["spec"]["priorityClassName"] = json!("other");
    served.review(&review(&request(object, Some(&old)))).await;
    answers
}

fn message(answer: &Value) -> &str {
    answer["response"]["status"]["message"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn what_is_long_is_judged_in_short() {
    let mut served = Served::start("json").await;
    let long = "x".repeat(1 << 20);
    let [answer, _] = judged(&mut served, "serviceName", &with("/spec/serviceName", json!(long))).await;
    assert!(message(&answer).contains("apply the headless Service first"), "{answer}");
    let [answer, _] = judged(&mut served, "name", &with("/metadata/name", json!(long))).await;
    assert!(message(&answer).contains("names no Service"), "{answer}");
    let containers = many(1000, |number| json!({"name": format!("c{number}"), "ports": [{"containerPort": 1}]}));
    let [answer, _] = judged(&mut served, "containers", &with("/spec/template/spec/containers", containers)).await;
    assert!(
        message(&answer).starts_with("1001 violations:\n") && message(&answer).ends_with("\n- and 951 more"),
        "{answer}"
    );
    let mut request = request(&statefulset(), None);
    for (place, value) in [
        ("name", json!(long)),
        ("operation", json!(long)),
        ("userInfo", json!({"username": long, "groups": many(100_000, |_| json!("g"))})),
    ] {
        request[place] = value;
        served.review(&review(&request)).await;
    }
}

#[tokio::test]
async fn labels_annotations_and_lists_without_end_are_judged() {
    let mut served = Served::start("json").await;
    let selector = |requirements: usize| {
        let expression = |number| json!({"key": format!("k{number}"), "operator": "NotIn", "values": ["a", "b"]});
        with(
            "/spec/selector",
            json!({"matchLabels": {"app": "db"}, "matchExpressions": many(requirements, expression)}),
        )
    };
    let tolerations = |count| with("/spec/template/spec/tolerations", many(count, |_| json!({"operator": "Exists"})));
    let terms = many(
        1_000,
        |number| json!({"topologyKey": format!("k{number}"), "labelSelector": {"matchLabels": {"app": "db"}}}),
    );
    for (what, object) in [
        ("labels", with("/metadata/labels", numbered(8_000, "v"))),
        ("labels of pods", with("/spec/template/metadata/labels", numbered(8_000, "v"))),
        ("annotations", with("/metadata/annotations", numbered(20_000, "x"))),
        ("an annotation", annotated(&[("example.com/long", "{\"".repeat(128 << 10))])),
        ("node selector", with("/spec/template/spec/nodeSelector", numbered(1_000, "v"))),
        ("tolerations", tolerations(1_000)),
        ("expressions", selector(80)),
        (
            "terms",
            with(
                "/spec/template/spec/affinity",
                json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}),
            ),
        ),
        (
            "owners",
            with("/metadata/ownerReferences", many(2_500, |_| json!({"controller": true, "apiVersion": "a/v1"}))),
        ),
    ] {
        let [answer, _] = judged(&mut served, what, &object).await;
        assert!(message(&answer).contains("names no Service"), "{what}: {answer}");
    }
    // What is compared with every StatefulSet of a namespace has a bound of its own (L141), and so has what is with every Node.
    for (object, message_of) in [
        (selector(1_000), "spec.selector: 3001 requirements and values are too many"),
        (tolerations(4_000), "spec.template.spec: 4001 requirements and values are too many"),
    ] {
        let [answer, _] = judged(&mut served, message_of, &object).await;
        assert!(message(&answer).starts_with(message_of), "{answer}");
    }
}

/// 200 kB of names where a few are meant, compared with 200 kB of others.
#[tokio::test]
async fn exemptions_without_end_are_judged() {
    let mut served = Served::start("json").await;
    let names = |from: usize| (from..from + 30_000).map(|number| format!("n{number}")).collect::<Vec<_>>().join(",");
    let exempt =
        |names: String| annotated(&[("quorate.dev/exempt", names), ("quorate.dev/exempt-until", "x".repeat(50_000))]);
    let rules = "replicas,headlessService,".repeat(8_000);
    judged(&mut served, "the same rules", &exempt(rules)).await;
    for (new, old) in [(names(0), names(0)), (names(0), names(15_000))] {
        served.review(&review(&request(&exempt(new), Some(&exempt(old))))).await;
    }
}

/// A record of what was injected that somebody else wrote, and a template that has all of it.
#[tokio::test]
async fn records_without_end_are_judged() {
    let mut served = Served::start("json").await;
    for (count, key) in [(10_000, "k"), (900, "k"), (60_000, "")] {
        let term =
            |number: usize| if key.is_empty() { json!({}) } else { json!({"topologyKey": format!("{key}{number}")}) };
        let record =
            json!({"required": many(count, term), "infeasible": many(100, |number| json!(number.to_string()))});
        let terms = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": many(4_000, term)}});
        let mut object = with("/spec/template/spec/affinity", terms);
        object["metadata"]["annotations"] = json!({"quorate.dev/injected": record.to_string()});
        judged(&mut served, "record", &object).await;
        let mut lost = object.clone();
        lost["spec"]["template"]["spec"]["affinity"] = Value::Null;
        served.review(&review(&request(&lost, Some(&object)))).await;
    }
}

/// Brackets take much more memory than text. Those that no rule reads are passed over; too many of others are denied, whatever
/// `onInternalError` says.
#[tokio::test]
async fn brackets_without_end_are_not_decoded_l131() {
    let mut served = Served::start("json").await;
    for (place, is_read) in [
        ("/spec/template/spec/containers", true),
        ("/spec/template/spec/tolerations", true),
        ("/metadata/ownerReferences", true),
        ("/metadata/managedFields", false),
        ("/spec/template/spec/volumes", false),
        ("/fromTheFuture", false),
    ] {
        for item in ["{}", r#"{"":0}"#, r#"{"a":{}}"#, "[]", "0", r#""""#] {
            let list = format!("[{}{item}]", format!("{item},").repeat((2 << 20) / (item.len() + 1)));
            let body = review_with(&request(&with(place, json!("HERE")), None), &list);
            let [answer, mutation] = served.review(&body).await;
            let field = place[1..].replace('/', ".");
            if !is_read {
                assert!(message(&answer).contains("names no Service"), "{place} {item}: {answer}");
                assert!(mutation["response"]["patch"].is_string(), "{place} {item}: {mutation}");
            } else if item.starts_with('{') {
                assert!(message(&answer).starts_with(&format!("{field}: ")), "{place} {item}: {answer}");
                let warning = mutation["response"]["warnings"][0].as_str().unwrap_or_default();
                assert!(warning.starts_with(&format!("not judged, nothing is injected: {field}: ")), "{mutation}");
            }
        }
        let body = review_with(&request(&with(place, json!("HERE")), None), &format!("[{}0]", "0,".repeat(500_000)));
        served.review(&body).await;
    }
    #[cfg(target_os = "linux")]
    assert!(served.peak_memory() < MOST_MEMORY, "{} KiB", served.peak_memory());
}
