//! `quorate check`: reviews manifests as the webhook would.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::Objects;
use crate::facts::{Change, Labels, Namespace, StatefulSet, Way};
use crate::files::manifests::{self, Manifest};
use crate::files::policies;
use crate::mutate::{self, Injection};
use crate::policy::PolicySet;
use crate::review::{Decision, Verdict, evaluate};
use crate::rules::Action;

/// Arguments of `quorate check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Manifests to review: files, directories, or `-` for standard input; all of them together are one cluster
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    policies: super::policy_paths::PolicyPaths,
    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// Labels of every namespace that no manifest has, as `environment=production`
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = label)]
    namespace_labels: Vec<(String, String)>,
    /// Manifests of what is in the cluster already: Namespaces and Services; not reviewed themselves
    #[arg(long, value_name = "PATH")]
    surroundings: Vec<PathBuf>,
}

/// The exit code where a manifest would be denied.
const DENIED: u8 = 1;

/// Prints every finding. Exit code 0 where nothing would be denied, 1 where something would be, 2 for bad input.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let policies = read_policies(&args.policies.policies)?;
    let manifests = manifests::read(&args.paths)?;
    warn_of_doubles(&manifests);
    let mut around = manifests::read(&args.surroundings)?;
    around.extend(manifests.iter().cloned());
    let cluster = Cluster {
        objects: manifests::surroundings(&around, &args.namespace)?,
        default_namespace: args.namespace,
        namespace_labels: args.namespace_labels.into_iter().collect(),
    };
    let mut tally = BTreeMap::new();
    for manifest in manifests.iter().filter(|manifest| is_statefulset(&manifest.object)) {
        let verdict = cluster.review(manifest, &policies)?;
        *tally.entry(verdict).or_insert(0_usize) += 1;
    }
    let count = |verdict| tally.get(&verdict).copied().unwrap_or_default();
    let (denied, warned) = (count(Verdict::Deny), count(Verdict::Warn));
    let total: usize = tally.values().sum();
    println!("{total} reviewed: {denied} denied, {warned} with warnings, {} clean", total - denied - warned);
    Ok(if denied > 0 { ExitCode::from(DENIED) } else { ExitCode::SUCCESS })
}

/// Says where an object is there twice: together the manifests are one cluster, which holds only one of them.
fn warn_of_doubles(manifests: &[Manifest]) {
    let mut seen = BTreeMap::new();
    for manifest in manifests {
        let text = |pointer| manifest.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (kind, namespace, name) = (text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
        if let Some(first) = seen.insert((kind, namespace, name), manifest)
            && !name.is_empty()
        {
            eprintln!(
                "quorate: {}:{}: {kind} {name} is at {}:{} too; the last one counts, so check them one by one",
                manifest.file, manifest.line, first.file, first.line
            );
        }
    }
}

fn read_policies(paths: &[PathBuf]) -> anyhow::Result<PolicySet> {
    policies::read(paths).map_err(|errors| anyhow!("the policies can't be used:\n{errors}"))
}

/// What the manifests are reviewed in.
struct Cluster {
    objects: Objects,
    default_namespace: String,
    namespace_labels: Labels,
}

impl Cluster {
    fn review(&self, manifest: &Manifest, policies: &PolicySet) -> anyhow::Result<Verdict> {
        let place = || format!("{}:{}", manifest.file, manifest.line);
        let mut object: StatefulSet = serde_json::from_value(manifest.object.clone())
            .with_context(|| format!("{}: can't be decoded", place()))?;
        if object.metadata.namespace.is_empty() {
            self.default_namespace.clone_into(&mut object.metadata.namespace);
        }
        let mut surroundings = self.objects.around(&object);
        let known = self.objects.has_namespace(&object.metadata.namespace) || !self.namespace_labels.is_empty();
        if !self.objects.has_namespace(&object.metadata.namespace) {
            surroundings.namespace = Namespace::bare(&object.metadata.namespace);
            surroundings.namespace.labels.extend(self.namespace_labels.clone());
        }
        let change = Change { way: Way::StatefulSet, object: &object, old: None, dry_run: false, requester: None };
        let matching = policies.matching(&object.metadata, &surroundings.namespace);
        let mutated: Option<StatefulSet> = match mutate::plan(&change, &matching) {
            Injection::Inject { new, all } => {
                let (_, patched) = mutate::patch(&manifest.object.to_string(), &new, &all)
                    .with_context(|| format!("{}: can't be mutated", place()))?;
                Some(serde_json::from_value(patched)?)
            }
            _ => None,
        };
        let change = Change { object: mutated.as_ref().unwrap_or(&object), ..change };
        let decision = evaluate(&change, &surroundings, policies, Timestamp::now());
        println!("{}: StatefulSet {}/{}", place(), object.metadata.namespace, object.metadata.name);
        print(&decision);
        if !known && policies.needs_namespace_labels() {
            println!(
                "  undecided  policies with a namespaceSelector: no manifest has the Namespace; add it, or give --namespace-labels"
            );
        }
        Ok(decision.verdict())
    }
}

fn print(decision: &Decision) {
    for violation in &decision.violations {
        let word = match violation.action {
            Action::Deny => "denied",
            Action::Warn => "warning",
            Action::Audit => "audit",
            Action::Off => continue,
        };
        println!("  {word:<9}  {violation}");
    }
    if decision.violations.is_empty() {
        let names: Vec<&str> = decision.policies.iter().map(|policy| policy.name.as_str()).collect();
        match names.as_slice() {
            [] => println!("  ok         no policy matches"),
            names => println!("  ok         {}", names.join(", ")),
        }
    }
}

pub(super) fn is_statefulset(object: &Value) -> bool {
    object["kind"] == "StatefulSet" && object["apiVersion"].as_str().is_some_and(|version| version.starts_with("apps/"))
}

/// A label as it is written on a command line.
pub(super) fn label(text: &str) -> anyhow::Result<(String, String)> {
    let (key, value) = text.split_once('=').ok_or_else(|| anyhow!("write KEY=VALUE, as in environment=production"))?;
    Ok((key.to_owned(), value.to_owned()))
}
