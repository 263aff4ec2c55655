//! How the programs of the control plane are started: their flags, keys and tokens.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use super::cluster::{ControlPlane, USERS};
use super::process::Process;
use super::run::free_port;
use super::wait::wait_for;

impl ControlPlane {
    /// Starts all of them; returns when the API server is ready and has what every cluster of the tests holds.
    pub(super) fn start_all(&mut self) -> Result<()> {
        self.write_secrets()?;
        self.start_storage_and_api(&["--audit-policy-file=audit-policy.yaml", "--audit-log-path=logs/audit.log"])?;
        self.wait_for_api()?;
        self.start_controllers()?;
        self.apply(include_str!("cluster.yaml"))?;
        Ok(())
    }

    /// Starts etcd and the API server alone; returns when that is ready.
    pub(super) fn start_api(&mut self) -> Result<()> {
        self.write_secrets()?;
        self.start_storage_and_api(&[])?;
        self.wait_for_api()
    }

    fn wait_for_api(&self) -> Result<()> {
        wait_for("the API server", || match self.check() {
            Ok(()) => self.kubectl(&["get", "--raw", "/readyz", "--request-timeout=5s"]).ok().map(drop),
            // Nothing to wait for any more.
            Err(_) => Ok(()),
        })?;
        self.check()
    }

    /// Tokens, kubeconfig, and the key that signs the tokens of every ServiceAccount.
    fn write_secrets(&self) -> Result<()> {
        let (mut tokens, mut contexts, mut users) = (Vec::new(), Vec::new(), Vec::new());
        for (context, user, group) in USERS {
            let token = random();
            tokens.push(format!("{token},{user},{context},\"{group}\""));
            contexts.push(json!({"name": context, "context": {"cluster": "tests", "user": context}}));
            users.push(json!({"name": context, "user": {"token": token}}));
        }
        let cluster = json!({"server": self.server(), "certificate-authority": self.authority()});
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "contexts": contexts,
            "users": users,
            "current-context": "admin",
        });
        let key = rcgen::KeyPair::generate()?;
        fs::write(self.run.path("tokens.csv"), tokens.join("\n"))?;
        fs::write(self.run.path("service-accounts.key"), key.serialize_pem())?;
        fs::write(self.run.path("service-accounts.pub"), key.public_key_pem())?;
        fs::write(self.run.path("stages.yaml"), include_str!("stages.yaml"))?;
        fs::write(self.run.path("audit-policy.yaml"), include_str!("audit-policy.yaml"))?;
        fs::write(self.kubeconfig(), kubeconfig.to_string())?;
        for context in ["controller-manager", "scheduler"] {
            let mut own = kubeconfig.clone();
            own["current-context"] = json!(context);
            fs::write(self.run.path(&format!("{context}.kubeconfig")), own.to_string())?;
        }
        Ok(())
    }

    fn start_storage_and_api(&mut self, audit: &[&str]) -> Result<()> {
        let etcd = format!("http://127.0.0.1:{}", free_port()?);
        let peer = format!("http://127.0.0.1:{}", free_port()?);
        self.spawn(
            "etcd",
            &[
                "--data-dir=etcd",
                "--unsafe-no-fsync",
                "--log-level=warn",
                &format!("--listen-client-urls={etcd}"),
                &format!("--advertise-client-urls={etcd}"),
                &format!("--listen-peer-urls={peer}"),
                &format!("--initial-advertise-peer-urls={peer}"),
                &format!("--initial-cluster=default={peer}"),
            ],
        )?;
        let (server, port) = (self.server(), self.port);
        let arguments = [
            &format!("--etcd-servers={etcd}"),
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            // Kubernetes 1.37 takes no loopback address without it (L102).
            "--endpoint-reconciler-type=none",
            &format!("--secure-port={port}"),
            "--cert-dir=certificates",
            "--token-auth-file=tokens.csv",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            &format!("--service-account-issuer={server}"),
            "--service-account-key-file=service-accounts.pub",
            "--service-account-signing-key-file=service-accounts.key",
            // Tests ask for more at once than people do, and watch nothing that outlives them.
            "--max-requests-inflight=1000",
            "--max-mutating-requests-inflight=1000",
        ];
        self.spawn("kube-apiserver", &[&arguments, audit].concat())
    }

    fn start_controllers(&mut self) -> Result<()> {
        let authority = self.authority();
        self.spawn(
            "kube-controller-manager",
            &[
                "--kubeconfig=controller-manager.kubeconfig",
                "--secure-port=0",
                "--leader-elect=false",
                // Each controller under its own name, as in production: webhooks tell them apart by it.
                "--use-service-account-credentials=true",
                "--service-account-private-key-file=service-accounts.key",
                &format!("--root-ca-file={}", authority.display()),
                "--horizontal-pod-autoscaler-sync-period=2s",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
            ],
        )?;
        self.spawn(
            "kube-scheduler",
            &[
                "--kubeconfig=scheduler.kubeconfig",
                "--secure-port=0",
                "--leader-elect=false",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
            ],
        )?;
        let port = free_port()?;
        self.spawn(
            "kwok",
            &[
                "--kubeconfig=kubeconfig",
                "--config=stages.yaml",
                "--manage-all-nodes=true",
                "--node-lease-duration-seconds=40",
                &format!("--server-address=127.0.0.1:{port}"),
                &format!("--node-port={port}"),
            ],
        )
    }

    fn spawn(&mut self, name: &str, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(self.program(name));
        command.args(arguments);
        self.processes.push(Process::start(&self.run, name, &command)?);
        self.commands.push(command);
        Ok(())
    }
}

/// 128 bits that nobody can guess, in hexadecimal.
fn random() -> String {
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}
