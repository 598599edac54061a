//! A server that runs out of file descriptors waits for some, and neither spins nor ends.

mod common;

use std::{fs::File, process::Command, time::Duration};

use bartizan_server::ServerConfig;
use common::{Running, exchange};
use tokio::net::TcpStream;

/// Runs this very test again in a process that may open few files; there, it does the work.
#[test]
fn accepting_goes_on_when_there_are_files_again() {
    const LIMIT: usize = 64;
    let files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok())
        .take(2 * LIMIT)
        .collect();
    if files.len() < 2 * LIMIT {
        drop(files);
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(starve());
        return;
    }
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -n {LIMIT} && exec \"$0\"")])
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
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
