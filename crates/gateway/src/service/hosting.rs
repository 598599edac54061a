//! Servers of MCP that do not speak Streamable HTTP themselves.

use std::{ffi::OsString, num::NonZeroUsize, time::Duration};

use bartizan_client::Client;
use bartizan_clock::Clock;
use bartizan_config::{
    GatewaySettings, McpTransport, Origin, ProgramSettings, ServiceSettings, StdioSettings, redact,
};
use bartizan_discovery::{Instance, Transport};
use bartizan_health::Concurrency;
use bartizan_transport::{
    host::{Capacity, Connect, Host, HostLimits},
    sse::SseLimits,
    stdio::{Command, Limits, RestartPolicy},
};

use crate::registries::Roster;

/// What all services share that are processes or speak HTTP+SSE.
#[derive(Clone, Debug)]
pub(crate) struct Hosting {
    /// For processes.
    children: HostLimits,
    /// For streams.
    streams: HostLimits,
    max_message_bytes: usize,
    stop_grace: Duration,
    probes: Concurrency,
}

impl Hosting {
    pub(crate) fn new(settings: &GatewaySettings) -> Self {
        let mcp = &settings.mcp;
        let checks = *settings.instances.max_concurrent_checks;
        let checks = NonZeroUsize::try_from(checks).unwrap_or(NonZeroUsize::MAX);
        Self {
            children: limits(settings, mcp.max_children.get()),
            streams: HostLimits {
                idle: *mcp.session_idle_timeout,
                ..limits(settings, mcp.max_sessions.get())
            },
            max_message_bytes: *settings.max_response_bytes,
            stop_grace: *mcp.stop_grace,
            probes: Concurrency::new(checks),
        }
    }

    /// The same, but for processes as they are under these settings.
    pub(crate) fn with_children(&self, settings: &GatewaySettings) -> Self {
        Self {
            children: limits(settings, settings.mcp.max_children.get()),
            stop_grace: *settings.mcp.stop_grace,
            ..self.clone()
        }
    }

    /// The bound on probes of all services together.
    pub(super) fn probes(&self) -> Concurrency {
        self.probes.clone()
    }

    /// How the instances of a service are reached.
    pub(super) fn of(
        &self,
        settings: &ServiceSettings,
        roster: &Roster,
        client: &Client,
        clock: Clock,
    ) -> Reached {
        let Some(mcp) = settings.kind.mcp() else {
            return Reached::Directly;
        };
        if let Some(programs) = &mcp.programs {
            return Reached::AsListed(Box::new(Listed {
                roster: roster.clone(),
                speak_sse: *mcp.transport == McpTransport::Sse,
                programs: programs.clone(),
                hosting: self.clone(),
                client: client.clone(),
                clock,
            }));
        }
        match (*mcp.transport, &mcp.stdio) {
            (McpTransport::Stdio, Some(stdio)) => {
                Reached::ByProcess(self.process(&settings.name, stdio, clock))
            }
            (McpTransport::Sse, _) => Reached::ByStream {
                hosting: Box::new(self.clone()),
                client: client.clone(),
                clock,
            },
            (McpTransport::StreamableHttp | McpTransport::Stdio, _) => Reached::Directly,
        }
    }

    fn process(&self, service: &str, stdio: &StdioSettings, clock: Clock) -> Host {
        let limits = HostLimits {
            idle: *stdio.idle_timeout,
            lifetime: *stdio.max_lifetime,
            ..self.children.clone()
        };
        let child = Limits {
            max_message_bytes: self.max_message_bytes,
            stop_grace: self.stop_grace,
            ..Limits::default()
        };
        let connect = Connect::stdio(command(service, stdio), child, RestartPolicy::default());
        Host::new(connect, limits, clock)
    }

    fn stream(&self, instance: &Instance, client: &Client, clock: Clock) -> Host {
        let limits = SseLimits {
            event_bytes: self.max_message_bytes,
            ..SseLimits::default()
        };
        let connect = Connect::sse(client.clone(), instance.uri().clone(), limits);
        Host::new(connect, self.streams.clone(), clock)
    }
}

fn limits(settings: &GatewaySettings, connections: u32) -> HostLimits {
    let connections = connections as usize;
    let of_caller = settings.mcp.max_sessions_per_caller.get() as usize;
    HostLimits {
        capacity: Capacity::new(connections),
        per_owner: of_caller.min(connections),
        ..HostLimits::default()
    }
}

fn command(service: &str, stdio: &StdioSettings) -> Command {
    let mut command = Command::new(stdio.command.value())
        .service(service)
        .args(stdio.args.iter().map(OsString::from))
        .hidden(redact::secrets(&stdio.args))
        .inherited(stdio.inherited.clone());
    for (name, value) in &stdio.env {
        command = command.env(name, value.expose());
    }
    match &stdio.working_dir {
        Some(directory) => command.working_dir(directory.value()),
        None => command,
    }
}

/// How the instances of one service are reached.
pub(super) enum Reached {
    /// They speak HTTP as it is spoken to them.
    Directly,
    /// The only instance is a program.
    ByProcess(Host),
    ByStream {
        hosting: Box<Hosting>,
        client: Client,
        clock: Clock,
    },
    /// Each as its registry says.
    AsListed(Box<Listed>),
}

/// Instances of a registry, which says of each how it is reached.
pub(super) struct Listed {
    roster: Roster,
    /// Whether those of which it says no more than that they speak HTTP speak HTTP+SSE.
    speak_sse: bool,
    programs: ProgramSettings,
    hosting: Hosting,
    client: Client,
    clock: Clock,
}

impl Listed {
    fn host(&self, instance: &Instance) -> Option<Host> {
        let listing = self.roster.current()?;
        let entry = listing.entry(instance.id())?;
        match (entry.transport, &entry.launch) {
            (Transport::Stdio, Some(launch)) => {
                let origin = Origin::Registry(listing.registry.to_path_buf());
                let program = self.programs.process(
                    launch.command.first()?,
                    launch.command.iter().skip(1).map(String::as_str),
                    launch.env.iter().map(|(name, value)| (&**name, &**value)),
                    launch.working_dir.clone(),
                    &origin,
                );
                let name = format!("{}/{}", listing.name, instance.id());
                Some(self.hosting.process(&name, &program, self.clock))
            }
            (Transport::Http, _) if !self.speak_sse => None,
            _ => Some(self.hosting.stream(instance, &self.client, self.clock)),
        }
    }
}

impl Reached {
    /// What plays the server of Streamable HTTP in front of `instance`, if anything has to.
    pub(super) fn host(&self, instance: &Instance) -> Option<Host> {
        match self {
            Self::Directly => None,
            Self::ByProcess(host) => Some(host.clone()),
            Self::ByStream {
                hosting,
                client,
                clock,
            } => Some(hosting.stream(instance, client, *clock)),
            Self::AsListed(listed) => listed.host(instance),
        }
    }
}
