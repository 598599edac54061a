/// What a [`Link`](super::Link) holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLimits {
    /// Requests under way, and as many cancelled ones whose answers may be late. Default: 1024,
    /// far above what a server works on at a time.
    pub exchanges: usize,
    /// Messages that wait for the reader of one exchange. Default: 256.
    pub queue: usize,
    /// Messages that wait for the reader of [`Unsolicited`](super::Unsolicited). Default: 256.
    pub unsolicited: usize,
    /// Bytes of the messages in any one of these queues; a single message may be larger.
    /// Default: 16 MiB.
    pub queue_bytes: usize,
    /// Whether the link itself answers a `ping` of the server. Default: true.
    pub answer_ping: bool,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self {
            exchanges: 1024,
            queue: 256,
            unsolicited: 256,
            queue_bytes: 16 << 20,
            answer_ping: true,
        }
    }
}
