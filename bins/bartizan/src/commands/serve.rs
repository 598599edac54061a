use bartizan_gateway::Gateway;

use super::{
    Failure, configuration, descriptors,
    gateway::PidFile,
    reload::{Hangups, keep_up},
    run, start_logs, told_to_stop,
    watch::Watched,
    workers,
};
use crate::cli::Source;

/// Serves until the process is told to stop, then drains until it is told so again.
///
/// Everything that can be wrong with the configuration is told before anything binds.
pub(crate) fn serve(source: &Source) -> Result<(), Failure> {
    serve_as(source, None)
}

/// The same, with a file that says where it listens, for as long as it does.
pub(super) fn serve_as(source: &Source, pid_file: Option<PidFile>) -> Result<(), Failure> {
    // Looked at before they are read, so that no change falls between the two.
    let watched = Watched::new(source.files());
    let configuration = configuration(source)?;
    start_logs(&configuration)?;
    descriptors::raise(*configuration.gateway.max_connections);
    let workers = workers(configuration.gateway.workers.as_ref().map(|count| **count))?;
    run(async {
        // Before anybody hears that it listens, and may tell it to.
        let (hangups, stop) = (Hangups::listen(), told_to_stop(1));
        let cut = told_to_stop(2);
        let source = source.clone();
        let settings = &configuration.gateway;
        let gateway = Gateway::new(&configuration)?;
        let gateway = gateway.configured_by(move || self::configuration(&source));
        let bound = gateway.bind()?.on(workers.spawner());
        let (address, services) = (bound.local_addr(), gateway.services().len());
        tracing::info!(%address, services, "listening");
        // Gone when this ends, however it ends.
        let mut pid_file = pid_file;
        if let Some(file) = &mut pid_file {
            let scheme = if settings.tls.is_some() {
                "https"
            } else {
                "http"
            };
            let address = bartizan_config::reachable(address);
            if let Err(error) = file.listens_at(&format!("{scheme}://{address}")) {
                tracing::warn!(%error, "the pid file cannot be written");
            }
        }
        let watched = settings.watch_files.then_some(watched);
        let keeping_up = keep_up(&gateway, hangups, watched);
        let drained = gateway.serve_until(bound, stop, cut).await;
        drop(keeping_up);
        tracing::info!(
            finished = drained.finished,
            aborted = drained.aborted,
            "stopped"
        );
        Ok(())
    })?
}
