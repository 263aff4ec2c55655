//! What memory Quorate takes and how soon it is ready, from an empty cluster to a large one: of a process that is there all the
//! time, and of one that is started beside it.

use std::time::Duration;

use crate::client::Client;
use crate::contestants::{Shows, namespace, quorate};
use crate::controlplane::{ControlPlane, Quorate};
use crate::fill::fill;
use crate::process::{Memory, ask, restart, settled};
use crate::world::result::{Budget, Figure, Results, Table, median};

/// How often it is started to see how soon it is ready.
const STARTS: usize = 5;

/// How many requests it has answered when its memory counts.
const REQUESTS: usize = 4_000;

/// A kind, how many there are of it, and how many there will be.
pub(crate) type Step = (&'static str, usize, usize);

/// Both processes, and what was found.
pub(crate) struct Growing<'c> {
    cluster: &'c ControlPlane,
    old: Quorate<'c>,
    fresh: Quorate<'c>,
    namespace: String,
    figures: Vec<Figure>,
    memory: Vec<Vec<String>>,
    starts: Vec<Vec<String>>,
}

impl<'c> Growing<'c> {
    /// Starts both in a cluster that is as good as empty.
    pub(crate) async fn new(cluster: &'c ControlPlane) -> Self {
        let [old, fresh] = ["old", "fresh"].map(|label| quorate(cluster, label, 10, &[], Shows::Memory));
        let namespace = namespace(cluster, "growing");
        let (figures, memory, starts) = Default::default();
        let mut growing = Self { cluster, old, fresh, namespace, figures, memory, starts };
        growing.start("an empty cluster");
        let (old, fresh) = growing.look().await;
        growing.row("nothing", old, fresh, None);
        let (old, fresh) = growing.ask().await;
        growing.row(&format!("nothing, {REQUESTS} requests later"), old, fresh, None);
        growing.figure("memory with an empty cluster, after requests", old.resident, Budget::AtMost(20.0));
        growing
    }

    /// Fills the cluster, with a look at the memory after each step.
    pub(crate) async fn fill(&mut self, client: &Client, steps: &[Step]) {
        for (kind, from, to) in steps {
            let before = settled(&self.old).await;
            let took = fill(client, kind, *from, *to).await;
            eprintln!("cluster: {} {kind} in {:.0} s", to - from, took.as_secs_f64());
            restart(&mut self.fresh);
            let (old, fresh) = self.look().await;
            #[expect(clippy::cast_precision_loss, reason = "there are not that many")]
            let each = (old.resident - before.resident) * 1024.0 / (to - from) as f64;
            self.row(&format!("and {} {kind}", to - from), old, fresh, Some(each));
        }
    }

    /// What they take in the end.
    pub(crate) async fn end(mut self) -> Results {
        self.start("the large cluster");
        let (old, fresh) = self.ask().await;
        self.row(&format!("the same, {REQUESTS} requests later"), old, fresh, None);
        for (who, memory) in [("there since it was empty", old), ("started in it", fresh)] {
            let what = format!("memory with the large cluster, after requests, {who}");
            self.figure(&what, memory.resident, Budget::AtMost(100.0));
        }
        self.figure("most memory ever with the large cluster, started in it", fresh.peak, Budget::None);
        let budgets = Quorate::builder(self.cluster)
            .label("budgets")
            .binary(Shows::Memory.program())
            .policies("policies/trial/observe.yaml")
            .budgets()
            .unregistered()
            .start()
            .unwrap();
        let budgets = settled(&budgets).await;
        self.memory.push(
            ["the same, with the budget controller, under a policy that asks for no budgets", "", ""]
                .map(str::to_owned)
                .into_iter()
                .chain([budgets.resident, budgets.peak].map(|memory| format!("{memory:.1}")))
                .collect(),
        );
        let tables = vec![
            table(
                "Memory in MiB: of a process that is there since the cluster was empty, and of one started at each step",
                &["the cluster holds", "there all the time", "KiB per object", "started then", "most it ever took"],
                self.memory,
            ),
            table(
                &format!("Start of the process, in ms: median and quartiles of {STARTS}"),
                &["in", "start to all caches listed", "from then to ready", "start to ready"],
                self.starts,
            ),
        ];
        Results { figures: self.figures, tables, ..Results::default() }
    }

    async fn look(&self) -> (Memory, Memory) {
        (settled(&self.old).await, settled(&self.fresh).await)
    }

    async fn ask(&self) -> (Memory, Memory) {
        ask(&self.old, &self.namespace, REQUESTS).await;
        ask(&self.fresh, &self.namespace, REQUESTS).await;
        self.look().await
    }

    /// Starts one of them again and again.
    fn start(&mut self, cluster: &str) {
        let starts: Vec<_> = (0..STARTS).map(|_| restart(&mut self.fresh)).collect();
        let of = |times: Vec<Duration>| {
            let mut times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
            median(&mut times)
        };
        let listed = of(starts.iter().map(|start| start.listed).collect());
        let ready = of(starts.iter().map(|start| start.ready).collect());
        let all = of(starts.iter().map(|start| start.listed + start.ready).collect());
        let cells = [listed, ready, all].map(|(middle, (low, high))| format!("{middle:.0} ({low:.0} to {high:.0})"));
        self.starts.push(std::iter::once(cluster.to_owned()).chain(cells).collect());
        self.figures.push(Figure {
            what: format!("start to ready, after the caches are listed, in {cluster}"),
            measured: ready.0,
            spread: ready.1,
            unit: "ms".to_owned(),
            budget: Budget::AtMost(250.0),
        });
    }

    fn row(&mut self, what: &str, old: Memory, fresh: Memory, each: Option<f64>) {
        let each = each.map(|each| format!("{each:.2}")).unwrap_or_default();
        let [old, fresh, peak] = [old.resident, fresh.resident, fresh.peak].map(|memory| format!("{memory:.1}"));
        self.memory.push(vec![what.to_owned(), old, each, fresh, peak]);
    }

    /// What a process takes is no sample: it has no spread.
    fn figure(&mut self, what: &str, measured: f64, budget: Budget) {
        let unit = "MiB".to_owned();
        self.figures.push(Figure { what: what.to_owned(), measured, spread: (measured, measured), unit, budget });
    }
}

fn table(title: &str, head: &[&str], rows: Vec<Vec<String>>) -> Table {
    Table { title: title.to_owned(), head: head.iter().copied().map(str::to_owned).collect(), rows }
}
