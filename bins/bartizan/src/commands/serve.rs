use bartizan_gateway::Gateway;

use super::{Failure, configuration, reload::Hangups, runtime, start_logs, told_to_stop};
use crate::cli::Source;

/// Serves until the process is told to stop, then drains.
///
/// Everything that can be wrong with the configuration is told before anything binds.
pub(crate) fn serve(source: &Source) -> Result<(), Failure> {
    let configuration = configuration(source)?;
    start_logs(&configuration)?;
    runtime()?.block_on(async {
        let hangups = Hangups::listen();
        let source = source.clone();
        let gateway = Gateway::new(&configuration)?;
        let gateway = gateway.configured_by(move || self::configuration(&source));
        let bound = gateway.bind()?;
        let services = gateway.services().len();
        tracing::info!(address = %bound.local_addr(), services, "listening");
        let reloads = tokio::spawn(hangups.reload(gateway.clone()));
        let drained = gateway.serve(bound, told_to_stop()).await;
        reloads.abort();
        tracing::info!(
            finished = drained.finished,
            aborted = drained.aborted,
            "stopped"
        );
        Ok(())
    })
}
