//! `quorate policy explain`: what a rule is about, or which policies together say what about an object.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::check;
use super::{Output, PolicyPaths};
use crate::cluster::Objects;
use crate::facts::{Labels, Namespace, StatefulSet};
use crate::files::manifests::{self, Manifest};
use crate::files::policies;
use crate::plain::plain;
use crate::policy::{Effective, Policy, PolicySet, effective};
use crate::review::exempted;
use crate::rules::Rule;

/// Arguments of `quorate policy explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A rule whose documentation to print, as policy files name it
    #[arg(value_name = "RULE", required_unless_present = "filename", conflicts_with = "filename", value_parser = rule)]
    rule: Option<Rule>,
    /// Manifests with StatefulSets to explain the effective policy of: files, directories, or `-` for standard input
    #[arg(short, long, value_name = "MANIFEST")]
    filename: Vec<PathBuf>,
    #[command(flatten)]
    policies: PolicyPaths,
    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// Labels of every namespace that no manifest has, as `environment=production`
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = check::label)]
    namespace_labels: Vec<(String, String)>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Runs the command.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(rule) = args.rule {
        match args.output {
            Output::Text => write!(stdout(), "{}", rule.documentation())?,
            Output::Json => {
                writeln!(stdout(), "{:#}", json!({"rule": rule.name(), "documentation": rule.documentation()}))?;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let policies =
        policies::read(&args.policies.policies).map_err(|errors| anyhow!("the policies can't be used:\n{errors}"))?;
    let manifests = manifests::read(&args.filename)?;
    let place = Place {
        objects: manifests::surroundings(&manifests, &args.namespace)?,
        default_namespace: args.namespace,
        namespace_labels: args.namespace_labels.into_iter().collect(),
    };
    let statefulsets = manifests.iter().filter(|manifest| check::is_statefulset(&manifest.object));
    let explained: Vec<Explained> =
        statefulsets.map(|manifest| place.explain(manifest, &policies)).collect::<anyhow::Result<_>>()?;
    if explained.is_empty() {
        return Err(anyhow!("no StatefulSet among the manifests"));
    }
    match args.output {
        Output::Text => explained.iter().try_for_each(Explained::print)?,
        Output::Json => {
            writeln!(stdout(), "{:#}", Value::Array(explained.iter().map(Explained::as_json).collect()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the objects are.
struct Place {
    objects: Objects,
    default_namespace: String,
    namespace_labels: Labels,
}

/// What policies say about one object.
struct Explained {
    place: String,
    namespace: String,
    name: String,
    policies: Vec<Arc<Policy>>,
    settings: Vec<Effective>,
    exempt: Vec<Rule>,
    undecided: bool,
}

impl Place {
    fn explain(&self, manifest: &Manifest, policies: &PolicySet) -> anyhow::Result<Explained> {
        let place = format!("{}:{}", manifest.file, manifest.line);
        let mut object: StatefulSet = manifest.decode()?;
        let metadata = &mut object.metadata;
        if metadata.namespace.is_empty() {
            self.default_namespace.clone_into(&mut metadata.namespace);
        }
        let known = self.objects.has_namespace(&metadata.namespace);
        let mut bare = Namespace::bare(&metadata.namespace);
        bare.labels.extend(self.namespace_labels.clone());
        let namespace = if known { self.objects.around(&object).namespace } else { bare.into() };
        let matching = policies.matching(&object.metadata, &namespace);
        Ok(Explained {
            place,
            settings: effective(&object, &matching),
            exempt: exempted(&object.metadata, &matching, Timestamp::now()),
            namespace: object.metadata.namespace,
            name: object.metadata.name,
            policies: matching,
            undecided: !known && self.namespace_labels.is_empty() && policies.needs_namespace_labels(),
        })
    }
}

impl Explained {
    fn print(&self) -> std::io::Result<()> {
        let mut out = stdout().lock();
        writeln!(out, "{}: StatefulSet {}/{}", self.place, plain(&self.namespace), plain(&self.name))?;
        match self.names().join(", ").as_str() {
            "" => writeln!(out, "  no policy matches")?,
            names => writeln!(out, "  policies: {names}")?,
        }
        let width = |text: fn(&Effective) -> &str| {
            self.settings.iter().map(|setting| text(setting).chars().count()).max().unwrap_or_default()
        };
        let (subject, value) = (width(|setting| &setting.subject), width(|setting| &setting.value));
        for setting in &self.settings {
            writeln!(out, "  {:subject$}  {:value$}  {}", setting.subject, setting.value, setting.policy)?;
        }
        if !self.exempt.is_empty() {
            let names: Vec<&str> = self.exempt.iter().map(|rule| rule.name()).collect();
            writeln!(out, "  exempt now from {}", names.join(", "))?;
        }
        if self.undecided {
            writeln!(
                out,
                "  undecided: policies with a namespaceSelector, as no manifest has the Namespace; add it, or give --namespace-labels"
            )?;
        }
        Ok(())
    }

    fn as_json(&self) -> Value {
        let settings = self
            .settings
            .iter()
            .map(|Effective { subject, value, policy }| json!({"subject": subject, "value": value, "policy": policy}));
        json!({
            "place": self.place,
            "namespace": self.namespace,
            "name": self.name,
            "policies": self.names(),
            "effective": settings.collect::<Vec<_>>(),
            "exempt": self.exempt.iter().map(|rule| rule.name()).collect::<Vec<_>>(),
            "undecided": self.undecided,
        })
    }

    fn names(&self) -> Vec<&str> {
        self.policies.iter().map(|policy| policy.name.as_str()).collect()
    }
}

fn rule(name: &str) -> Result<Rule, String> {
    Rule::named(name).ok_or_else(|| {
        let names: Vec<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        format!("there is no such rule; name one of {}", names.join(", "))
    })
}
