//! What a denial says, to people and to clients.

use insta::assert_snapshot;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{Api, PostParams};
use serde_json::{from_value, json};

use super::{apply, is_denied, kubectl, plain, said, service, statefulset, stored, with};
use crate::controlplane::shared;

#[test]
fn a_denial_names_every_violation_and_its_remedy_l4() {
    let namespace = plain().namespace("l4-all-at-once", &[]).unwrap();
    let denied = kubectl(&["apply"], &namespace, &statefulset(1));
    assert!(!denied.success());
    assert_snapshot!(said(&denied, &namespace), @r#"
    Error from server (Forbidden): error when creating "STDIN": admission webhook "statefulsets.validate.quorate.dev" denied the request: 2 violations:
    - spec.serviceName: "db" names no Service in namespace "NAMESPACE"; apply the headless Service first, then apply this StatefulSet again (policy plain)
    - spec.replicas: 1 is below the minimum 2; set spec.replicas to 2 or more (policy plain)
    "#);
}

#[tokio::test]
async fn a_denial_has_a_code_a_reason_and_causes_with_fields_l4_l90() {
    let namespace = plain().namespace("l4-status", &[]).unwrap();
    let statefulsets: Api<StatefulSet> = Api::namespaced(shared().client().await.unwrap(), &namespace);
    let object = from_value(statefulset(1)).unwrap();
    let Err(kube::Error::Api(status)) = statefulsets.create(&PostParams::default(), &object).await else {
        panic!("not denied");
    };
    assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    assert!(status.message.contains("spec.replicas: 1 is below the minimum 2"), "{status:?}");
    let details = status.details.unwrap();
    assert_eq!((details.name.as_str(), details.kind.as_str()), ("db", "statefulsets"));
    let fields: Vec<_> = details.causes.iter().map(|cause| cause.field.as_str()).collect();
    assert_eq!(fields, ["spec.serviceName", "spec.replicas"]);
    assert!(details.causes.iter().all(|cause| status.message.contains(&cause.message)), "{details:?}");
}

/// L70: the rule has causes, and each says what it is.
#[test]
fn no_service_name_has_a_message_of_its_own_l70() {
    let namespace = plain().namespace("l70-no-name", &[]).unwrap();
    let mut unnamed = statefulset(3);
    unnamed["spec"].as_object_mut().unwrap().remove("serviceName");
    let denied = kubectl(&["apply"], &namespace, &unnamed);
    assert!(!denied.success());
    assert_snapshot!(said(&denied, &namespace), @r#"Error from server (Forbidden): error when creating "STDIN": admission webhook "statefulsets.validate.quorate.dev" denied the request: spec.serviceName: is absent and must name a headless Service; create a Service with clusterIP: None and name it here (policy plain)"#);
}

#[test]
fn a_missing_service_has_a_message_of_its_own_l70_l72() {
    let namespace = plain().namespace("l70-missing", &[]).unwrap();
    let denied = kubectl(&["apply"], &namespace, &statefulset(3));
    assert!(!denied.success());
    assert_snapshot!(said(&denied, &namespace), @r#"Error from server (Forbidden): error when creating "STDIN": admission webhook "statefulsets.validate.quorate.dev" denied the request: spec.serviceName: "db" names no Service in namespace "NAMESPACE"; apply the headless Service first, then apply this StatefulSet again (policy plain)"#);
}

#[test]
fn a_service_with_a_cluster_ip_has_a_message_of_its_own_l70() {
    let namespace = plain().namespace("l70-cluster-ip", &[]).unwrap();
    let mut balanced = service();
    balanced["spec"].as_object_mut().unwrap().remove("clusterIP");
    apply(&namespace, &balanced);
    let address = shared().object(&namespace, "service", "db").unwrap()["spec"]["clusterIP"].clone();
    let denied = kubectl(&["apply"], &namespace, &statefulset(3));
    assert!(!denied.success());
    assert_snapshot!(said(&denied, &namespace).replace(address.as_str().unwrap(), "ADDRESS"), @r#"Error from server (Forbidden): error when creating "STDIN": admission webhook "statefulsets.validate.quorate.dev" denied the request: spec.serviceName: "db" names a Service that is not headless (its clusterIP is ADDRESS); recreate the Service with clusterIP: None, or name a headless one (policy plain)"#);
}

#[test]
fn a_service_that_selects_other_pods_has_a_message_of_its_own_l70() {
    let namespace = plain().namespace("l70-selector", &[]).unwrap();
    apply(&namespace, &with(service(), "/spec/selector", json!({"app": "other"})));
    let denied = kubectl(&["apply"], &namespace, &statefulset(3));
    assert!(!denied.success());
    assert_snapshot!(said(&denied, &namespace), @r#"Error from server (Forbidden): error when creating "STDIN": admission webhook "statefulsets.validate.quorate.dev" denied the request: spec.serviceName: "db" names a Service that selects app=other, but the pods have app=db; make the Service's spec.selector match spec.template.metadata.labels (policy plain)"#);
}

#[test]
fn nothing_is_deleted_and_recreated_for_a_denied_update_l90() {
    let namespace = plain().namespace("l90", &[]).unwrap();
    apply(&namespace, &service());
    apply(&namespace, &statefulset(3));
    let uid = stored(&namespace)["metadata"]["uid"].clone();
    for words in [&["apply", "--force"][..], &["replace"], &["apply", "--server-side", "--force-conflicts"]] {
        // The controller writes the status meanwhile, which a replace may run into; that is the API server's own conflict.
        let denied = (0..20)
            .map(|_| kubectl(words, &namespace, &statefulset(1)))
            .find(|said| !said.stderr.contains("the object has been modified"))
            .unwrap();
        assert!(is_denied(&denied, "spec.replicas: 1 is below the minimum 2"), "{denied}");
        assert!(!denied.stderr.to_lowercase().contains("immutable"), "{denied}");
        let object = stored(&namespace);
        assert_eq!(object["metadata"]["uid"], uid, "{words:?}");
        assert_eq!(object["spec"]["replicas"], 3, "{words:?}");
    }
}
