//! How long a CREATE with `dryRun=All` takes: requests about all contestants in turn, one at a time and sixteen at once.

use std::sync::Arc;
use std::time::Duration;

use crate::client::{Client, Connection};
use crate::contestants::Contestant;
use crate::times::Times;

/// Requests of one contestant in a round, one at a time, strictly in turn: enough for a p99.
const ALONE: usize = 100;

/// Requests of one contestant in a round, so many at once.
const TOGETHER: usize = 192;

/// How many are asked at once.
const CONCURRENCY: usize = 16;

/// Before anything is measured.
const WARM_UP: usize = 40;

/// What was measured of each contestant, in their order.
pub(crate) struct Measured {
    pub(crate) rounds: usize,
    pub(crate) per_round: usize,
    pub(crate) times: Vec<Times>,
}

/// One request at a time, of each contestant in turn and in an order that changes.
pub(crate) async fn alone(client: &Client, contestants: &[Arc<Contestant>], rounds: usize) -> Measured {
    let mut connection = client.connect().await;
    for _ in 0..WARM_UP {
        for contestant in contestants {
            contestant.ask(&mut connection).await;
        }
    }
    let mut times: Vec<Times> = contestants.iter().map(|_| Times::default()).collect();
    let mut order: Vec<usize> = (0..contestants.len()).collect();
    for _ in 0..rounds {
        let mut round = vec![Vec::with_capacity(ALONE); contestants.len()];
        for _ in 0..ALONE {
            fastrand::shuffle(&mut order);
            for number in &order {
                round[*number].push(milliseconds(contestants[*number].ask(&mut connection).await.took));
            }
        }
        times.iter_mut().zip(round).for_each(|(times, round)| times.push(round));
    }
    Measured { rounds, per_round: ALONE, times }
}

/// Sixteen requests at once, of each contestant in turn for a moment, in an order that changes.
pub(crate) async fn together(client: &Client, contestants: &[Arc<Contestant>], rounds: usize) -> Measured {
    let mut connections = Vec::new();
    for _ in 0..CONCURRENCY {
        connections.push(client.connect().await);
    }
    let mut times: Vec<Times> = contestants.iter().map(|_| Times::default()).collect();
    let mut order: Vec<usize> = (0..contestants.len()).collect();
    // The first round warms up.
    for round in 0..=rounds {
        fastrand::shuffle(&mut order);
        for number in &order {
            let measured;
            (connections, measured) = block(connections, &contestants[*number]).await;
            if round > 0 {
                times[*number].push(measured);
            }
        }
    }
    Measured { rounds, per_round: TOGETHER, times }
}

async fn block(connections: Vec<Connection>, contestant: &Arc<Contestant>) -> (Vec<Connection>, Vec<f64>) {
    let asking: Vec<_> = connections
        .into_iter()
        .map(|mut connection| {
            let contestant = Arc::clone(contestant);
            tokio::spawn(async move {
                let mut times = Vec::new();
                for _ in 0..TOGETHER / CONCURRENCY {
                    times.push(milliseconds(contestant.ask(&mut connection).await.took));
                }
                (connection, times)
            })
        })
        .collect();
    let (mut connections, mut times) = (Vec::new(), Vec::new());
    for asked in asking {
        let (connection, some) = asked.await.unwrap();
        connections.push(connection);
        times.extend(some);
    }
    (connections, times)
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
