//! What Quorate does, shown with kubectl: every line of output is kubectl's own, and what it has to be is checked.

use std::collections::BTreeSet;
use std::fs;
use std::io::{IsTerminal, stdout};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::controlplane::kubectl::Output;
use crate::controlplane::{ControlPlane, wait_for};

/// Where the manifests lie, from the repository's root.
const EXAMPLES: &str = "examples/mysql";

/// Runs the demonstration; an error says what was not as it should have been.
pub(crate) fn run(cluster: &ControlPlane) -> Result<()> {
    let demo = Demo { cluster, colours: stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() };
    demo.well_made()?;
    demo.pod_returns()?;
    demo.nodes_are_drained()?;
    demo.scales()?;
    demo.service_after_stateful_set()?;
    demo.denied("one replica", "one-replica", &["spec.replicas: 1"])?;
    demo.denied("a Service with a cluster IP", "service-with-cluster-ip", &["spec.serviceName", "clusterIP"])?;
    demo.denied("a Service that selects other pods", "selector-mismatch", &["spec.serviceName", "selector"])?;
    demo.dry_runs()?;
    println!("\nEverything was as it should be. To go on by hand: `make cluster` leaves such a cluster running.");
    Ok(())
}

struct Demo<'c> {
    cluster: &'c ControlPlane,
    colours: bool,
}

