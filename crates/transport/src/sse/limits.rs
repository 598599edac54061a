use std::time::Duration;

/// What a connection may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseLimits {
    /// From the first byte out to the `endpoint` event. Default: 10 s, since servers send it at
    /// once.
    pub connect_timeout: Duration,
    /// Until a notification, or an answer to a request of the server, is accepted. Default: 30 s.
    /// Requests have no such limit, since some servers accept them only when they have answered.
    pub post_timeout: Duration,
    /// Messages that are being posted. Default: 256. Past that the oldest is given up.
    pub posts: usize,
    /// The lines of one event in bytes. Default: 16 MiB.
    pub event_bytes: usize,
    /// Messages that wait, each way. Default: 64.
    pub queue: usize,
}

impl Default for SseLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            post_timeout: Duration::from_secs(30),
            posts: 256,
            event_bytes: 16 << 20,
            queue: 64,
        }
    }
}
