use std::num::NonZeroU32;

/// Allows this process as many open files and sockets as it may have.
///
/// Shells and service managers give 1,024, for programs that use `select`; a connection takes one,
/// and another to the service that it asks for. That there are fewer than connections that are
/// allowed is logged.
pub(super) fn raise(max_connections: NonZeroU32) {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        if current == maximum {
            warn_of(current, max_connections);
            return;
        }
        // Where there is no maximum, some systems take no more than this.
        let raised = maximum.or(Some(10_240)).max(current);
        let limit = Rlimit {
            current: raised,
            maximum,
        };
        let current = setrlimit(Resource::Nofile, limit).map_or(current, |()| raised);
        warn_of(current, max_connections);
    }
}

#[cfg(unix)]
fn warn_of(descriptors: Option<u64>, max_connections: NonZeroU32) {
    let wanted = 2 * u64::from(max_connections.get());
    if let Some(descriptors) = descriptors.filter(|it| *it < wanted) {
        tracing::warn!(
            descriptors,
            wanted,
            "fewer files may be open than connections with theirs to services: raise the limit of \
             open files (ulimit -Hn, LimitNOFILE=) or lower MCP_GATEWAY_MAX_CONNECTIONS"
        );
    }
}
