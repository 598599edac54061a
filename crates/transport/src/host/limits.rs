use std::time::Duration;

use super::Capacity;
use crate::link::LinkLimits;

/// What a [`Host`](super::Host) holds at most, and for how long.
#[derive(Clone, Debug)]
pub struct HostLimits {
    /// How many connections there are at once, those included that are just ending. Hosts with
    /// clones of one capacity share it. Default: 64.
    pub capacity: Capacity,
    /// How many of them one owner has at this host. Default: 16. Past that the one ends that
    /// the owner has not used for longest, if nobody needs it now; else there is no other.
    pub per_owner: usize,
    /// How long a connection is kept without a request or a listener. Default: 10 minutes, long
    /// enough for a pause in a conversation.
    pub idle: Duration,
    /// How long a connection that nobody uses is spared where others need its room. Default: 10 s,
    /// as whoever opened it may be about to say something.
    pub spare: Duration,
    /// How long a connection lives at most before it takes no more requests. Default: a day,
    /// which bounds what a server leaks.
    pub lifetime: Duration,
    /// How long the requests under way may go on after that. Default: 30 s.
    pub retire: Duration,
    /// How long the answer to `server/discover` is waited for, since older servers may not answer
    /// what they do not know. Default: 10 s, as the official SDKs wait.
    pub probe: Duration,
    /// How long a server may take to read a message. Default: 10 s.
    pub accept: Duration,
    /// How long the first word of a tool may take before its answer becomes a stream, which tells
    /// the client that the call is under way. Default: 10 s, well before the 60 s after
    /// which clients give up.
    pub stream_after: Duration,
    /// What holds for each connection.
    pub link: LinkLimits,
}

impl Default for HostLimits {
    fn default() -> Self {
        Self {
            capacity: Capacity::new(64),
            per_owner: 16,
            idle: Duration::from_secs(600),
            spare: Duration::from_secs(10),
            lifetime: Duration::from_secs(24 * 3600),
            retire: Duration::from_secs(30),
            probe: Duration::from_secs(10),
            accept: Duration::from_secs(10),
            stream_after: Duration::from_secs(10),
            link: LinkLimits::default(),
        }
    }
}
