//! L50, L52, L54, L56

use rstest::rstest;
use serde_json::{Value, from_value, json};

use super::*;

fn statefulset(name: &str, replicas: i32, selector: &Value, labels: &Value) -> StatefulSet {
    from_value(json!({
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": replicas, "selector": selector, "template": {"metadata": {"labels": labels}}},
    }))
    .unwrap()
}

/// One whose selector is a label `app`.
fn app(name: &str, replicas: i32) -> StatefulSet {
    let labels = json!({"app": name});
    statefulset(name, replicas, &json!({"matchLabels": labels}), &labels)
}

fn theirs(name: &str, selector: &Value) -> Budget {
    from_value(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"selector": selector}})).unwrap()
}

fn terms(max_unavailable: Amount) -> Terms {
    let unhealthy_pod_eviction_policy = UnhealthyPodEvictionPolicy::AlwaysAllow;
    Terms { max_unavailable, unhealthy_pod_eviction_policy, policy: "baseline".to_owned() }
}

/// What is wanted where the policy asks for a quorum: `name=maxUnavailable`, or the reason why not.
fn outcome(statefulsets: &[StatefulSet], budgets: &[Budget]) -> Vec<String> {
    let terms: Vec<_> =
        statefulsets.iter().map(|set| terms(Amount::Pods(crate::budget::quorum(set.replicas)))).collect();
    outcome_with(statefulsets, &terms, budgets)
}

fn outcome_with(statefulsets: &[StatefulSet], terms: &[Terms], budgets: &[Budget]) -> Vec<String> {
    let candidates: Vec<_> = statefulsets
        .iter()
        .zip(terms)
        .map(|(statefulset, terms)| Candidate { statefulset, terms: Ok(terms), apart: Apart::No })
        .collect();
    desired(&candidates, budgets)
        .into_iter()
        .map(|wanted| match wanted {
            Wanted::Budget(Kept { name, terms, .. }) => match terms.max_unavailable {
                Amount::Pods(pods) => format!("{name}={pods}"),
                Amount::Percent(percent) => format!("{name}={percent}%"),
            },
            Wanted::None(reason) => format!("{reason:?}"),
        })
        .collect()
}

#[rstest]
#[case(0, "TooFew")]
#[case(1, "TooFew")]
#[case(2, "db-quorate=1")]
#[case(3, "db-quorate=1")]
#[case(5, "db-quorate=2")]
fn two_replicas_or_more_have_one_l51_l52(#[case] replicas: i32, #[case] expected: &str) {
    assert_eq!(outcome(&[app("db", replicas)], &[]), [expected]);
}

#[rstest]
#[case::labels(json!({"matchLabels": {"app": "db"}}), "Covered { by: \"theirs\" }")]
#[case::expressions(json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "web"]}]}), "Covered { by: \"theirs\" }")]
#[case::empty(json!({}), "Covered { by: \"theirs\" }")]
#[case::absent(json!(null), "db-quorate=1")]
#[case::unrelated(json!({"matchLabels": {"app": "web"}}), "db-quorate=1")]
#[case::not_this_one(json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}), "db-quorate=1")]
#[case::first_pod(json!({"matchLabels": {"app": "db", "apps.kubernetes.io/pod-index": "0"}}), "PartlyCovered { by: \"theirs\" }")]
#[case::first_pod_of_another(json!({"matchLabels": {"app": "web", "apps.kubernetes.io/pod-index": "0"}}), "db-quorate=1")]
#[case::satisfiable_jointly(json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}), "db-quorate=1")]
fn somebody_elses_budget_goes_first_l50_l56(#[case] selector: Value, #[case] expected: &str) {
    assert_eq!(outcome(&[app("db", 3)], &[theirs("theirs", &selector)]), [expected]);
}

#[test]
fn one_that_covers_weighs_more_than_one_that_covers_some_l50() {
    let some = theirs("a", &json!({"matchLabels": {"statefulset.kubernetes.io/pod-name": "db-0"}}));
    let covers = theirs("b", &json!({"matchLabels": {"app": "db"}}));
    for budgets in [[some.clone(), covers.clone()], [covers, some]] {
        assert_eq!(outcome(&[app("db", 3)], &budgets), ["Covered { by: \"b\" }"]);
    }
}

