//! What the measured figures come to in clusters that no machine here can hold: arithmetic, no measurement.

use quorate::cluster::Kind;

use crate::found::Found;
use crate::page::{markdown, number};
use crate::world::Size;
use crate::world::result::{Results, Table};

/// How many replicas are reckoned with.
const REPLICAS: [u32; 3] = [1, 3, 5];
/// What one does not load a server beyond, lest times grow.
const USED: f64 = 0.5;
/// The objects of the cluster that is reckoned with.
const OBJECTS: f64 = 100_000.0;
/// How often a kubelet tells the status of its Node where nothing changes, in seconds: `nodeStatusReportFrequency`.
const NODE_STATUS: f64 = 300.0;

/// Requests, memory and watches.
pub(crate) fn describe(found: &Found) -> String {
    format!("{}\n{}\n{}", requests(found.https.as_ref()), memory(found.memory.as_ref()), watches())
}

/// What replicas take together.
fn requests(https: Option<&Results>) -> String {
    let rate = |webhook| {
        let name = format!("Quorate: HTTPS {webhook}, requests per second on one processor");
        https?.figures.iter().find(|figure| figure.what == name).map(|figure| figure.measured)
    };
    let (Some(validate), Some(mutate)) = (rate("validate"), rate("mutate")) else {
        return "**Requests**: nothing was measured to reckon with.\n".to_owned();
    };
    // Each write is mutated and then validated.
    let writes = 1.0 / (1.0 / validate + 1.0 / mutate);
    let row = |replicas: &u32| {
        let all = writes * f64::from(*replicas);
        vec![replicas.to_string(), number(all), number(all * USED)]
    };
    let rows: Vec<_> = REPLICAS.iter().map(row).collect();
    format!(
        "**Requests.** A replica with one processor answers {validate:.0} validations or {mutate:.0} mutations of 20 kB per\n\
         second at most, and {writes:.0} writes, which ask for both. Replicas share nothing but what they watch, so they add up:\n\n{}",
        markdown(&["replicas, one processor each", "writes/s at most", "writes/s at half load"], &rows)
    )
}

/// What caches hold, from what each kind was seen to take for each object.
fn memory(memory: Option<&Results>) -> String {
    let costs = memory.map(costs).unwrap_or_default();
    if costs.is_empty() {
        return "**Memory**: nothing was measured to reckon with.\n".to_owned();
    }
    let row =
        |(kind, cost, _): &(&str, f64, usize)| vec![(*kind).to_owned(), number(*cost), number(cost * OBJECTS / 1024.0)];
    let rows: Vec<_> = costs.iter().map(row).collect();
    #[allow(clippy::cast_precision_loss, reason = "clusters are smaller")]
    let count = |(_, _, count): &(&str, f64, usize)| *count as f64;
    let all: f64 = costs.iter().map(count).sum();
    let mean = costs.iter().map(|of| of.1.max(0.0) * count(of)).sum::<f64>() / all;
    format!(
        "**Memory.** From what each kind took for each object, 100,000 of them would take the following. Mixed as in the large\n\
         cluster they would take {} MiB beside what an empty cluster takes.\n\n{}",
        number(mean * OBJECTS / 1024.0),
        markdown(&["kind", "KiB per object", "MiB for 100,000"], &rows)
    )
}

/// The kinds whose objects were counted, what each object took in KiB, and how many the large cluster has.
fn costs(memory: &Results) -> Vec<(&'static str, f64, usize)> {
    const COLUMN: &str = "KiB per object";
    let Size { statefulsets, services, budgets, nodes, .. } = Size::LARGE;
    let kinds =
        [("statefulsets", statefulsets), ("services", services), ("poddisruptionbudgets", budgets), ("nodes", nodes)];
    let cost = |Table { head, rows, .. }: &Table, kind: &str| {
        let column = head.iter().position(|name| name == COLUMN)?;
        rows.iter().filter(|row| row[0].ends_with(kind)).find_map(|row| row[column].parse::<f64>().ok())
    };
    let found = |(kind, count)| memory.tables.iter().find_map(|table| Some((kind, cost(table, kind)?, count)));
    kinds.into_iter().filter_map(found).collect()
}

/// What the API server has to send.
fn watches() -> String {
    #[allow(clippy::cast_precision_loss, reason = "clusters are smaller")]
    let nodes = Size::LARGE.nodes as f64;
    format!(
        "**Watches.** Each replica holds {kinds} watches, one for each kind that it caches, and the API server serves them from its\n\
         own watch cache: etcd hears nothing of it. A watch ends after 20 seconds and goes on where it was, which makes {:.2}\n\
         requests per second and replica. Each event is sent to each replica whole. Most are of Nodes: a kubelet tells its\n\
         Node's status every 5 minutes (its Lease, which it renews every 10 seconds, is another kind), so that {nodes:.0} Nodes make\n\
         {:.0} events per second; at 10 kB each that is {:.0} kB per second and replica. StatefulSets change with each of their\n\
         pods, budgets too, Services hardly.\n",
        kinds_per_second(),
        nodes / NODE_STATUS,
        nodes / NODE_STATUS * 10.0,
        kinds = Kind::ALL.len(),
    )
}

/// Watches that begin, for each replica.
fn kinds_per_second() -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "there are seven")]
    let kinds = Kind::ALL.len() as f64;
    kinds / 20.0
}
