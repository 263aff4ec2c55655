//! What has to be there before Quorate can serve, and isn't yet.

use super::balancer::balance;
use super::*;

fn not_ready(replica: &Quorate<'_>, reason: &str) {
    wait_for("a reason", || {
        let (status, body) = replica.admin("/readyz")?;
        ensure!(status == 503 && body.contains(reason), "{status} {body}");
        replica.process().check()
    })
    .unwrap();
}

fn start(cluster: &'static ControlPlane) -> Quorate<'static> {
    Quorate::builder(cluster).self_managed(SERVICE).policy(POLICY).not_awaited().start().unwrap()
}

#[test]
fn says_how_to_create_a_secret_that_is_missing_and_goes_on_when_it_is_there() {
    let stage = stage();
    let cluster = stage.cluster;
    for name in ["quorate-ca", "quorate-tls"] {
        cluster.kubectl(&["delete", "secret", name, "-n", NAMESPACE]).ok().unwrap();
    }
    let replica = start(cluster);
    for name in ["quorate-ca", "quorate-tls"] {
        let command = format!("kubectl create secret generic {name} --namespace quorate-system");
        not_ready(&replica, &command);
        let words: Vec<_> = command.split(' ').skip(1).collect();
        cluster.kubectl(&words).ok().unwrap();
    }
    replica.wait_ready().unwrap();
    let said = replica.log().matches("is missing; Quorate fills it").count();
    assert_eq!(said, 2, "each once: {}", replica.log());
}

#[test]
fn says_what_it_may_not_watch_and_goes_on_when_it_may() {
    let stage = stage();
    let cluster = stage.cluster;
    cluster.kubectl(&["delete", "rolebinding", "quorate", "-n", NAMESPACE]).ok().unwrap();
    let replica = start(cluster);
    not_ready(
        &replica,
        "Quorate may not watch Secret quorate-system/quorate-ca; give it its rights again, as it was installed: helm upgrade, or kubectl apply",
    );
    cluster.apply_all(&of_kinds(&["RoleBinding"]).unwrap()).unwrap();
    replica.wait_ready().unwrap();
}

/// The API server comes later than Quorate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_for_an_api_server_that_is_down() {
    let stage = stage();
    let cluster = stage.cluster;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let replica = tokio::task::block_in_place(|| {
        let builder = Quorate::builder(cluster).self_managed(SERVICE).policy(POLICY).not_awaited();
        let replica = builder.api_server(&format!("https://{address}")).start().unwrap();
        not_ready(&replica, "cannot watch Secret quorate-system/quorate-ca: ");
        replica
    });
    let server: u16 = cluster.server().rsplit(':').next().unwrap().parse().unwrap();
    let forwarded = balance(vec![server]).await;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = tokio::net::TcpStream::connect(("127.0.0.1", forwarded)).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    tokio::task::block_in_place(|| replica.wait_ready()).unwrap();
}
