//! The latency of all contestants: what is registered, what is measured, and what that means.

use std::collections::BTreeMap;
use std::process::Child;
use std::sync::Arc;

use crate::cel::Rules;
use crate::client::Client;
use crate::contestants::{Contestant, Expected, Shows, cel, constant, namespace, patch, quorate};
use crate::controlplane::{ControlPlane, Quorate};
use crate::latency::{Measured, alone, together};
use crate::times::Estimate;
use crate::world::result::{Budget, Figure, Results, Table};

const NOBODY: &str = "no webhook";
const CEL: &str = "CEL: 10 policies validate, 1 mutates";
const CEL_ONE: &str = "CEL: 1 policy validates, 1 mutates";
const CONSTANT: &str = "constant answer, no patch";
const PATCH: &str = "constant answer, Quorate's patch";
const QUORATE: &str = "Quorate: 10 policies";
const QUORATE_ONE: &str = "Quorate: 1 policy";
const DELAY: &str = "Quorate: 10 policies, TCP_NODELAY off";
const CEL_DENIES: &str = "CEL: 10 policies, denied";
const QUORATE_DENIES: &str = "Quorate: 10 policies, denied";

/// Those between whom there are budgets, and how often each has a turn: a p99 wants many requests.
const BUDGETED: (&[&str], usize) = (&[NOBODY, CEL, PATCH, QUORATE], 20);
/// The rest, with whom it is compared.
const BESIDE: (&[&str], usize) =
    (&[NOBODY, CEL_ONE, CONSTANT, QUORATE, QUORATE_ONE, DELAY, CEL_DENIES, QUORATE_DENIES], 3);

/// What is said of every figure here.
const SHARED: &str = "client, API server, etcd and webhook share the machine";

/// All who are compared, and what answers for them.
pub(crate) struct Field<'c> {
    contestants: Vec<Arc<Contestant>>,
    _quorates: Vec<Quorate<'c>>,
    _constants: Vec<Child>,
}

/// Those who need no process, to be compared again in a larger cluster, and what was measured.
pub(crate) struct Staying {
    contestants: Vec<Arc<Contestant>>,
    /// The added p50 of everybody, one request at a time.
    before: BTreeMap<&'static str, Estimate>,
}

impl<'c> Field<'c> {
    /// Starts and registers everybody; returns when the API server asks them all.
    pub(crate) async fn new(cluster: &'c ControlPlane, client: &Client) -> Self {
        let quorates = [("ten", 10, None), ("one", 1, None), ("delay", 10, Some("--tcp-nodelay=false"))]
            .map(|(label, policies, argument)| quorate(cluster, label, policies, argument.as_slice(), Shows::Latency));
        let [ten, one, delay] = quorates.each_ref().map(|quorate| namespace(cluster, quorate.instance()));
        // Quorate knows the Namespace as soon as a watch tells.
        let mut connection = client.connect().await;
        let stored = Contestant::new(QUORATE, &ten, Expected::Spread).settled(&mut connection).await;
        let patch = patch(&quorates[0], &ten).await;
        let (silent, untouched) = constant(cluster, "constant", None);
        let (patching, patched) = constant(cluster, "patch", Some(&patch));
        let rules =
            [("cel", 10), ("cel-one", 1)].map(|(instance, validating)| cel(cluster, &Rules { instance, validating }));
        let nobody = namespace(cluster, "nobody");
        let contestants = [
            (NOBODY, &nobody, Expected::Untouched),
            (CEL, &rules[0], Expected::Spread),
            (CEL_ONE, &rules[1], Expected::Spread),
            (CONSTANT, &untouched, Expected::Untouched),
            (PATCH, &patched, Expected::Spread),
            (QUORATE, &ten, Expected::Spread),
            (QUORATE_ONE, &one, Expected::Spread),
            (DELAY, &delay, Expected::Spread),
            (CEL_DENIES, &rules[0], Expected::Denied),
            (QUORATE_DENIES, &ten, Expected::Denied),
        ];
        let contestants =
            contestants.map(|(name, namespace, expected)| Contestant::new(name, namespace, expected)).map(Arc::new);
        let field =
            Self { contestants: contestants.into(), _quorates: quorates.into(), _constants: vec![silent, patching] };
        for contestant in &field.contestants {
            let object = contestant.settled(&mut connection).await;
            if [QUORATE, PATCH].contains(&contestant.name) {
                assert_eq!(object["spec"], stored["spec"], "{}", contestant.name);
                let annotations = |object: &serde_json::Value| object["metadata"]["annotations"].clone();
                assert_eq!(annotations(&object), annotations(&stored), "{}", contestant.name);
            }
        }
        // The API server takes new policies up once a second, all that it has heard of by then.
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        field
    }