impl Demo<'_> {
    fn well_made(&self) -> Result<()> {
        self.title("A MySQL of three replicas, its headless Service first: admitted, and completed");
        let file = example("statefulset");
        let written = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file))
            .with_context(|| format!("cannot read {file}"))?;
        ensure!(!written.contains("podAntiAffinity"), "{file} has anti-affinity of its own");
        self.admitted(&["apply", "-f", &example("service")])?;
        self.admitted(&["apply", "-f", &file])?;

        println!("\nThe file says nothing of it, but its pods avoid each other's nodes:");
        let affinity = "jsonpath-as-json={.spec.template.spec.affinity}";
        let shown = self.admitted(&["get", "statefulset", "mysql", "-o", affinity])?;
        ensure!(shown.stdout.contains("kubernetes.io/hostname"), "no anti-affinity was injected");

        println!("\nThe pods become Ready one after another:");
        let mut ready: Vec<String> = Vec::new();
        self.watch(&["get", "pods", "--watch", "--request-timeout=180s"], |line| {
            let pod = line.split(' ').next().unwrap_or_default().to_owned();
            if line.contains(" 1/1 ") && !ready.contains(&pod) {
                ready.push(pod);
            }
            ready.len() == 3
        })?;
        ensure!(ready == ["mysql-0", "mysql-1", "mysql-2"], "the pods became Ready in the order {ready:?}");
        println!("\nEach is on a node of its own, and has a volume of its own:");
        self.admitted(&["get", "pods", "-o", "wide"])?;
        self.admitted(&["get", "persistentvolumeclaims"])?;
        let pods = self.cluster.kubectl(&["get", "pods", "-o", "json"]).json()?;
        let pods = pods["items"].as_array().context("no list of pods")?;
        let nodes: BTreeSet<_> = pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
        ensure!(pods.len() == 3 && nodes.len() == 3, "{} pods are on the nodes {nodes:?}", pods.len());
        let volumes: BTreeSet<_> = (0..3).map(|ordinal| self.volume(ordinal)).collect::<Result<_>>()?;
        ensure!(volumes.len() == 3, "the pods share volumes: {volumes:?}");
        Ok(())
    }

    fn pod_returns(&self) -> Result<()> {
        self.title("A pod that is lost returns with its name and its volume");
        let (old, volume) = (self.cluster.object("default", "pod", "mysql-1")?, self.volume(1)?);
        self.admitted(&["delete", "pod", "mysql-1"])?;
        wait_for("the pod to return", || {
            let new = self.cluster.object("default", "pod", "mysql-1")?;
            ensure!(new["metadata"]["uid"] != old["metadata"]["uid"], "it is still there");
            Ok(())
        })?;
        self.admitted(&["wait", "--for=condition=Ready", "pod/mysql-1", "--timeout=180s"])?;
        self.admitted(&["get", "pods", "-o", "wide"])?;
        self.admitted(&["get", "persistentvolumeclaim", "data-mysql-1"])?;
        ensure!(self.volume(1)? == volume, "it has another volume than {volume}");
        Ok(())
    }

    fn nodes_are_drained(&self) -> Result<()> {
        self.title("One node after another is drained, and a quorum stays Ready: Quorate made the budget");
        wait_for("the budget", || {
            let budget = self.cluster.object("default", "poddisruptionbudget", "mysql-quorate")?;
            ensure!(budget["status"]["disruptionsAllowed"] == 1, "{}", budget["status"]);
            Ok(())
        })?;
        self.admitted(&["get", "poddisruptionbudget", "mysql-quorate"])?;
        let pods = self.cluster.kubectl(&["get", "pods", "-o", "json"]).json()?;
        let nodes: BTreeSet<_> =
            pods["items"].as_array().into_iter().flatten().filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
        for node in nodes {
            self.admitted(&["drain", node, "--ignore-daemonsets", "--timeout=180s"])?;
            let set = self.cluster.object("default", "statefulset", "mysql")?;
            let ready = set["status"]["readyReplicas"].as_i64().unwrap_or(0);
            ensure!(ready >= 2, "only {ready} of 3 pods are Ready");
            self.admitted(&["uncordon", node])?;
            // Its volume is there, and so the pod returns there.
            wait_for("the pods to be Ready", || {
                let set = self.cluster.object("default", "statefulset", "mysql")?;
                ensure!(set["status"]["readyReplicas"] == 3, "{}", set["status"]);
                Ok(())
            })?;
        }
        self.admitted(&["get", "pods", "-o", "wide"])?;
        Ok(())
    }

    fn scales(&self) -> Result<()> {
        self.title("Scaling it up is admitted, scaling it down to one replica denied");
        self.admitted(&["scale", "statefulset", "mysql", "--replicas=5"])?;
        let denied = self.kubectl(&["scale", "statefulset", "mysql", "--replicas=1"])?;
        expect_denied(&denied, &["spec.replicas: 1"])?;
        self.admitted(&["get", "statefulset", "mysql"])?;
        let replicas = &self.cluster.object("default", "statefulset", "mysql")?["spec"]["replicas"];
        ensure!(*replicas == 5, "it has {replicas} replicas");
        Ok(())
    }

    fn service_after_stateful_set(&self) -> Result<()> {
        self.title("The StatefulSet before its Service: denied, and admitted when applied again");
        let (file, namespace) = (example("statefulset-first"), self.namespace("statefulset-first")?);
        let denied = self.kubectl(&["apply", "-n", &namespace, "-f", &file])?;
        expect_denied(&denied, &["spec.serviceName"])?;
        println!("\nThe Service is there now:");
        self.admitted(&["apply", "-n", &namespace, "-f", &file])?;
        Ok(())
    }

    fn denied(&self, what: &str, name: &str, phrases: &[&str]) -> Result<()> {
        self.title(&format!("{}{}: denied", what[..1].to_uppercase(), &what[1..]));
        let namespace = self.namespace(name)?;
        let output = self.kubectl(&["apply", "-n", &namespace, "-f", &example(name)])?;
        expect_denied(&output, phrases)
    }

    fn dry_runs(&self) -> Result<()> {
        self.title("A server-side dry run says the same");
        for name in ["one-replica", "service-with-cluster-ip", "selector-mismatch"] {
            let output = self.kubectl(&["apply", "--dry-run=server", "-n", name, "-f", &example(name)])?;
            expect_denied(&output, &[])?;
        }
        println!(
            "\nOnly a Service that isn't there is no more than a warning: a dry run can't see what comes with it.",
        );
        let namespace = self.namespace("dry-run")?;
        let file = example("statefulset");
        let output = self.admitted(&["apply", "--dry-run=server", "-n", &namespace, "-f", &file])?;
        ensure!(output.stderr.contains("Warning"), "there was no warning");
        Ok(())
    }

    /// Makes a namespace that the story does not mention.
    fn namespace(&self, name: &str) -> Result<String> {
        self.cluster.kubectl(&["create", "namespace", name]).ok()?;
        Ok(name.to_owned())
    }

    /// The volume that the claim of a pod is bound to.
    fn volume(&self, ordinal: usize) -> Result<String> {
        let claim = self.cluster.object("default", "pvc", &format!("data-mysql-{ordinal}"))?;
        match &claim["spec"]["volumeName"] {
            Value::String(volume) if claim["status"]["phase"] == "Bound" => Ok(volume.clone()),
            _ => bail!("the claim of mysql-{ordinal} is not bound: {}", claim["status"]),
        }
    }

    /// A call that has to succeed.
    fn admitted(&self, words: &[&str]) -> Result<Output> {
        let output = self.kubectl(words)?;
        ensure!(output.success(), "`kubectl {}` should have succeeded", words.join(" "));
        Ok(output)
    }

    /// Shows a call and what it prints.
    fn kubectl(&self, words: &[&str]) -> Result<Output> {
        self.command(words);
        let output = self.cluster.kubectl(words).run()?;
        print!("{}{}", output.stdout, output.stderr);
        Ok(output)
    }

    /// Shows a call and what it prints until a line is the one waited for.
    fn watch(&self, words: &[&str], mut is_last: impl FnMut(&str) -> bool) -> Result<()> {
        self.command(words);
        self.cluster.kubectl(words).watch(|line| {
            println!("{line}");
            is_last(line)
        })
    }

    fn command(&self, words: &[&str]) {
        let quoted =
            words.iter().map(|word| if word.contains(['{', ' ']) { format!("'{word}'") } else { (*word).into() });
        println!("{}", self.bold(&format!("\n$ kubectl {}", quoted.collect::<Vec<String>>().join(" "))));
    }

    fn title(&self, text: &str) {
        println!("{}", self.bold(&format!("\n\n── {text}")));
    }

    fn bold(&self, text: &str) -> String {
        if self.colours { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn example(name: &str) -> String {
    format!("{EXAMPLES}/{name}.yaml")
}

/// That Quorate denied it, in words that name these.
fn expect_denied(output: &Output, phrases: &[&str]) -> Result<()> {
    let words = output.words.join(" ");
    ensure!(!output.success(), "`kubectl {words}` should have been denied");
    for phrase in phrases.iter().chain(&["denied the request"]) {
        ensure!(output.stderr.contains(phrase), "the denial of `kubectl {words}` should say `{phrase}`");
    }
    Ok(())
}
