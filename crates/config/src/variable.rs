/// What is known about one environment variable: one row of the reference.
///
/// The same rows drive parsing, the messages about wrong values, the recognition of misspelt
/// names, and [`reference_markdown`](crate::reference_markdown).
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    pub(crate) name: &'static str,
    pub(crate) section: Section,
    pub(crate) kind: Kind,
    pub(crate) fallback: Fallback,
    /// What the value must be, in the documented words, after `Service X: ` where it belongs to
    /// a service. Empty where the kind alone says it.
    pub(crate) rule: &'static str,
    pub(crate) description: &'static str,
}

impl Variable {
    /// The name; `<NAME>` in it stands for a service's name in capitals, with `_` for everything
    /// that is neither a letter nor a digit.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What the value means.
    #[must_use]
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// The default as it would be written, if there is one.
    #[must_use]
    pub fn default(&self) -> Option<&'static str> {
        match self.fallback {
            Fallback::Value(text, _) => Some(text),
            Fallback::Inherit(_) | Fallback::Unset(_) | Fallback::Required => None,
        }
    }

    /// Whether the value is a secret, which can come from a file named by the variable
    /// `..._FILE` instead.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret | Kind::SecretList)
    }

    pub(crate) fn is_of_a_service(&self) -> bool {
        self.name.contains("<NAME>")
    }

    /// What the names of a family of variables begin with, such as
    /// `MCP_SERVICE_<NAME>_ENV_`; `None` for a variable that stands for itself.
    pub(crate) fn family(&self) -> Option<&'static str> {
        ["<VARIABLE>", "<HEADER>"]
            .iter()
            .find_map(|member| self.name.strip_suffix(member))
    }
}

/// The part of the reference that a variable belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Process,
    Listening,
    Limits,
    Upstream,
    Retry,
    Services,
    Authentication,
    Resilience,
    Health,
    Registries,
    Mcp,
    McpService,
}

impl Section {
    pub(crate) const ALL: [Self; 12] = [
        Self::Process,
        Self::Listening,
        Self::Limits,
        Self::Upstream,
        Self::Retry,
        Self::Services,
        Self::Authentication,
        Self::Resilience,
        Self::Health,
        Self::Registries,
        Self::McpService,
        Self::Mcp,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Process => "The process",
            Self::Listening => "Listening, and who may call",
            Self::Limits => "Limits of the front door",
            Self::Upstream => "Calls to services",
            Self::Retry => "Retries",
            Self::Services => "Services and their endpoints",
            Self::Authentication => "How the gateway proves itself to a service",
            Self::Resilience => "Limits, timeouts, circuit breaker and retries of a service",
            Self::Health => "Health probes of a service",
            Self::Registries => "Registries, and the services that they list",
            Self::McpService => "Services that are MCP servers",
            Self::Mcp => "The gateway as an MCP server",
        }
    }
}

/// What the text of a variable is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Any text; the words say what it holds.
    Text(&'static str),
    Url,
    Address,
    Flag,
    /// A duration in milliseconds, which may be zero or not.
    Milliseconds {
        zero: bool,
    },
    /// A duration in seconds, above zero.
    Seconds,
    /// A whole number within these bounds.
    Number {
        min: u64,
        max: u64,
        unit: &'static str,
    },
    /// A number above zero, at most one.
    Ratio,
    Choice(&'static [&'static str]),
    /// Texts separated by commas; the words say of what.
    List(&'static str),
    Path,
    Secret,
    SecretList,
    /// A text that nothing shows, and that no file can hold in its place.
    Hidden(&'static str),
}

/// What holds when a variable is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// This text, and where it comes from.
    Value(&'static str, &'static str),
    /// The value of another variable.
    Inherit(&'static str),
    /// Nothing, and what that means.
    Unset(&'static str),
    /// A problem.
    Required,
}

/// The longest duration that can be configured: what a timer of the documented original could
/// hold, almost 25 days. Beyond it, its timers fired at once.
pub(crate) const MAX_MILLISECONDS: u64 = 2_147_483_647;
