//! Shapes of well-known charts whose Service is not what the StatefulSet needs: the message says which, and what of it.

use insta::assert_snapshot;

use super::{plain, said};
use crate::controlplane::shared;

fn refusal(chart: &str) -> String {
    let cluster = shared();
    let namespace = plain().namespace("l71", &[]).unwrap();
    let file = format!("tests/fixtures/charts/{chart}.yaml");
    let denied = cluster.kubectl(&["apply", "-f", &file]).as_user("developer").namespace(&namespace).run().unwrap();
    assert!(!denied.success(), "{denied}");
    said(&denied, &namespace)
}

#[test]
fn a_chart_that_names_its_service_for_clients_learns_which_field_l71() {
    let refusal = refusal("service-with-cluster-ip");
    let start = refusal.find("10.96.").expect("the address of the Service");
    let address: String = refusal[start..].chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    assert_snapshot!(refusal.replace(&address, "ADDRESS"), @r#"Error from server (Forbidden): error when creating "tests/fixtures/charts/service-with-cluster-ip.yaml": admission webhook "statefulsets.validate.quorate.dev" denied the request: spec.serviceName: "broker" names a Service that is not headless (its clusterIP is ADDRESS); recreate the Service with clusterIP: None, or name a headless one (policy plain)"#);
}

#[test]
fn a_chart_that_names_another_components_service_learns_which_label_l71() {
    assert_snapshot!(refusal("service-of-another-component"), @r#"
    Warning: spec.replicas: 2 is even; set spec.replicas to an odd number, as 2 tolerates no more losses than 1 (policy plain)
    Error from server (Forbidden): error when creating "tests/fixtures/charts/service-of-another-component.yaml": admission webhook "statefulsets.validate.quorate.dev" denied the request: spec.serviceName: "metrics-storage" names a Service that selects app.kubernetes.io/component=storage, but the pods have app.kubernetes.io/component=select; make the Service's spec.selector match spec.template.metadata.labels (policy plain)
    "#);
}