/// A release-wide selector, as several charts have it: which of the StatefulSets a pod belongs to, only its name tells.
#[test]
fn those_that_select_each_others_pods_share_one_l50_l56() {
    let labels = json!({"release": "kafka"});
    let set = |name, replicas| statefulset(name, replicas, &json!({"matchLabels": labels}), &labels);
    let sets = [set("kafka", 5), set("zookeeper", 3), app("web", 3)];
    let shares = "Shares { with: \"kafka\" }";
    assert_eq!(outcome(&sets, &[]), ["kafka-quorate=1", shares, "web-quorate=1"]);
    // One that wants none of its own gives nothing up: its pods are the other's all the same.
    let sets = [set("kafka", 1), set("zookeeper", 3)];
    assert_eq!(outcome(&sets, &[]), ["TooFew", "zookeeper-quorate=1"]);
}

fn outcome_apart(statefulsets: &[StatefulSet], budgets: &[Budget], apart: &[&str], how: Apart) -> Vec<String> {
    let terms = terms(Amount::Pods(1));
    let candidates: Vec<_> = statefulsets
        .iter()
        .map(|statefulset| Candidate {
            statefulset,
            terms: Ok(&terms),
            apart: if apart.contains(&statefulset.metadata.name.as_str()) { how } else { Apart::No },
        })
        .collect();
    let words = desired(&candidates, budgets).into_iter().map(|wanted| match wanted {
        Wanted::Budget(kept) => {
            let names = kept.selector.match_expressions.last().map(|each| each.values.join(" ")).unwrap_or_default();
            format!("{:?} {names}", kept.limit)
        }
        Wanted::None(reason) => format!("{reason:?}"),
    });
    words.collect()
}

/// One whose pods aren't ready, or pods that nobody's StatefulSet owns: then each names its own, and neither waits for another.
#[test]
fn those_that_are_set_apart_name_their_pods_l140() {
    let labels = json!({"release": "kafka"});
    let set = |name, replicas| statefulset(name, replicas, &json!({"matchLabels": labels}), &labels);
    let mut zookeeper = set("zookeeper", 2);
    zookeeper.first_ordinal = 5;
    let named = ["MinAvailable(Pods(2)) kafka-0 kafka-1 kafka-2", "MinAvailable(Pods(1)) zookeeper-5 zookeeper-6"];
    let sets = [set("kafka", 3), zookeeper];
    assert_eq!(outcome_apart(&sets, &[], &["zookeeper"], Apart::IfShared), named);
    assert_eq!(outcome_apart(&sets, &[], &["kafka"], Apart::Yes), named);
    assert_eq!(outcome_apart(&sets[..1], &[], &["kafka"], Apart::Yes), named[..1]);
    assert_eq!(outcome_apart(&sets[..1], &[], &["kafka"], Apart::IfShared), ["MaxUnavailable(Pods(1)) "]);
    assert_eq!(outcome_apart(&sets, &[], &[], Apart::No)[1], "Shares { with: \"kafka\" }");
}

/// L140: the size of one takes nothing from the others. It names theirs, or else has none.
#[test]
fn one_that_is_too_large_to_be_named_names_the_others_l140() {
    let labels = json!({"release": "kafka"});
    let set = |name, replicas| statefulset(name, replicas, &json!({"matchLabels": labels}), &labels);
    let small = "MinAvailable(Pods(1)) zookeeper-0 zookeeper-1";
    let all = [set("kafka", 5_000), set("metrics", 1), set("zookeeper", 2)];
    assert_eq!(
        outcome_apart(&all, &[], &["kafka"], Apart::IfShared),
        ["MinAvailable(Pods(4999)) metrics-0 zookeeper-0 zookeeper-1", "TooFew", small]
    );
    assert_eq!(outcome_apart(&all, &[], &[], Apart::No)[2], "Shares { with: \"kafka\" }");
    assert_eq!(outcome_apart(&all[..1], &[], &["kafka"], Apart::Yes), ["MinAvailable(Pods(4999)) "]);
    let too_many = [set("kafka", 1_001), set("more", 600), set("rest", 500), set("zookeeper", 2)];
    let wanted = outcome_apart(&too_many, &[], &["kafka"], Apart::IfShared);
    assert_eq!(wanted[0], "TooMany { with: \"more\" }");
    assert!(wanted[1].starts_with("MinAvailable(Pods(599)) more-0 ") && wanted[3] == small, "{wanted:?}");
    let two = [set("kafka", 1_001), set("pulsar", 1_001), set("zookeeper", 2)];
    let wanted = outcome_apart(&two, &[], &["kafka"], Apart::IfShared);
    assert_eq!(wanted, ["TooMany { with: \"pulsar\" }", "TooMany { with: \"kafka\" }", small]);
}

