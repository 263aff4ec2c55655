//! `quorate policy`

mod explain;

use std::io::{self, Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::FAILED;
use super::policy_paths::PolicyPaths;
use crate::files::policies::Snapshot;
use crate::policy::{AntiAffinityMode, LoadError, LoadErrors, Located, Policy, schema};
use crate::rules::{Action, Rule, Validate};

/// Arguments of `quorate policy`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what is wrong with policy files, or what they hold; exit code 0 if all is well, 2 if not
    Validate(ValidateArgs),
    /// Print what a rule is about, or the effective policy for an object and which policy each part comes from
    Explain(explain::Args),
    /// Print the JSON Schema of policy files, for editors
    Schema,
}

#[derive(Debug, clap::Args)]
struct ValidateArgs {
    /// Policy files, or directories of such, instead of those of --policies
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    policies: PolicyPaths,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: policies on stdout, problems on stderr
    Text,
    /// For programs: both on stdout
    Json,
}

/// Runs the command.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Validate(args) => validate(args),
        Command::Explain(args) => explain::run(args),
        Command::Schema => {
            writeln!(stdout(), "{:#}", schema())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn validate(args: ValidateArgs) -> anyhow::Result<ExitCode> {
    let paths = if args.paths.is_empty() { args.policies.policies } else { args.paths };
    let read = Snapshot::take(&paths).located();
    match args.output {
        Output::Text => print_text(&read)?,
        Output::Json => writeln!(stdout(), "{:#}", as_json(&read))?,
    }
    Ok(if read.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn print_text(read: &Result<Vec<Located>, LoadErrors>) -> io::Result<()> {
    let policies = match read {
        Ok(policies) => policies,
        Err(errors) if errors.iter().count() == 1 => return writeln!(stderr(), "{errors}"),
        Err(errors) => return writeln!(stderr(), "{errors}\n\n{}", errors.summary()),
    };
    let mut stdout = stdout().lock();
    let mut file = "";
    for located in policies {
        if located.file != file {
            writeln!(stdout, "{}", located.file)?;
            file = &located.file;
        }
        writeln!(stdout, "  {}: {}", located.policy.name, summary(&located.policy))?;
    }
    Ok(())
}

fn as_json(read: &Result<Vec<Located>, LoadErrors>) -> serde_json::Value {
    let policy = |located: &Located| {
        json!({
            "name": located.policy.name,
            "file": located.file,
            "line": located.place.line,
            "summary": summary(&located.policy),
        })
    };
    let problem = |error: &LoadError| {
        json!({
            "file": error.file,
            "line": error.place.map(|place| place.line),
            "column": error.place.map(|place| place.column),
            "field": error.field,
            "message": error.message,
        })
    };
    match read {
        Ok(policies) => json!({"policies": policies.iter().map(policy).collect::<Vec<_>>(), "problems": []}),
        Err(errors) => json!({"policies": [], "problems": errors.iter().map(problem).collect::<Vec<_>>()}),
    }
}

/// A policy in one line: whom it governs, which rules do what, what it injects and which budget it makes.
fn summary(policy: &Policy) -> String {
    let spec = &policy.spec;
    let selection = &spec.selection;
    let mut parts = vec![match (&selection.namespace_selector, &selection.object_selector) {
        (None, None) => "every StatefulSet".to_owned(),
        (Some(_), None) => "StatefulSets of selected namespaces".to_owned(),
        (None, Some(_)) => "selected StatefulSets".to_owned(),
        (Some(_), Some(_)) => "selected StatefulSets of selected namespaces".to_owned(),
    }];
    let rules = rules(&spec.validate);
    for action in [Action::Deny, Action::Warn, Action::Audit] {
        let names: Vec<_> = rules.iter().filter(|(_, its)| *its == action).map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() {
            parts.push(format!("{action} {}", names.join(", ")));
        }
    }
    for term in &spec.mutate.pod_anti_affinity {
        let mode = match term.mode {
            AntiAffinityMode::Preferred => "prefer",
            AntiAffinityMode::Required => "require",
        };
        parts.push(format!("{mode} apart by {}", term.topology_key.as_str()));
    }
    for constraint in &spec.mutate.topology_spread_constraints {
        parts.push(format!("spread by {}", constraint.topology_key.as_str()));
    }
    parts.extend(spec.pod_disruption_budget.as_ref().map(|budget| format!("budget {}", budget.max_unavailable)));
    parts.join("; ")
}

/// Every rule that the policy turns on, and its action.
fn rules(validate: &Validate) -> Vec<(String, Action)> {
    let named = |rule: &Rule| match &validate.replicas {
        Some(settings) if *rule == Rule::Replicas => format!("replicas < {}", settings.minimum),
        _ => rule.name().to_owned(),
    };
    Rule::ALL.iter().map(|rule| (named(rule), validate.action(*rule))).collect()
}
