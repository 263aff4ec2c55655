//! `quorate check`: reviews manifests as the webhook would.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write, stdout};
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
use crate::plain::plain;
use crate::policy::PolicySet;
use crate::review::{Decision, Verdict, evaluate, injection};
use crate::rules::Action;

/// Arguments of `quorate check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 where nothing would be denied, 1 where something would be, 2 for bad input.")]
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
    warn_of_doubles(&manifests, &args.namespace);
    let mut around = manifests::read(&args.surroundings)?;
    around.extend(manifests.iter().cloned());
    let cluster = Cluster {
        objects: manifests::surroundings(&around, &args.namespace)?,
        default_namespace: args.namespace,
        namespace_labels: args.namespace_labels.into_iter().collect(),
    };
    let statefulsets: Vec<&Manifest> = manifests.iter().filter(|manifest| is_statefulset(&manifest.object)).collect();
    if statefulsets.is_empty() {
        writeln!(stdout(), "nothing to review: no StatefulSet among the manifests")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut tally = BTreeMap::new();
    for &manifest in &statefulsets {
        let verdict = cluster.review(manifest, &policies)?;
        *tally.entry(verdict).or_insert(0_usize) += 1;
    }
    if let Some(text) = cluster.undecided(&statefulsets, &policies) {
        writeln!(stdout(), "undecided: {text}")?;
    }
    let count = |verdict| tally.get(&verdict).copied().unwrap_or_default();
    let (denied, warned) = (count(Verdict::Deny), count(Verdict::Warn));
    let total: usize = tally.values().sum();
    writeln!(stdout(), "{total} reviewed: {denied} denied, {warned} with warnings, {} clean", total - denied - warned)?;
    Ok(if denied > 0 { ExitCode::from(DENIED) } else { ExitCode::SUCCESS })
}

/// Says where an object is there twice: together the manifests are one cluster, which holds only one of them.
fn warn_of_doubles(manifests: &[Manifest], default_namespace: &str) {
    let mut seen = BTreeMap::new();
    for manifest in manifests {
        let text = |pointer| manifest.object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (Some(kind), Some(name)) = (text("/kind"), text("/metadata/name")) else { continue };
        let namespace = text("/metadata/namespace").unwrap_or(default_namespace);
        if let Some(first) = seen.insert((kind, namespace, name), manifest) {
            eprintln!(
                "quorate: {}: {kind} {name} again, after {}; the later one counts, so check each cluster's manifests by themselves",
                place(manifest),
                place(first),
            );
        }
    }
}

fn place(manifest: &Manifest) -> String {
    format!("{}:{}", manifest.file, manifest.line)
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
        let place = || place(manifest);
        let mut object: StatefulSet = manifest.decode()?;
        if object.metadata.namespace.is_empty() {
            self.default_namespace.clone_into(&mut object.metadata.namespace);
        }
        let mut surroundings = self.objects.around(&object);
        if !self.objects.has_namespace(&object.metadata.namespace) {
            let mut namespace = Namespace::bare(&object.metadata.namespace);
            namespace.labels.extend(self.namespace_labels.clone());
            surroundings.namespace = namespace.into();
        }
        let change = Change { way: Way::StatefulSet, object: &object, old: None, dry_run: false, requester: None };
        let now = Timestamp::now();
        let matching = policies.matching(&object.metadata, &surroundings.namespace);
        let plan = injection(&change, &surroundings, &matching, now);
        let mutated: Option<StatefulSet> = match plan.injection {
            Injection::Inject { edits, record } => {
                let patch = mutate::patch(&manifest.object.to_string(), Some((&edits, &record)), mutate::Mark::Keep)
                    .with_context(|| format!("{}: can't be mutated", place()))?;
                let mut patched = manifest.object.clone();
                json_patch::patch(&mut patched, &patch)?;
                Some(serde_json::from_value(patched)?)
            }
            Injection::Nothing => None,
        };
        let change = Change { object: mutated.as_ref().unwrap_or(&object), ..change };
        let decision = evaluate(&change, &surroundings, policies, now);
        let (namespace, name) = (plain(&object.metadata.namespace), plain(&object.metadata.name));
        writeln!(stdout(), "{}: StatefulSet {namespace}/{name}", place())?;
        for warning in &plan.warnings {
            writeln!(stdout(), "  warning    {warning}")?;
        }
        print(&decision)?;
        Ok(decision.verdict())
    }

    /// Which policies may match or not, as nothing says what labels the Namespaces have.
    fn undecided(&self, statefulsets: &[&Manifest], policies: &PolicySet) -> Option<String> {
        let names: Vec<&str> = policies.by_namespace_labels().map(|policy| policy.name.as_str()).collect();
        let namespace = |manifest: &&Manifest| manifest.object["metadata"]["namespace"].as_str().map(str::to_owned);
        let unknown: BTreeSet<String> = statefulsets
            .iter()
            .map(|manifest| namespace(manifest).unwrap_or_else(|| self.default_namespace.clone()))
            .filter(|namespace| policies.governs(namespace) && !self.objects.has_namespace(namespace))
            .collect();
        if names.is_empty() || unknown.is_empty() || !self.namespace_labels.is_empty() {
            return None;
        }
        let unknown: Vec<String> = unknown.into_iter().collect();
        Some(format!(
            "{} may apply too: no manifest has the Namespace {}, whose labels decide; add it, or give --namespace-labels",
            names.join(", "),
            plain(&unknown.join(", ")),
        ))
    }
}

fn print(decision: &Decision) -> io::Result<()> {
    for violation in &decision.violations {
        let word = match violation.action {
            Action::Deny => "denied",
            Action::Warn => "warning",
            Action::Audit => "audit",
            Action::Off => continue,
        };
        writeln!(stdout(), "  {word:<9}  {violation}")?;
    }
    if decision.violations.is_empty() {
        let names: Vec<&str> = decision.policies.iter().map(|policy| policy.name.as_str()).collect();
        match names.as_slice() {
            [] => writeln!(stdout(), "  ok         no policy matches")?,
            names => writeln!(stdout(), "  ok         {}", names.join(", "))?,
        }
    }
    Ok(())
}

pub(super) fn is_statefulset(object: &Value) -> bool {
    object["kind"] == "StatefulSet" && object["apiVersion"].as_str().is_some_and(|version| version.starts_with("apps/"))
}

/// A label as it is written on a command line.
pub(super) fn label(text: &str) -> anyhow::Result<(String, String)> {
    let (key, value) = text.split_once('=').ok_or_else(|| anyhow!("write KEY=VALUE, as in environment=production"))?;
    Ok((key.to_owned(), value.to_owned()))
}
