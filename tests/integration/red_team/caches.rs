//! What a tenant stores takes no more memory than its share (L132).

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::{Value, from_value, json};

use crate::admission::statefulset;
use crate::controlplane::{Quorate, shared, wait_for};

const POLICY: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: three }
spec:
  validate: { replicas: { action: Deny, minimum: 3 } }
";

/// Of nobody's pods, and 45 kB to be kept.
fn budget(number: usize) -> PodDisruptionBudget {
    let values: Vec<_> = (0..480).map(|value| format!("{value:060}")).collect();
    let expression = json!({"key": "app", "operator": "In", "values": values});
    from_value(json!({
        "metadata": {"name": format!("heavy-{number}")},
        "spec": {"maxUnavailable": 1, "selector": {"matchExpressions": [expression]}},
    }))
    .unwrap()
}

fn create(namespace: &str, object: &Value) -> String {
    let words = ["create", "-f", "-"];
    let output = shared().kubectl(&words).as_user("developer").namespace(namespace).stdin(&object.to_string()).run();
    output.unwrap().stderr
}

/// One namespace that stores more than there is room for is denied what it asks for; the others are served as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_stores_too_much_is_denied_and_no_other_l132() {
    let quorate = Quorate::builder(shared()).policy(POLICY).argument("--max-cache-memory=1Mi").start().unwrap();
    let (evil, shop) = (quorate.namespace("evil", &[]).unwrap(), quorate.namespace("shop", &[]).unwrap());
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(shared().client().await.unwrap(), &evil);
    for number in 0..40 {
        // Those past the share are denied.
        drop(budgets.create(&PostParams::default(), &budget(number)).await);
    }
    wait_for("the namespace to hold more than there is room for", || {
        let said = create(&evil, &statefulset(3));
        let words =
            "metadata.namespace: evil-0 holds more PodDisruptionBudgets than Quorate has memory for; delete some";
        anyhow::ensure!(said.contains(&words.replace("evil-0", &evil)), "{said}");
        Ok(())
    })
    .unwrap();
    assert_eq!(create(&shop, &statefulset(3)), "");
    // Nobody is kept from making room.
    budgets.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
}