/// L50: real pods, by the names that they have.
#[test]
fn no_pod_has_two_where_one_is_too_large_l50_l140() {
    let labels = json!({"release": "kafka"});
    let set = |name, replicas| statefulset(name, replicas, &json!({"matchLabels": labels}), &labels);
    let sets = [set("a", 3), set("b", 1_001), set("c", 1_000), set("d", 1), set("e", 2_000), set("f", 0)];
    let terms = terms(Amount::Pods(1));
    for count in 1..=sets.len() {
        let candidates: Vec<_> = sets[..count]
            .iter()
            .map(|statefulset| Candidate { statefulset, terms: Ok(&terms), apart: Apart::Yes })
            .collect();
        let kept: Vec<Kept> = (desired(&candidates, &Vec::<Budget>::new()).into_iter())
            .filter_map(|wanted| match wanted {
                Wanted::Budget(kept) => Some(kept),
                Wanted::None(_) => None,
            })
            .collect();
        for set in &sets[..count] {
            for ordinal in 0..set.replicas {
                let mut labels = set.template.labels.clone();
                let name = format!("{}-{ordinal}", set.metadata.name);
                labels.insert(crate::facts::POD_NAME.to_owned(), name.clone());
                let of: Vec<_> = kept.iter().filter(|kept| kept.selector.matches(&labels)).map(|it| &it.name).collect();
                let own = budget_name(&set.metadata.name);
                assert!(of.is_empty() || of == [&own], "{name}: {of:?}");
                assert!(!of.is_empty() || set.replicas < 2 || set.replicas > 1_000, "{name} has none");
            }
        }
    }
}

/// L137: somebody's budget over all pods of one of those that share their labels, told by their names.
#[test]
fn ours_keeps_off_pods_that_somebody_elses_is_about_l137_l140() {
    let labels = json!({"release": "kafka"});
    let set = |name, replicas| statefulset(name, replicas, &json!({"matchLabels": labels}), &labels);
    let names = json!({"matchExpressions": [
        {"key": "statefulset.kubernetes.io/pod-name", "operator": "In", "values": ["zookeeper-0", "zookeeper-1"]},
    ]});
    assert_eq!(
        outcome_apart(&[set("kafka", 2), set("zookeeper", 2)], &[theirs("theirs", &names)], &[], Apart::No),
        ["MinAvailable(Pods(1)) kafka-0 kafka-1", "Covered { by: \"theirs\" }"]
    );
}

/// L137: exactly while it holds.
#[rstest]
#[case("nobody-0", 3, "db-quorate=1")]
#[case("db-3", 3, "db-quorate=1")]
#[case("db-3", 4, "PartlyCovered { by: \"theirs\" }")]
fn ours_makes_room_only_for_pods_that_there_are_l137(#[case] pod: &str, #[case] replicas: i32, #[case] expected: &str) {
    let selector = json!({"matchLabels": {"statefulset.kubernetes.io/pod-name": pod}});
    assert_eq!(outcome(&[app("db", replicas)], &[theirs("theirs", &selector)]), [expected]);
}

#[test]
fn a_shared_percentage_becomes_a_number() {
    let labels = json!({"release": "kafka"});
    let set = |name, replicas| statefulset(name, replicas, &json!({"matchLabels": labels}), &labels);
    let terms = [terms(Amount::Percent(50)), terms(Amount::Percent(50))];
    assert_eq!(outcome_with(&[set("a", 4), set("b", 6)], &terms, &[])[0], "a-quorate=2");
    assert_eq!(outcome_with(&[set("a", 6), set("b", 4)], &terms, &[])[0], "a-quorate=2");
    assert_eq!(outcome_with(&[set("a", 4)], &terms, &[])[0], "a-quorate=50%");
}

