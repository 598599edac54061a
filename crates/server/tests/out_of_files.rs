//! A server that runs out of file descriptors waits for some, and neither spins nor ends.

mod common;

use std::{fs::File, time::Duration};

use bartizan_server::ServerConfig;
use bartizan_testkit::with_few_files;
use common::{Running, exchange};
use tokio::net::TcpStream;

#[test]
fn accepting_goes_on_when_there_are_files_again() {
    with_few_files(starve());
}

async fn starve() {
    let server = Running::plain(&ServerConfig::default());
    let mut served = server.connect().await;
    exchange(&mut served).await;
    // Leaves one descriptor: for the client's end of a connection, but not for the server's.
    let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    hoard.pop();
    let mut waiting = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        exchange(&mut served).await;
        assert_eq!(server.stats.current(), 1);
    }
    hoard.clear();
    exchange(&mut waiting).await;
    assert_eq!(common::soon(server.drain()).await.unwrap().finished, 2);
}
