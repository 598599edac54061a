use std::io;

use rmcp::ServiceExt;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, split},
    sync::mpsc,
};

use crate::{Eras, Fixture};

/// What a server of one era says to a method that only the other has.
pub(crate) const METHOD_NOT_FOUND: &str =
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"Method not found"}}"#;

/// Bytes on their way between rmcp and the streams, each way.
const BUFFER: usize = 64 * 1024;

/// Serves one client over `input` and `output`, a message a line, until the input ends.
///
/// # Errors
///
/// When the streams break or the client's first message is not one that opens a session.
pub async fn serve_stdio<R, W>(input: R, output: W, eras: Eras) -> io::Result<()>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (inside, outside) = tokio::io::duplex(BUFFER);
    let (from_server, to_server) = split(outside);
    let (lines, written) = mpsc::channel(16);

    let writer = tokio::spawn(write(written, output));
    let reader = tokio::spawn(read(input, to_server, lines.clone(), eras));
    let relay = tokio::spawn(relay(from_server, lines));
    let (from_client, to_client) = split(inside);
    let served = Fixture::new(eras).serve((from_client, to_client)).await;
    if let Ok(running) = served {
        running.waiting().await.map_err(io::Error::other)?;
    }
    // A refused opening ends the session; what was written for the client still leaves.
    reader.abort();
    relay.await.map_err(io::Error::other)??;
    drop(reader.await);
    writer.await.map_err(io::Error::other)?
}

/// Hands the client's messages on, save those of the other era, which it answers itself.
async fn read(
    input: impl AsyncRead + Unpin,
    mut server: impl AsyncWrite + Unpin,
    lines: mpsc::Sender<String>,
    eras: Eras,
) -> io::Result<()> {
    let mut input = BufReader::new(input).lines();
    while let Some(line) = input.next_line().await? {
        if let Some(refusal) = refuse(&line, eras) {
            if lines.send(refusal).await.is_err() {
                break;
            }
            continue;
        }
        server.write_all(line.as_bytes()).await?;
        server.write_all(b"\n").await?;
    }
    server.shutdown().await
}

async fn relay(server: impl AsyncRead + Unpin, lines: mpsc::Sender<String>) -> io::Result<()> {
    let mut server = BufReader::new(server).lines();
    while let Some(line) = server.next_line().await? {
        if lines.send(line).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn write(
    mut lines: mpsc::Receiver<String>,
    mut output: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    while let Some(line) = lines.recv().await {
        output.write_all(line.as_bytes()).await?;
        output.write_all(b"\n").await?;
        output.flush().await?;
    }
    Ok(())
}

fn refuse(line: &str, eras: Eras) -> Option<String> {
    let foreign = match eras {
        Eras::Both => return None,
        Eras::Legacy => "server/discover",
        Eras::Modern => "initialize",
    };
    let message: Value = serde_json::from_str(line).ok()?;
    if message["method"] != foreign {
        return None;
    }
    let mut refusal: Value = serde_json::from_str(METHOD_NOT_FOUND).ok()?;
    refusal["id"] = message.get("id").cloned().unwrap_or(json!(null));
    Some(refusal.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn conversation(eras: Eras, said: &[&str]) -> Vec<Value> {
        let mut input = said.join("\n");
        input.push('\n');
        let (client, server) = tokio::io::duplex(BUFFER);
        let served = tokio::spawn(serve_stdio(
            io::Cursor::new(input.into_bytes()),
            server,
            eras,
        ));
        let mut lines = BufReader::new(client).lines();
        let mut heard = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            heard.push(serde_json::from_str(&line).unwrap());
        }
        served.await.unwrap().unwrap();
        heard
    }

    const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
    const DISCOVER: &str = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;

    #[tokio::test]
    async fn each_era_is_served_by_those_that_speak_it() {
        for eras in [Eras::Both, Eras::Legacy] {
            let heard = conversation(eras, &[INITIALIZE]).await;
            assert_eq!(heard[0]["result"]["protocolVersion"], "2025-11-25");
        }
        for eras in [Eras::Both, Eras::Modern] {
            let heard = conversation(eras, &[DISCOVER]).await;
            assert!(
                heard[0]["result"]["supportedVersions"].is_array(),
                "{heard:?}"
            );
        }
    }

    #[tokio::test]
    async fn the_other_era_is_a_method_not_found() {
        for (eras, opening) in [(Eras::Legacy, DISCOVER), (Eras::Modern, INITIALIZE)] {
            let heard = conversation(eras, &[opening]).await;
            assert_eq!(heard[0]["error"]["code"], -32601);
            assert_eq!(heard[0]["id"], 1);
        }
    }

    #[tokio::test]
    async fn a_legacy_server_serves_whoever_asked_for_the_newest_first() {
        let heard = conversation(Eras::Legacy, &[DISCOVER, INITIALIZE]).await;
        assert_eq!(heard[0]["error"]["code"], -32601);
        assert_eq!(heard[1]["result"]["protocolVersion"], "2025-11-25");
    }
}
