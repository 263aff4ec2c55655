//! Logs: what `tracing` records, as text for people or JSON for machines, on stderr. Stdout belongs to results.
//!
//! A thread of its own writes them. Whoever reads stderr may stall, as a node whose disk is full does; a webhook that waited for
//! that would hold up the cluster's writes.

mod one_line;

use std::io::{BufWriter, IsTerminal, Write, stderr};
use std::sync::OnceLock;

use tracing::Dispatch;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::one_line::OneLine;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines for people; in colour on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// How many lines may wait to be read, some 5 MB; past them, lines are lost.
const WAITING: usize = 8192;

static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// Starts logging, and turns panics into log lines (what panicked is caught elsewhere). The first call of a process counts. What
/// it returns writes the last lines when it is dropped, if stderr takes them within a second.
///
/// # Errors
///
/// `filter` isn't in the syntax of `tracing` filters.
pub fn start(format: Format, filter: &str) -> Result<WorkerGuard, ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING)
        .thread_name("logs")
        // Its thread flushes once no line waits: under load, lines share a system call.
        .finish(BufWriter::new(stderr()));
    let lost = writer.error_counter();
    if subscriber(format, filter, coloured(), move || writer.clone()).try_init().is_ok() {
        LOST.get_or_init(|| lost);
        std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked")));
    }
    Ok(guard)
}

/// How many lines were lost because nobody read them in time.
#[must_use]
pub fn lost() -> usize {
    LOST.get().map_or(0, ErrorCounter::dropped_lines)
}

/// Writes each event as one line, whatever its fields hold. In JSON its own fields are at the top level and those of the
/// request it belongs to under `span`.
fn subscriber<W: Write + 'static>(
    format: Format,
    filter: EnvFilter,
    coloured: bool,
    writer: impl Fn() -> W + Send + Sync + 'static,
) -> Dispatch {
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(coloured);
    match format {
        Format::Text => {
            let writer = move || OneLine { writer: writer(), coloured };
            builder.with_target(false).with_writer(writer).finish().into()
        }
        Format::Json => builder.json().flatten_event(true).with_span_list(false).with_writer(writer).finish().into(),
    }
}

/// Whether stderr is a terminal whose user has not asked for plain text (<https://no-color.org>).
fn coloured() -> bool {
    stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is logged of a request whose name was made to look like a line of ours.
    fn logged(format: Format) -> Vec<String> {
        #[derive(Clone, Default)]
        struct Log(Arc<Mutex<Vec<u8>>>);
        impl Write for Log {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let log = Log::default();
        let writer = log.clone();
        let dispatch = subscriber(format, EnvFilter::new("info"), false, move || writer.clone());
        // With a single subscriber, tracing lets a thread without one, of another test, decide which events are of interest.
        let _other = Dispatch::new(tracing_subscriber::registry());
        tracing::dispatcher::with_default(&dispatch, || {
            let name = "x\n2026-01-01T00:00:00Z  INFO decided verdict=\"allow\"\r\u{1b}[2K\u{85}\t";
            let span = tracing::info_span!("review", object = name);
            span.in_scope(|| tracing::error!(failure = %name, again = ?name, "not decided: {name}"));
        });
        let bytes = log.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().split_terminator('\n').map(str::to_owned).collect()
    }

    #[test]
    fn a_name_can_not_forge_a_line_of_text() {
        let lines = logged(Format::Text);
        let [line] = lines.as_slice() else { panic!("{lines:#?}") };
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.contains(r"ERROR review{") && line.contains(r"not decided: x\n2026"), "{line}");
    }

    #[test]
    fn a_name_can_not_forge_a_line_of_json() {
        let lines = logged(Format::Json);
        let [line] = lines.as_slice() else { panic!("{lines:#?}") };
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["level"], "ERROR");
        assert!(line["message"].as_str().unwrap().starts_with("not decided: x\n2026"), "{line:#}");
        assert!(line["failure"].as_str().unwrap().starts_with("x\n2026"), "{line:#}");
        assert!(line["span"]["object"].as_str().unwrap().starts_with("x\n2026"), "{line:#}");
        assert_eq!(line["span"]["name"], "review");
    }
}
