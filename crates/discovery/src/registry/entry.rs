use std::sync::Arc;

use http::Uri;

use crate::{HEALTH_URL, Instance, InvalidInstance, Launch, Tool};

/// One instance with all that its registry says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// What balancing needs to know. Of a program that is to be started the address only
    /// stands for it: see [`launch`](Entry::launch).
    pub instance: Instance,
    /// How it is spoken to.
    pub transport: Transport,
    /// What to start, if it is a program.
    pub launch: Option<Arc<Launch>>,
    /// Where its health is asked for, if not at the usual place.
    pub health_url: Option<Uri>,
    /// What it can do, if its registry lists that: then nothing else, and nothing at all if the list
    /// is empty.
    pub tools: Option<Arc<[Tool]>>,
    /// What someone wrote down of its health, who may be long gone.
    pub recorded: Recorded,
    /// Its text in the registry, byte for byte, if that is JSON.
    ///
    /// It may hold the values of environment variables.
    pub raw: Option<Arc<str>>,
}

impl Entry {
    /// The program `launch` under the name `id`.
    ///
    /// # Errors
    ///
    /// When `id` is empty.
    pub fn program(id: impl Into<Arc<str>>, launch: Launch) -> Result<Self, InvalidInstance> {
        let instance = Instance::new(launch.uri())?.with_id(id)?;
        Ok(Self {
            transport: Transport::Stdio,
            launch: Some(Arc::new(launch)),
            ..Self::from(instance)
        })
    }

    /// What its registry lists that it can do.
    #[must_use]
    pub fn tools(&self) -> &[Tool] {
        self.tools.as_deref().unwrap_or_default()
    }

    /// The same entry, spoken to in another way.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self.raw = None;
        self
    }

    /// The same entry, whose health is asked for at `url`.
    #[must_use]
    pub fn health_url(mut self, url: Uri) -> Self {
        self.health_url = Some(url);
        self.raw = None;
        self
    }
}

impl Entry {
    /// The instance with what probes of it have to know.
    pub(crate) fn for_balancer(&self) -> Instance {
        let instance = self.instance.clone();
        match &self.health_url {
            Some(url) => instance.with_metadata(HEALTH_URL, url.to_string()),
            None => instance,
        }
    }
}

impl From<Instance> for Entry {
    fn from(instance: Instance) -> Self {
        Self {
            instance,
            transport: Transport::Http,
            launch: None,
            health_url: None,
            tools: None,
            recorded: Recorded::default(),
            raw: None,
        }
    }
}

/// How an instance is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// By HTTP requests.
    #[default]
    Http,
    /// By HTTP requests whose answers come on one stream of events.
    Sse,
    /// Through the standard input and output of a program.
    Stdio,
}

impl Transport {
    /// The name that registries use: `http`, `sse` or `stdio`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Sse => "sse",
            Self::Stdio => "stdio",
        }
    }
}

/// The health of an instance as a registry has it on record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// `healthy`, `unhealthy` or `unknown`.
    pub status: Option<Arc<str>>,
    /// When that was found.
    pub last_health_check: Option<Arc<str>>,
    /// How many checks failed since one succeeded.
    pub consecutive_failures: u32,
}
