//! `quorate certs`: a CA and a serving certificate for development.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::certs::development::{Made, Request, make};

/// Arguments of `quorate certs`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The directory to write them into
    #[arg(long, value_name = "DIR", default_value = "certs")]
    out: PathBuf,
    /// The name of Quorate's Service
    #[arg(long, value_name = "NAME", default_value = "quorate")]
    service: String,
    /// The Namespace that Quorate runs in
    #[arg(long, value_name = "NAME", default_value = "quorate-system")]
    namespace: String,
    /// A further DNS name or IP address of the serving certificate (repeatable)
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// How many days the serving certificate lasts
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// Replace the CA that is there; whoever trusts it has to be told
    #[arg(long)]
    force: bool,
}

/// Makes the files and says what they are for.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { out, service, namespace, dns, days, force } = args;
    let made = make(&Request { directory: out, service, namespace, names: dns, days, force })?;
    write!(stdout(), "{}", summary(&made, days))?;
    Ok(ExitCode::SUCCESS)
}

fn summary(made: &Made, days: u16) -> String {
    let [ca, ca_key] = [&made.ca, &made.ca_key].map(|path| path.display().to_string());
    let [certificate, key] = [&made.serving.certificate, &made.serving.key].map(|path| path.display().to_string());
    let authority = if made.ca_kept { "kept (--force makes a new one)" } else { "made, for 3650 days" };
    format!(
        "The CA was {authority}:\n  {ca}\n  {ca_key}\n\
         The serving certificate was made, for {days} days:\n  {certificate}\n  {key}\n  for {names}\n\
         \n\
         Serve with it:           quorate serve --tls-cert {certificate} --tls-key {key}\n\
         For caBundle:            base64 -w0 {ca}\n",
        names = made.names.join(", "),
    )
}
