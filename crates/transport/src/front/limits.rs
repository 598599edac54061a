use std::time::Duration;

/// What one client of a front may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrontLimits {
    /// The longest message of the client, in bytes. Default: 16 MiB.
    pub message_bytes: usize,
    /// The longest message to the client, in bytes. Default: 64 MiB.
    pub answer_bytes: usize,
    /// Requests under way. Default: 256. More wait for these to end.
    pub requests: usize,
    /// Bytes of requests that wait for others to end, each counted as at least 1 KiB. Default:
    /// 16 MiB. Past that requests are refused. As much again may wait for a handshake, past which
    /// nothing is read; and [`serve`](super::serve) reads as much ahead.
    pub waiting_bytes: usize,
    /// Streams of subscriptions. Default: 64. Past that they are refused, as waiting has no end.
    pub subscriptions: usize,
    /// Notifications and answers of the client that are on their way. Default: 64. Past that
    /// nothing is read until one has arrived.
    pub asides: usize,
    /// Messages that wait until the client reads them. Default: 64.
    pub queue: usize,
    /// How long requests may still take once the client says no more. Default: 10 s, for scripts
    /// that write all their lines at once; programs that want an end sooner send a signal.
    pub drain: Duration,
    /// How long a client that says no more may take nothing of what is said to it. Default: 2 s,
    /// what the SDKs give a process to end. One that may say more may take its time.
    pub stuck: Duration,
    /// How long the end of the session, and what is still to be written, may take at the end.
    /// Default: 1 s, half of what the SDKs wait before they kill.
    pub close: Duration,
}

impl Default for FrontLimits {
    fn default() -> Self {
        Self {
            message_bytes: 16 << 20,
            answer_bytes: 64 << 20,
            requests: 256,
            waiting_bytes: 16 << 20,
            subscriptions: 64,
            asides: 64,
            queue: 64,
            drain: Duration::from_secs(10),
            stuck: Duration::from_secs(2),
            close: Duration::from_secs(1),
        }
    }
}
