use std::time::Duration;

use bartizan_config::{Configuration, Errors, Origin, Setting};
use bartizan_gateway::{Gateway, StdioError};

use super::{
    Failure,
    reload::{Hangups, keep_up},
    runtime, start_logs, told_to_stop, variables,
    watch::Watched,
};
use crate::{cli, stdin};

/// How long the processes of services may take to end, all in all: clients get impatient after
/// two seconds, and whoever is killed cannot see to it that nothing is left behind.
const ENDING: Duration = Duration::from_millis(1500);
/// How much of that a process has to end with its input, before it gets SIGTERM.
const STOP_GRACE: Duration = Duration::from_millis(750);
/// How long what is still written to the client may take after that.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Serves the client that started this process, over standard input and output, until it has
/// enough or the process is told to stop.
///
/// The log goes to standard error, and nothing is listened on.
pub(crate) fn stdio(source: &cli::Source, service: Option<&str>) -> Result<(), Failure> {
    // Looked at before they are read, so that no change falls between the two.
    let watched = Watched::new(source.files());
    let configuration = unbound(source)?;
    start_logs(&configuration)?;
    let runtime = runtime()?;
    let served = runtime.block_on(async {
        let hangups = Hangups::listen();
        let gateway = Gateway::new(&configuration)?;
        let source = source.clone();
        let gateway = gateway.configured_by(move || unbound(&source));
        let watched = configuration.gateway.watch_files.then_some(watched);
        let keeping_up = keep_up(&gateway, hangups, watched);
        let services = gateway.services().len();
        tracing::info!(services, "serving standard input");
        let (input, output) = (stdin::read(), tokio::io::stdout());
        let serving = gateway.clone();
        let serving = serving.serve_stdio(service, input, output, told_to_stop(1));
        let served = serving.await.map_err(|error| match error {
            StdioError::Output(error) => Failure::Output(error),
            other => Failure::Stdio(other),
        });
        drop(keeping_up);
        // What has not ended by then is killed with the runtime.
        let _ = tokio::time::timeout(ENDING, gateway.close()).await;
        served
    });
    // A client that does not read may hold up a write to it for ever.
    runtime.shutdown_timeout(LAST_WORDS);
    served
}

/// What is about being reached over the network, which is not wrong here and not right either:
/// the client is whoever started the process.
const OF_THE_PORT: [&str; 11] = [
    "HOST",
    "PORT",
    "MCP_GATEWAY_HOST",
    "MCP_GATEWAY_PORT",
    "MCP_GATEWAY_TLS_CERT_FILE",
    "MCP_GATEWAY_TLS_KEY_FILE",
    "MCP_GATEWAY_API_KEYS",
    "MCP_GATEWAY_API_KEYS_FILE",
    "MCP_GATEWAY_ADMIN_KEYS",
    "MCP_GATEWAY_ADMIN_KEYS_FILE",
    "MCP_GATEWAY_ALLOWED_COMMANDS",
];

/// The configuration without that. A client has less patience than what starts daemons, and so
/// have processes of services.
fn unbound(source: &cli::Source) -> Result<Configuration, Errors> {
    // Blank counts as not set.
    let variables = OF_THE_PORT.iter().fold(variables(source), |variables, it| {
        variables.with_flag("bartizan stdio", it, "")
    });
    let mut configuration = Configuration::parse(&variables)?;
    let stop_grace = Setting::new(STOP_GRACE, Origin::Default("clients kill soon"));
    configuration.gateway.mcp.stop_grace = stop_grace;
    Ok(configuration)
}
