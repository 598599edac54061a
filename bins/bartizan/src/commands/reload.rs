use bartizan_gateway::Gateway;

/// Reads the configuration again whenever the process gets SIGHUP, which daemons are told to do
/// so by. What is wrong with it is in the log, and changes nothing.
pub(super) async fn when_told(gateway: Gateway) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            return;
        };
        while hangup.recv().await.is_some() {
            let _ = gateway.reload_from_source().await;
        }
    }
    #[cfg(not(unix))]
    drop(gateway);
}
