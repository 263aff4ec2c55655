//! Quorate's socket against that of the reference server: most requests per second, time at given rates, with connections kept
//! and without, on the same machine, in turn. The servers have one processor and the client, oha, has another. `make bench`
//! runs it; it takes seven minutes. Where something else runs on those processors, the results say so.
//!
//! Rates are shares of what the reference server answers at most, and the same for all. With a given rate requests come
//! whether the server keeps up or not, and each one's time counts from when it was due.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails has no result")]

mod client;
mod series;
mod server;
#[path = "../world/mod.rs"]
mod world;

use std::time::Duration;

use quorate::admission::Webhook;

use client::{Client, Connections, Gauge, Question, Sample};
use series::{Series, curves, loads, ratio, table};
use server::{Ground, Server};
use world::reference;
use world::result::{Budget, Figure, Results};

/// The reference server has the allocator that Quorate has, so that no more than their own work is compared.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often and how long each server is asked, in turn: without a given rate, for which there is a budget. The same server is
/// as fast again only on average, so that many short runs say more than few long ones.
const AT_MOST: (usize, Duration) = (24, Duration::from_millis(300));
/// The same at half of the reference's maximum: a p99 wants many requests, and each run has a warm-up.
const AT_HALF: (usize, Duration) = (18, Duration::from_millis(2400));
/// How often, where there is no budget.
const FEW: usize = 4;
/// How often and how long at other rates.
const AT_RATE: (usize, Duration) = (FEW, Duration::from_millis(800));
/// Those rates, as shares of the reference's maximum, of which half is measured anyway.
const LOADS: [f64; 4] = [0.1, 0.3, 0.7, 0.9];

const VALIDATE: Question = Question { webhook: Webhook::Validate, connections: Connections::Kept };
const MUTATE: Question = Question { webhook: Webhook::Mutate, ..VALIDATE };
const NEW: Question = Question { connections: Connections::New, ..VALIDATE };

fn main() {
    reference::serve_if_asked();
    assert!(client::is_there(), "there is no oha in PATH; tests/tools.sh bench builds it");
    assert!(server::processors().len() > 1, "servers and client need a processor each");
    let ground = Ground::prepare();
    let client = Client::new(&ground);
    let servers = [
        Server::reference(&ground),
        Server::quorate(&ground, "Quorate", "info"),
        Server::quorate(&ground, "Quorate, --log warn", "warn"),
    ];
    for server in &servers {
        client.check(server, Webhook::Validate, false);
        client.check(server, Webhook::Mutate, server.name != "reference");
    }
    measure(&client, &servers).write("https");
}

fn measure(client: &Client, servers: &[Server]) -> Results {
    let mut results = Results::default();
    // Without its log lines, Quorate need not be measured everywhere: what they cost shows in what it answers at most.
    for (name, question, servers) in
        [("validate", VALIDATE, servers), ("mutate", MUTATE, servers), ("new connections", NEW, &servers[..2])]
    {
        let budgeted = question.connections == Connections::Kept;
        let (how, [runs, runs_at_half]) = if budgeted {
            ("connections kept", [AT_MOST, AT_HALF])
        } else {
            ("a connection and a full handshake each", [(FEW, AT_MOST.1), AT_RATE])
        };
        let at_most = rounds(runs, &format!("{name}, at most"), servers, |server, time| {
            client.ask_at_most(server, question, time)
        });
        let half = series::rate(&at_most[0]).0 / 2.0;
        let at_half = rounds(runs_at_half, &format!("{name}, half of that"), &servers[..2], |server, time| {
            client.ask_at(server, question, half, time)
        });
        let budget = |budget| if budgeted { budget } else { Budget::None };
        results.figures.extend(figures(name, &at_most, &at_half, budget));
        let disturbed = if series::is_disturbed(&at_most) { "; SOMETHING ELSE RAN MEANWHILE" } else { "" };
        results.tables.push(table(format!("HTTPS, {name}: at most, {how}{disturbed}"), &at_most));
        results.tables.push(table(format!("HTTPS, {name}: {half:.0} requests per second offered, {how}"), &at_half));
        if question == VALIDATE {
            let mut all = Vec::from(LOADS.map(|share| {
                let rate = share * 2.0 * half;
                let series = rounds(AT_RATE, &format!("{name}, {share}"), &servers[..2], |server, time| {
                    client.ask_at(server, question, rate, time)
                });
                (rate, series)
            }));
            all.insert(LOADS.partition_point(|share| *share < 0.5), (half, at_half));
            results.tables.push(loads(&all));
            results.curves = curves(&all);
        }
    }
    for figure in &results.figures {
        let (low, high) = figure.spread;
        println!("{:<56} {:.2} {} (quartiles {low:.2} and {high:.2})", figure.what, figure.measured, figure.unit);
    }
    results
}

/// What servers take, measured in turn, so that whatever else the machine does meanwhile is to the cost of all. Each comes first,
/// last and after each other as often as the others.
fn rounds(
    (count, time): (usize, Duration),
    what: &str,
    servers: &[Server],
    measure: impl Fn(&Server, Duration) -> Sample,
) -> Vec<Series> {
    let mut series: Vec<_> = servers.iter().map(|server| Series::new(server.name)).collect();
    for round in 0..count {
        let mut turns: Vec<_> = servers.iter().zip(&mut series).collect();
        let of_all = turns.len();
        turns.rotate_left(round % of_all);
        if round / of_all % 2 == 1 {
            turns.reverse();
        }
        for (server, series) in turns {
            series.samples.push(measure(server, time));
        }
    }
    for series in &series {
        eprintln!("https: {what}: {series}");
    }
    series
}

/// Each server's ratios to the first, which is the reference; and what Quorate answers at most.
fn figures(name: &str, at_most: &[Series], at_half: &[Series], budget: impl Fn(Budget) -> Budget) -> Vec<Figure> {
    let kinds: [(_, _, Gauge, _); 4] = [
        ("requests per second, at most", at_most, |sample| sample.rate, budget(Budget::AtLeast(0.7))),
        ("processor time of a request", at_most, |sample| sample.cost, Budget::None),
        ("p50 at half of the reference's maximum", at_half, |sample| sample.p50, Budget::None),
        ("p99 at half of the reference's maximum", at_half, |sample| sample.p99, budget(Budget::AtMost(1.5))),
    ];
    let mut figures = Vec::new();
    for (what, series, value, budget) in kinds {
        for (number, one) in series.iter().enumerate().skip(1) {
            let (measured, spread) = ratio(one, &series[0], value);
            // The budget is for Quorate as its users run it.
            let budget = if number == 1 { budget } else { Budget::None };
            let what = format!("{}: HTTPS {name}, {what}, of the reference's", one.name);
            figures.push(Figure { what, measured, spread, unit: "×".to_owned(), budget });
        }
    }
    let (measured, spread) = series::rate(&at_most[1]);
    let what = format!("{}: HTTPS {name}, requests per second on one processor", at_most[1].name);
    figures.push(Figure { what, measured, spread, unit: "/s".to_owned(), budget: Budget::None });
    figures
}
