//! Instances of Quorate in front of one API server: each sees what its own namespaces hold, and they can be ended,
//! exchanged and taken away.

use crate::controlplane::kubectl::Output;
use crate::controlplane::{ControlPlane, Quorate, shared, wait_for};

const POLICY: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: two }
spec: { validate: { replicas: { action: Deny, minimum: 2 } } }
";

fn put_one_replica(cluster: &ControlPlane, namespace: &str) -> Output {
    let database = include_str!("../fixtures/database.yaml").replace("replicas: 3", "replicas: 1");
    let kubectl = cluster.kubectl(&["apply", "-f", "-"]).as_user("developer").namespace(namespace);
    kubectl.stdin(&database).run().unwrap()
}

fn is_denied(output: &Output) -> bool {
    !output.success() && output.stderr.contains("spec.replicas: 1 is below the minimum 2")
}

#[test]
fn an_instance_sees_its_own_namespaces_only() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(POLICY).start().unwrap();
    let own = quorate.namespace("own", &[]).unwrap();
    let other = cluster.namespace("other", &[]).unwrap();

    let denied = put_one_replica(cluster, &own);
    assert!(is_denied(&denied), "{denied}");
    let admitted = put_one_replica(cluster, &other);
    assert!(admitted.success(), "{admitted}");

    assert!(quorate.metrics().unwrap().contains("quorate_"));
    assert!(quorate.log().contains("database"), "{}", quorate.log());
    wait_for("the audit log", || {
        let events = cluster.audit("statefulsets", &own, "database")?;
        let annotations = events.first().map(|event| &event["annotations"]);
        anyhow::ensure!(annotations.is_some_and(|it| it.to_string().contains("/verdict\"")), "{annotations:?}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_instance_can_stand_in_for_another() {
    let cluster = shared();
    let mut first = Quorate::builder(cluster).policy(POLICY).start().unwrap();
    let second = Quorate::builder(cluster).policy(POLICY).unregistered().start().unwrap();
    let namespace = first.namespace("exchanged", &[]).unwrap();

    first.switch_to(&second).unwrap();
    let ended = first.terminate().unwrap();
    assert!(ended.success(), "{ended}");
    let denied = put_one_replica(cluster, &namespace);
    assert!(is_denied(&denied), "{denied}");

    first.start_again().unwrap();
    first.register().unwrap();
    second.kill().unwrap();
    let denied = put_one_replica(cluster, &namespace);
    assert!(is_denied(&denied), "{denied}");

    first.kill().unwrap();
    let unanswered = put_one_replica(cluster, &namespace);
    assert!(unanswered.stderr.contains("failed calling webhook"), "{unanswered}");
    first.unregister().unwrap();
    let admitted = put_one_replica(cluster, &namespace);
    assert!(admitted.success(), "{admitted}");
}
