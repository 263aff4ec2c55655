//! What a Service does for its Pods, on one port: each new connection goes to the next replica.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The port at which replicas on these ports can be reached by turns, until the runtime ends.
pub(super) async fn balance(ports: Vec<u16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        for next in ports.iter().cycle() {
            let Ok((mut client, _)) = listener.accept().await else { continue };
            let address = SocketAddr::from(([127, 0, 0, 1], *next));
            connections.spawn(async move {
                if let Ok(mut server) = TcpStream::connect(address).await {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
            });
            while connections.try_join_next().is_some() {}
        }
    });
    port
}
