//! The request that is measured: a review of a StatefulSet of 20 kB, as an API server sends it.

use serde_json::{Value, json};

/// What the request does.
#[derive(Debug)]
pub(crate) enum Operation {
    /// Creates it, as its user wrote it.
    Create,
    /// Creates it, with what Quorate injects already there: what the validating webhook sees.
    CreateMutated,
    /// Updates it: another image.
    Update,
}

/// The bytes of the review.
pub(crate) fn review(operation: &Operation) -> Vec<u8> {
    let (name, object, old) = match operation {
        Operation::Create => ("CREATE", statefulset("db:1", false), Value::Null),
        Operation::CreateMutated => ("CREATE", statefulset("db:1", true), Value::Null),
        Operation::Update => ("UPDATE", statefulset("db:2", true), statefulset("db:1", true)),
    };
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "0df28fbd-5f5f-11e8-bc74-36e6bb280816",
            "kind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
            "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
            "requestKind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
            "requestResource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
            "name": "db",
            "namespace": "shop-7",
            "operation": name,
            "userInfo": {
                "username": "system:serviceaccount:ci:deployer",
                "uid": "014fbff9-a079-4c1b-9d0c-2e1a2b3c4d5e",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:ci", "system:authenticated"],
                "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1c1b2a3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d"]},
            },
            "object": object,
            "oldObject": old,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "helm"},
        },
    });
    review.to_string().into_bytes()
}

/// The StatefulSet alone, as JSON.
pub(crate) fn statefulset(image: &str, mutated: bool) -> Value {
    let labels = json!({
        "app": "db",
        "app.kubernetes.io/name": "db",
        "app.kubernetes.io/instance": "shop",
        "app.kubernetes.io/component": "primary",
        "helm.sh/chart": "db-12.4.1",
    });
    let selector = json!({"matchLabels": {"app": "db", "app.kubernetes.io/instance": "shop"}});
    let term =
        json!({"weight": 100, "podAffinityTerm": {"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"}});
    let mut pod = json!({
        "serviceAccountName": "db",
        "terminationGracePeriodSeconds": 120,
        "securityContext": {"fsGroup": 1001, "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [container("prepare", image, 4)],
        "containers": [container("db", image, 60), container("metrics", image, 12), container("backup", image, 12)],
        "volumes": (0..8).map(|number| json!({"name": format!("config-{number}"), "configMap": {"name": "db", "defaultMode": 420}})).collect::<Vec<_>>(),
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
    });
    let mut annotations = json!({"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "shop-7"});
    if mutated {
        pod["affinity"] = json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [&term]}});
        annotations["quorate.dev/injected"] = json!(json!({"preferred": [&term]}).to_string());
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": "db",
            "namespace": "shop-7",
            "uid": "5b4a3c2d-1e0f-4a5b-8c7d-6e5f4a3b2c1d",
            "creationTimestamp": "2026-03-01T12:00:00Z",
            "generation": 1,
            "labels": labels,
            "annotations": annotations,
            "managedFields": [{
                "manager": "helm",
                "operation": "Update",
                "apiVersion": "apps/v1",
                "time": "2026-03-01T12:00:00Z",
                "fieldsType": "FieldsV1",
                "fieldsV1": fields(),
            }],
        },
        "spec": {
            "serviceName": "db",
            "replicas": 3,
            "podManagementPolicy": "Parallel",
            "revisionHistoryLimit": 10,
            "selector": selector,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "template": {"metadata": {"labels": labels, "annotations": {"checksum/config": "d2b4"}}, "spec": pod},
            "volumeClaimTemplates": [{
                "kind": "PersistentVolumeClaim",
                "apiVersion": "v1",
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Gi"}}, "volumeMode": "Filesystem"},
                "status": {"phase": "Pending"},
            }],
        },
        "status": {"replicas": 0, "availableReplicas": 0},
    })
}

fn container(name: &str, image: &str, variables: usize) -> Value {
    let probe = json!({"exec": {"command": ["/bin/sh", "-c", "exec pg_isready -U postgres"]}, "initialDelaySeconds": 30, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6, "successThreshold": 1});
    let variable = |number: usize| match number % 3 {
        0 => {
            json!({"name": format!("DB_SECRET_{number}"), "valueFrom": {"secretKeyRef": {"name": "db", "key": format!("password-{number}")}}})
        }
        _ => json!({"name": format!("DB_SETTING_{number}"), "value": "a value as long as they are"}),
    };
    json!({
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": name, "containerPort": 5432, "protocol": "TCP"}],
        "env": (0..variables).map(variable).collect::<Vec<_>>(),
        "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "250m", "memory": "256Mi"}},
        "volumeMounts": (0..8).map(|number| json!({"name": format!("config-{number}"), "mountPath": format!("/etc/db/{number}")})).collect::<Vec<_>>(),
        "livenessProbe": probe,
        "readinessProbe": probe,
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    })
}

/// Which fields helm owns, as the API server writes it.
fn fields() -> Value {
    let variables = |count: usize| {
        let each =
            |number| (format!("k:{{\"name\":\"DB_SETTING_{number}\"}}"), json!({".": {}, "f:name": {}, "f:value": {}}));
        (0..count).map(each).collect::<serde_json::Map<_, _>>()
    };
    let container = |count| json!({".": {}, "f:env": variables(count), "f:image": {}, "f:name": {}, "f:resources": {"f:limits": {"f:memory": {}}}});
    json!({
        "f:metadata": {"f:annotations": {".": {}, "f:meta.helm.sh/release-name": {}}, "f:labels": {".": {}, "f:app": {}}},
        "f:spec": {
            "f:replicas": {},
            "f:serviceName": {},
            "f:template": {"f:spec": {"f:containers": {
                "k:{\"name\":\"db\"}": container(60),
                "k:{\"name\":\"metrics\"}": container(12),
                "k:{\"name\":\"backup\"}": container(12),
            }}},
        },
    })
}