#[test]
fn the_broader_selector_has_the_budget_l50() {
    let narrow = json!({"app": "db", "role": "primary"});
    let sets = [
        statefulset("a", 3, &json!({"matchLabels": narrow}), &narrow),
        statefulset("b", 3, &json!({"matchLabels": {"app": "db"}}), &json!({"app": "db", "role": "standby"})),
    ];
    assert_eq!(outcome(&sets, &[]), ["Shares { with: \"b\" }", "b-quorate=1"]);
}

/// Whatever the shapes, no pod is ever selected by two budgets, and no StatefulSet that wants one is left without.
#[test]
fn no_pod_has_two_l50() {
    let labels: Vec<Value> = vec![
        json!({"a": "1"}),
        json!({"a": "1", "b": "1"}),
        json!({"a": "1", "b": "2"}),
        json!({"b": "1"}),
        json!({"a": "2", "b": "1"}),
    ];
    let mut shapes = Vec::new();
    for selector in &labels {
        for template in &labels {
            let set = statefulset("x", 3, &json!({"matchLabels": selector}), template);
            if set.selector.matches(&set.template.labels) {
                shapes.push(set);
            }
        }
    }
    for first in &shapes {
        for second in &shapes {
            for third in &shapes {
                let mut sets = [first.clone(), second.clone(), third.clone()];
                for (set, name) in sets.iter_mut().zip(["x", "y", "z"]) {
                    name.clone_into(&mut set.metadata.name);
                }
                let terms = terms(Amount::Pods(1));
                let candidates =
                    sets.each_ref().map(|statefulset| Candidate { statefulset, terms: Ok(&terms), apart: Apart::No });
                let kept: Vec<Kept> = desired(&candidates, &Vec::<Budget>::new())
                    .into_iter()
                    .filter_map(|wanted| match wanted {
                        Wanted::Budget(kept) => Some(kept),
                        Wanted::None(_) => None,
                    })
                    .collect();
                assert!(!kept.is_empty());
                for set in &sets {
                    let count = kept.iter().filter(|kept| kept.selector.matches(&set.template.labels)).count();
                    assert!(count <= 1, "{count} budgets for {}: {sets:?}", set.metadata.name);
                }
            }
        }
    }
}

#[test]
fn names_fit_and_stay_apart_l54() {
    assert_eq!(budget_name("db"), "db-quorate");
    let (one, two) = (budget_name(&"x".repeat(253)), budget_name(&format!("{}y", "x".repeat(252))));
    assert!(one.len() <= 253 && two.len() <= 253 && one != two, "{one} {two}");
    let dotted = budget_name(&format!("{}.{}", "x".repeat(227), "y".repeat(25)));
    assert!(!dotted.contains(".-") && !dotted.contains("--"), "{dotted}");
}

#[test]
fn only_what_is_ours_in_every_respect_is_ours_l54() {
    let budget = |name: &str, label: &str, kind: &str, controller: bool| -> Budget {
        from_value(json!({"metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": label},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": "db", "controller": controller}],
        }}))
        .unwrap()
    };
    assert!(budget("db-quorate", "quorate", "StatefulSet", true).ours);
    assert!(!budget("db", "quorate", "StatefulSet", true).ours);
    assert!(!budget("db-quorate", "Helm", "StatefulSet", true).ours);
    assert!(!budget("db-quorate", "quorate", "Deployment", true).ours);
    assert!(!budget("db-quorate", "quorate", "StatefulSet", false).ours);
}

#[test]
fn drift_shows_in_every_field() {
    let set = app("db", 3);
    let terms = terms(Amount::Pods(1));
    let candidate = Candidate { statefulset: &set, terms: Ok(&terms), apart: Apart::No };
    let [Wanted::Budget(kept)] = &desired(&[candidate], &Vec::<Budget>::new())[..] else { panic!("no budget") };
    let spec = json!({
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": {"app": "db"}},
    });
    let with = |field: &str, value: Value| -> Budget {
        let mut spec = spec.clone();
        spec[field] = value;
        from_value(json!({"metadata": {"name": "db-quorate"}, "spec": spec})).unwrap()
    };
    assert!(kept.is(&with("maxUnavailable", json!(1))));
    assert!(!kept.is(&with("maxUnavailable", json!(2))));
    assert!(!kept.is(&with("maxUnavailable", json!("1%"))));
    assert!(!kept.is(&with("unhealthyPodEvictionPolicy", json!(null))));
    assert!(!kept.is(&with("selector", json!({}))));
}
