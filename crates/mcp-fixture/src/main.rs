//! Serves the conformance fixture, over HTTP or over standard input and output.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use bartizan_mcp_fixture::{Eras, HttpFixture, serve_stdio};
use clap::Parser;

/// The server that the MCP conformance suite expects.
#[derive(Parser)]
#[command(name = "mcp-fixture", version)]
struct Arguments {
    /// Port of 127.0.0.1; the system chooses where it is 0
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Serve one client over standard input and output instead
    #[arg(long)]
    stdio: bool,
    /// Be a server of 2025-11-25, which does not know 2026-07-28
    #[arg(long, conflicts_with = "modern_only")]
    legacy_only: bool,
    /// Be a server of 2026-07-28 that has forgotten all before it
    #[arg(long)]
    modern_only: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "mcp-fixture: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> io::Result<()> {
    let eras = match (arguments.legacy_only, arguments.modern_only) {
        (true, _) => Eras::Legacy,
        (_, true) => Eras::Modern,
        _ => Eras::Both,
    };
    if arguments.stdio {
        return serve_stdio(tokio::io::stdin(), tokio::io::stdout(), eras).await;
    }
    let fixture = HttpFixture::bind(arguments.port, eras).await?;
    // Scripts wait for this line.
    writeln!(io::stdout(), "listening on {}", fixture.url())?;
    io::stdout().flush()?;
    fixture.serve().await
}
