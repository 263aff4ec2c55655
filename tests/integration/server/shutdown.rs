//! Ending without losing a request.

use std::time::Duration;

use hyper::StatusCode;
use quorate::server::{Limits, Phase};

use super::{Client1, Client2, Gate, dial, request, serve, serve_with, soon, text};

/// L31
#[tokio::test]
async fn tells_http_1_clients_to_close_while_it_drains_and_serves_them_still() {
    let served = serve(Gate::new().router());
    let mut client = Client1::dial(&served).await;
    assert!(!client.get("/fast").await.unwrap().headers().contains_key("connection"));
    served.shutdown.advance(Phase::Draining);
    let response = client.get("/fast").await.unwrap();
    assert_eq!(response.headers()["connection"], "close");
    assert_eq!(text(response).await, "fast");
    soon(client.connection).await.unwrap().unwrap();
    for path in ["/fast", "/nowhere", "/panic"] {
        let response = Client1::dial(&served).await.get(path).await.unwrap();
        assert_eq!(response.headers()["connection"], "close", "{path}");
    }
}

/// L31
#[tokio::test]
async fn tells_http_2_clients_to_leave_and_answers_what_they_asked() {
    let gate = Gate::new();
    let served = serve(gate.router());
    let mut client = Client2::dial(&served).await;
    let answer = tokio::spawn(client.sender.send_request(request("POST", "/slow")));
    gate.until_waiting(1).await;
    served.shutdown.advance(Phase::Draining);
    gate.let_pass(1);
    assert_eq!(text(soon(answer).await.unwrap().unwrap()).await, "slow");
    soon(client.connection).await.unwrap().unwrap();
    let mut late = Client2::dial(&served).await;
    assert_eq!(text(soon(late.sender.send_request(request("GET", "/fast"))).await.unwrap()).await, "fast");
}

/// L33
#[tokio::test]
async fn answers_every_request_that_is_in_flight_when_it_stops() {
    const EACH: usize = 50;
    let gate = Gate::new();
    let served = serve(gate.router());
    let mut answers = Vec::new();
    let mut client2 = Client2::dial(&served).await;
    for _ in 0..EACH {
        let mut client1 = Client1::dial(&served).await;
        answers.push(tokio::spawn(async move { client1.send(request("POST", "/slow")).await }));
        answers.push(tokio::spawn(client2.sender.send_request(request("POST", "/slow"))));
    }
    gate.until_waiting(2 * EACH).await;
    served.shutdown.advance(Phase::Draining);
    served.shutdown.advance(Phase::Stopping);
    super::until("nobody is let in", async || dial(served.address, &served.made.ca, &[]).await.is_err()).await;
    gate.let_pass(2 * EACH);
    for answer in answers {
        let response = soon(answer).await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(text(response).await, "slow");
    }
    assert!(soon(served.task).await.unwrap(), "it says that all were answered");
}

#[tokio::test]
async fn does_not_wait_for_ever() {
    let gate = Gate::new();
    let served = serve_with(gate.router(), Limits { finish: Duration::from_millis(50), ..Limits::default() }, None);
    let mut client = Client1::dial(&served).await;
    let _answer = tokio::spawn(async move { client.send(request("POST", "/slow")).await });
    gate.until_waiting(1).await;
    served.shutdown.advance(Phase::Stopping);
    assert!(!soon(served.task).await.unwrap(), "it says that some were not");
}

#[tokio::test]
async fn closes_idle_connections_when_it_stops() {
    let served = serve(Gate::new().router());
    let mut idle = Client1::dial(&served).await;
    text(idle.get("/fast").await.unwrap()).await;
    let never_used = Client2::dial(&served).await;
    served.shutdown.advance(Phase::Stopping);
    assert!(soon(served.task).await.unwrap());
    soon(idle.connection).await.unwrap().unwrap();
    soon(never_used.connection).await.unwrap().unwrap();
}
