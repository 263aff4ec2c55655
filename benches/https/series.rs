//! What was measured of each server, round by round, and the tables and curves of it.

use std::fmt;

use crate::client::{Gauge, Sample};
use crate::world::result::{Curve, Table, median};

/// A server answers what it is offered if it misses no more than this.
const KEEPS_UP: f64 = 0.97;
/// From here on a processor is taken for fully used: of half a second the client takes a moment to start, in which servers wait.
const FULL: f64 = 0.8;

/// The samples of one server, one for each round.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) samples: Vec<Sample>,
}

impl Series {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, samples: Vec::new() }
    }

    /// The median and the quartiles of one thing that was measured.
    fn of(&self, value: Gauge) -> (f64, (f64, f64)) {
        median(&mut self.samples.iter().map(value).collect::<Vec<_>>())
    }
}

impl fmt::Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rate, p50, p99] = [self.of(|of| of.rate).0, self.of(|of| of.p50).0, self.of(|of| of.p99).0];
        write!(formatter, "{}: {rate:.0}/s, p50 {p50:.2} ms, p99 {p99:.2} ms", self.name)
    }
}

/// How many requests per second a server answered.
pub(crate) fn rate(series: &Series) -> (f64, (f64, f64)) {
    series.of(|sample| sample.rate)
}

/// Whether neither a server's processor nor the client's was full although as much was asked as could be: then something else
/// ran there.
pub(crate) fn is_disturbed(at_most: &[Series]) -> bool {
    at_most.iter().any(|series| series.of(|sample| sample.server.max(sample.client)).0 < FULL)
}

/// What one server measures as a multiple of the other in the same round.
pub(crate) fn ratio(one: &Series, other: &Series, value: Gauge) -> (f64, (f64, f64)) {
    let rounds = one.samples.iter().zip(&other.samples);
    median(&mut rounds.map(|(one, other)| value(one) / value(other)).collect::<Vec<_>>())
}

/// Everything of each server, as medians and quartiles.
pub(crate) fn table(title: String, all: &[Series]) -> Table {
    let head =
        ["server", "requests/s", "p50 ms", "p99 ms", "µs of processor per request", "server busy", "client busy"];
    let row = |series: &Series| {
        let busy = |value: Gauge| series.of(value).0;
        let (server, client) = (busy(|sample| sample.server), busy(|sample| sample.client));
        let limits = if client >= FULL && server < FULL { ": it is what limits" } else { "" };
        vec![
            series.name.to_owned(),
            spread(series.of(|sample| sample.rate), 0),
            spread(series.of(|sample| sample.p50), 2),
            spread(series.of(|sample| sample.p99), 2),
            spread(series.of(|sample| sample.cost), 0),
            format!("{:.0} %", server * 100.0),
            format!("{:.0} %{limits}", client * 100.0),
        ]
    };
    Table { title, head: head.map(str::to_owned).into(), rows: all.iter().map(row).collect() }
}

/// Time by load; a server that does not keep up has none that means anything, as it grows for as long as one waits.
pub(crate) fn loads(all: &[(f64, Vec<Series>)]) -> Table {
    let head = ["requests/s offered", "server", "p50 ms", "p99 ms", "server busy"];
    let rows = all.iter().flat_map(|(rate, series)| {
        series.iter().map(move |series| {
            let busy = format!("{:.0} %", series.of(|sample| sample.server).0 * 100.0);
            let [p50, p99] = if keeps_up(series, *rate) {
                [series.of(|sample| sample.p50), series.of(|sample| sample.p99)].map(|time| spread(time, 2))
            } else {
                let answered = series.of(|sample| sample.rate).0;
                [format!("more than it can answer ({answered:.0}/s)"), String::new()]
            };
            vec![format!("{rate:.0}"), series.name.to_owned(), p50, p99, busy]
        })
    });
    Table {
        title: "HTTPS, validate: time by load, connections kept".to_owned(),
        head: head.map(str::to_owned).into(),
        rows: rows.collect(),
    }
}

/// The same as curves, which end where the server no longer keeps up.
pub(crate) fn curves(all: &[(f64, Vec<Series>)]) -> Vec<Curve> {
    let quantiles: [(_, Gauge); 2] = [("p50", |sample| sample.p50), ("p99", |sample| sample.p99)];
    let servers = 0..all[0].1.len();
    servers
        .flat_map(|server| {
            quantiles.map(|(quantile, value)| Curve {
                name: format!("{} {quantile}", all[0].1[server].name),
                points: all
                    .iter()
                    .map(|(rate, series)| (*rate, &series[server]))
                    .filter(|(rate, series)| keeps_up(series, *rate))
                    .map(|(rate, series)| (rate, series.of(value).0))
                    .collect(),
            })
        })
        .collect()
}

fn keeps_up(series: &Series, offered: f64) -> bool {
    series.of(|sample| sample.rate).0 >= offered * KEEPS_UP
}

fn spread((median, (low, high)): (f64, (f64, f64)), digits: usize) -> String {
    format!("{median:.digits$} ({low:.digits$} to {high:.digits$})")
}
