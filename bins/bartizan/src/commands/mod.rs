//! One function a command.

mod demo;
mod descriptors;
mod gateway;
mod inspect;
mod print_self;
mod reload;
mod serve;
mod stdio;
mod table;
mod watch;

use std::{
    io::{self, Write},
    num::{NonZeroU32, NonZeroUsize},
    thread,
    time::Duration,
};

use bartizan_config::{Configuration, Errors, Severity, Source, UnknownService};
use bartizan_gateway::{StartError, StdioError};
use bartizan_telemetry::logs::{self, Format, InvalidLogs};
use bartizan_workers::Workers;
use thiserror::Error;

use crate::cli;

pub(crate) use self::{
    demo::demo,
    gateway::gateway,
    inspect::{check, explain, reference},
    print_self::{completions, man},
    serve::serve,
    stdio::stdio,
};

/// Why a command did not do what it was asked to.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Configuration(#[from] Errors),
    #[error(transparent)]
    UnknownService(#[from] UnknownService),
    #[error("{wrong}")]
    Listed {
        wrong: Errors,
        warnings: Vec<String>,
    },
    #[error("{0}")]
    LeftOut(String),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Stdio(StdioError),
    #[error("logging: {0}")]
    Logs(#[from] InvalidLogs),
    #[error("{0}")]
    Runtime(io::Error),
    #[error("demo: {0}")]
    Demo(io::Error),
    #[error(transparent)]
    Gateway(#[from] gateway::Trouble),
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl Failure {
    /// What the process ends with.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Gateway(trouble) => trouble.code(),
            _ => 1,
        }
    }
}

/// Says on standard error what went wrong.
pub(crate) fn complain(failure: &Failure) {
    // Nothing is left to do when that cannot be written either.
    let _ = writeln!(io::stderr(), "{failure}");
    let (errors, more): (_, &[String]) = match failure {
        Failure::Configuration(errors) => (errors, &[]),
        Failure::Listed { wrong, warnings } => (wrong, warnings),
        _ => return,
    };
    let warnings = errors.warnings().iter().map(ToString::to_string);
    for warning in warnings.chain(more.iter().cloned()) {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
}

/// Writes `text` to standard output, ending it with a line feed.
fn print(text: &dyn std::fmt::Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.map_err(Failure::Output)
}

/// The configuration of this process.
fn configuration(source: &cli::Source) -> Result<Configuration, Errors> {
    Configuration::parse(&variables(source))
}

/// Where it comes from: the environment, the file beside it, the native file, and files of
/// servers.
fn variables(source: &cli::Source) -> Source {
    let environment = Source::environment();
    let flags = source.flags.iter();
    let environment = flags.fold(environment, |variables, it| {
        variables.with_flag(it.flag, it.variable, &*it.text)
    });
    // A file that was asked for by name has to be there.
    let variables = match &source.env_file {
        Some(path) => environment.with_file(path),
        None => environment.with_file_if_present(cli::DEFAULT_ENV_FILE),
    };
    let variables = match &source.config {
        Some(path) => variables.with_config_file(path),
        None => variables.with_config_file_if_present(cli::DEFAULT_CONFIG),
    };
    let servers = source.mcp_config.iter();
    servers.fold(variables, Source::with_mcp_config)
}

/// Starts logging as configured, and logs what the configuration has to say.
fn start_logs(configuration: &Configuration) -> Result<(), Failure> {
    let gateway = &configuration.gateway;
    let format = match *gateway.log_format {
        bartizan_config::LogFormat::Text => Format::Text,
        bartizan_config::LogFormat::Json => Format::Json,
    };
    logs::init(&gateway.log_filter, format, *gateway.log_color)?;
    for warning in &configuration.warnings {
        match warning.severity() {
            Severity::Note => tracing::debug!("{warning}"),
            Severity::Warning => tracing::warn!("{warning}"),
        }
    }
    Ok(())
}

/// How many threads do what is not serving connections: accepting them, probing, polling. Two, so
/// that reading a long list of instances holds up nothing else.
const BACKGROUND_THREADS: usize = 2;

/// How long calls that block may go on after all else has ended: they look up names and read
/// files, which may be on a disk that has gone away, and nobody waits for what they bring.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// Does `work` on a runtime of its own, and ends soon after it whatever else began there.
fn run<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = runtime()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LEFT_BEHIND);
    Ok(done)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(BACKGROUND_THREADS).enable_all();
    builder.build().map_err(Failure::Runtime)
}

/// The threads that serve connections, one for each processor unless told how many.
///
/// To be dropped after what [`run`] does: what ends there may have tasks here.
fn workers(count: Option<NonZeroU32>) -> Result<Workers, Failure> {
    let count = match count {
        Some(count) => NonZeroUsize::try_from(count).unwrap_or(NonZeroUsize::MAX),
        None => thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    Workers::start(count).map_err(Failure::Runtime)
}

/// Completes when the process was told to stop for the `nth` time from this call on: by SIGTERM
/// or SIGINT.
///
/// # Panics
///
/// Outside a tokio runtime.
fn told_to_stop(nth: u32) -> impl Future<Output = ()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        );
        async move {
            // Without a handler the signal ends the process, which is what it asks for.
            let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
                return std::future::pending().await;
            };
            for _ in 0..nth {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
        }
    }
    #[cfg(not(unix))]
    async move {
        for _ in 0..nth {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
