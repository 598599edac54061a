use bartizan_gateway::Gateway;
use tokio::task::JoinSet;

use super::watch::Watched;

/// Reads the configuration again on SIGHUP, and whenever a file that it comes from has changed if
/// they are watched, for as long as what this gives is there.
pub(super) fn keep_up(
    gateway: &Gateway,
    hangups: Hangups,
    watched: Option<Watched>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(hangups.reload(gateway.clone()));
    if let Some(watched) = watched {
        tasks.spawn(when_changed(gateway.clone(), watched));
    }
    tasks
}

/// SIGHUP, heard of from here on: before, it would end the process.
pub(super) struct Hangups {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangups {
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(super) fn listen() -> Self {
        Self {
            #[cfg(unix)]
            signal: {
                use tokio::signal::unix::{SignalKind, signal};
                signal(SignalKind::hangup()).ok()
            },
        }
    }

    /// Reads the configuration again whenever the process gets SIGHUP, which daemons are told to
    /// do so by. What is wrong with it is in the log, and changes nothing.
    async fn reload(self, gateway: Gateway) {
        #[cfg(unix)]
        if let Some(mut signal) = self.signal {
            while signal.recv().await.is_some() {
                let _ = gateway.reload_from_source().await;
            }
        }
        #[cfg(not(unix))]
        drop(gateway);
    }
}

/// Reads the configuration again whenever a file that it comes from has changed. What is wrong
/// with it is in the log, and changes nothing.
async fn when_changed(gateway: Gateway, watched: Watched) {
    let mut listening = watched.listen();
    loop {
        for file in listening.next().await {
            tracing::info!(file = %file.display(), "configuration file changed");
        }
        let _ = gateway.reload_from_source().await;
    }
}
