use std::{net::Ipv4Addr, time::Duration};

use bartizan_config::{Configuration, Origin, Setting, Source};
use bartizan_gateway::{Gateway, StdioError};

use super::{Failure, runtime, start_logs, told_to_stop, variables};
use crate::{cli, stdin};

/// How long the processes and connections of services may take to end.
const ENDING: Duration = Duration::from_secs(2);

/// Serves the client that started this process, over standard input and output, until it has
/// enough or the process is told to stop.
///
/// The log goes to standard error, and nothing is listened on.
pub(crate) fn stdio(source: &cli::Source, service: Option<&str>) -> Result<(), Failure> {
    let configuration = unbound(variables(source)?)?;
    start_logs(&configuration)?;
    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let gateway = Gateway::new(&configuration)?;
        let services = gateway.services().len();
        tracing::info!(services, "serving standard input");
        let (input, output) = (stdin::read(), tokio::io::stdout());
        let served = gateway.serve_stdio(service, input, output, told_to_stop());
        served.await.map_err(|error| match error {
            StdioError::Output(error) => Failure::Output(error),
            other => Failure::Stdio(other),
        })
    });
    // A client that does not read may hold up a write to it for ever.
    runtime.shutdown_timeout(ENDING);
    served
}

/// The configuration without what is about being reached over the network, which is not wrong
/// here and not right either: the client is whoever started the process.
fn unbound(source: Source) -> Result<Configuration, Failure> {
    let source = source.with_text("MCP_GATEWAY_INSECURE_BIND=true", "bartizan stdio")?;
    let mut configuration = Configuration::parse(&source)?;
    let about_the_port = |text: &str| text.starts_with("listening on ");
    configuration
        .warnings
        .retain(|warning| !about_the_port(&warning.to_string()));
    let gateway = &mut configuration.gateway;
    gateway.host = Setting::new(
        Ipv4Addr::LOCALHOST.into(),
        Origin::Default("nothing is listened on"),
    );
    gateway.api_keys = None;
    gateway.tls = None;
    Ok(configuration)
}