    /// How long requests take, one at a time and sixteen at once; then it ends what it started.
    pub(crate) async fn measure(self, client: &Client) -> (Results, Staying) {
        let mut results = Results::default();
        let mut before = BTreeMap::new();
        for concurrency in [1, 16] {
            for (names, rounds) in [BUDGETED, BESIDE] {
                // Denials are read live, one at a time.
                let is_wanted =
                    |it: &&Arc<Contestant>| names.contains(&it.name) && (concurrency == 1 || it.is_admitted());
                let contestants: Vec<_> = self.contestants.iter().filter(is_wanted).cloned().collect();
                eprintln!("cluster: {} contestants, {concurrency} at a time", contestants.len());
                let measured = match concurrency {
                    1 => alone(client, &contestants, rounds).await,
                    _ => together(client, &contestants, rounds).await,
                };
                let compared = Compared { concurrency, contestants: &contestants, measured };
                results.figures.extend(compared.figures());
                results.tables.push(compared.table());
                if concurrency == 1 {
                    // The first of them is the one with more requests.
                    for it in &contestants {
                        before.entry(it.name).or_insert_with(|| compared.added_p50(it.name));
                    }
                }
            }
        }
        let staying = self.contestants.iter().filter(|it| [NOBODY, CEL].contains(&it.name)).cloned().collect();
        (results, Staying { contestants: staying, before })
    }
}

impl Staying {
    /// How long requests take in a cluster that is larger now, beside what they took before.
    pub(crate) async fn measure(mut self, cluster: &ControlPlane, client: &Client) -> Table {
        eprintln!("cluster: 1 at a time, the cluster large");
        let quorate = quorate(cluster, "large", 10, &[], Shows::Latency);
        let namespace = namespace(cluster, quorate.instance());
        self.contestants.push(Arc::new(Contestant::new(QUORATE, &namespace, Expected::Spread)));
        let mut connection = client.connect().await;
        for contestant in &self.contestants {
            contestant.settled(&mut connection).await;
        }
        let measured = alone(client, &self.contestants, BESIDE.1).await;
        let compared = Compared { concurrency: 1, contestants: &self.contestants, measured };
        let row = |contestant: &Arc<Contestant>| {
            let name = contestant.name;
            vec![name.to_owned(), self.before[name].to_string(), compared.added_p50(name).to_string()]
        };
        Table {
            title: format!(
                "The same, one at a time, beside 5,000 Services and in the large cluster: added p50 in ms; {SHARED}"
            ),
            head: ["who is asked", "5,000 Services", "large cluster"].map(str::to_owned).to_vec(),
            rows: self.contestants.iter().map(row).collect(),
        }
    }
}

/// The contestants with what was measured of them.
struct Compared<'a> {
    concurrency: usize,
    contestants: &'a [Arc<Contestant>],
    measured: Measured,
}

impl Compared<'_> {
    fn figures(&self) -> Vec<Figure> {
        let is_there = |name: &str| self.contestants.iter().any(|it| it.name == name);
        let compared = [
            (QUORATE, CEL, Budget::AtMost(1.0)),
            (QUORATE, PATCH, Budget::AtMost(1.15)),
            (QUORATE_ONE, CEL_ONE, Budget::None),
            (QUORATE, CONSTANT, Budget::None),
            (DELAY, QUORATE, Budget::None),
            (QUORATE_DENIES, CEL_DENIES, Budget::None),
        ];
        let compared = compared.into_iter().filter(|(one, other, _)| is_there(one) && is_there(other));
        let each = compared.flat_map(|compared| [50, 99].map(|percent| (percent, compared)));
        each.map(|(percent, (one, other, budget))| {
            let ratio = self.estimate(|rounds| self.added(one, percent, rounds) / self.added(other, percent, rounds));
            Figure {
                what: format!("CREATE, {} at a time, added p{percent}: {one} / {other}", self.concurrency),
                measured: ratio.value,
                spread: ratio.spread,
                unit: "×".to_owned(),
                budget,
            }
        })
        .collect()
    }

    fn table(&self) -> Table {
        let rows = self.contestants.iter().map(|contestant| {
            let name = contestant.name;
            let percentiles = [50, 99].map(|percent| self.estimate(|rounds| self.percentile(name, percent, rounds)));
            let added = [50, 99].map(|percent| self.estimate(|rounds| self.added(name, percent, rounds)));
            let cells = percentiles.into_iter().chain(added).map(|estimate| estimate.to_string());
            std::iter::once(name.to_owned()).chain(cells).collect()
        });
        let requests = self.measured.rounds * self.measured.per_round;
        Table {
            title: format!(
                "CREATE of a StatefulSet with dryRun=All, {} at a time, in ms; {requests} requests each, in turn; {SHARED}",
                self.concurrency
            ),
            head: ["who is asked", "p50", "p99", "added p50", "added p99"].map(str::to_owned).to_vec(),
            rows: rows.collect(),
        }
    }

    fn added_p50(&self, name: &str) -> Estimate {
        self.estimate(|rounds| self.added(name, 50, rounds))
    }

    fn estimate(&self, figure: impl Fn(&[usize]) -> f64) -> Estimate {
        Estimate::of(self.measured.rounds, figure)
    }

    /// What is added to a request about which nobody is asked.
    fn added(&self, name: &str, percent: usize, rounds: &[usize]) -> f64 {
        self.percentile(name, percent, rounds) - self.percentile(NOBODY, percent, rounds)
    }

    fn percentile(&self, name: &str, percent: usize, rounds: &[usize]) -> f64 {
        let at = self.contestants.iter().position(|contestant| contestant.name == name).unwrap();
        self.measured.times[at].percentile(percent, rounds)
    }
}
