use std::{fmt, sync::Arc};

use bartizan_config::{Configuration, Errors, Severity, Warning};
use thiserror::Error;

use crate::{Gateway, StartError, works::Works};

/// Reads a configuration anew.
pub(crate) type Read = Box<dyn Fn() -> Result<Configuration, Errors> + Send + Sync>;

/// Why the configuration stays as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The configuration is wrong.
    #[error(transparent)]
    Configuration(#[from] Errors),
    /// The configuration is right, and cannot be put to work.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Nobody said [where it comes from](Gateway::configured_by).
    #[error("this gateway was not told where its configuration comes from")]
    NoSource,
    /// What reads it or makes it count panicked, or the process is about to end.
    #[error("the configuration cannot be read or made to count")]
    Interrupted,
}

/// What a change of the configuration came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// Services that were not there before.
    pub added: Vec<String>,
    /// Services that are not there any more.
    pub removed: Vec<String>,
    /// Services that began anew under other settings.
    pub changed: Vec<String>,
    /// Services that go on with all that is known of them, at other instances.
    pub moved: Vec<String>,
    /// Services that go on as they were.
    pub unchanged: Vec<String>,
    /// Whether callers are shown another certificate than before.
    pub other_certificate: bool,
    /// What has changed in the configuration and does not count before a restart.
    pub needs_restart: Vec<&'static str>,
}

impl Reloaded {
    /// Whether there are other services than before, or others in their place.
    pub(crate) fn changes_services(&self) -> bool {
        !(self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty())
    }

    /// Whether all services go on as they were, and all that changed counts.
    fn changes_nothing(&self) -> bool {
        !self.changes_services()
            && self.moved.is_empty()
            && !self.other_certificate
            && self.needs_restart.is_empty()
    }
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} services added, {} removed, {} changed, {} with other instances, {} unchanged",
            self.added.len(),
            self.removed.len(),
            self.changed.len(),
            self.moved.len(),
            self.unchanged.len()
        )?;
        if self.other_certificate {
            f.write_str("; another certificate")?;
        }
        if !self.needs_restart.is_empty() {
            write!(
                f,
                "; not before a restart: {}",
                self.needs_restart.join(", ")
            )?;
        }
        Ok(())
    }
}

impl Gateway {
    /// Says where the configuration comes from, for it to be
    /// [read again](Gateway::reload_from_source).
    #[must_use]
    pub fn configured_by(
        self,
        read: impl Fn() -> Result<Configuration, Errors> + Send + Sync + 'static,
    ) -> Self {
        self.works.configured_by(Box::new(read));
        self
    }

    /// Reads the configuration from where it came from, and goes on under it.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or as [`reload`](Gateway::reload); then nothing has changed.
    ///
    /// # Cancellation
    ///
    /// Dropping the future changes nothing, unless it was about to complete.
    pub async fn reload_from_source(&self) -> Result<Reloaded, ReloadError> {
        self.works.reload_from_source().await
    }

    /// Goes on under another configuration, from the next request on.
    ///
    /// Requests under way end under the configuration that they began with. A service whose
    /// settings are what they were keeps everything: breaker, limits, health, connections, and
    /// sessions; one that differs in its instances only keeps what is known of those that stay.
    /// The processes of services that are gone are stopped when they have had the drain time for
    /// what they were doing, or when the gateway is [closed](Gateway::close). Certificates are read again.
    ///
    /// # Errors
    ///
    /// As [`new`](Gateway::new); then nothing has changed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn reload(&self, configuration: &Configuration) -> Result<Reloaded, StartError> {
        self.works.reload(configuration)
    }
}

impl Works {
    /// As [`Gateway::reload_from_source`].
    pub(crate) async fn reload_from_source(self: &Arc<Self>) -> Result<Reloaded, ReloadError> {
        // One after the other, or what was read first could be applied last.
        let _turn = self.reloading().lock().await;
        let works = Arc::clone(self);
        // Files are read, which may take a while.
        let read = tokio::task::spawn_blocking(move || works.read());
        let configuration = read.await.map_err(|_| ReloadError::Interrupted)?;
        let configuration = configuration.inspect_err(|error| {
            tracing::error!(error = %format_args!("{error:#}"), "configuration not changed");
            if let ReloadError::Configuration(errors) = error {
                for warning in errors.warnings() {
                    tracing::warn!("{warning}");
                }
            }
        })?;
        let reloaded = self.at_home(move |works| works.reload(&configuration));
        Ok(reloaded.await.map_err(|_| ReloadError::Interrupted)??)
    }

    /// As [`Gateway::reload`].
    fn reload(self: &Arc<Self>, configuration: &Configuration) -> Result<Reloaded, StartError> {
        let known = self.configuration();
        let renewed = self.renew(configuration);
        let (reloaded, gone) = renewed.inspect_err(|error| {
            tracing::error!(error = %format_args!("{error:#}"), "configuration not changed");
        })?;
        let patience = *configuration.gateway.drain_timeout;
        let lasting = self.lasting();
        lasting.retiring().retire(gone, lasting.clock(), patience);
        if reloaded.changes_nothing() && *known == *configuration {
            tracing::info!("configuration read again, nothing changed");
        } else {
            tracing::info!(%reloaded, "configuration changed");
        }
        let is_new = |warning: &&Warning| !known.warnings.contains(warning);
        for warning in configuration.warnings.iter().filter(is_new) {
            match warning.severity() {
                Severity::Note => tracing::debug!("{warning}"),
                Severity::Warning => tracing::warn!("{warning}"),
            }
        }
        if !reloaded.needs_restart.is_empty() {
            tracing::warn!(
                changed = reloaded.needs_restart.join(", "),
                "some of what changed does not count before a restart"
            );
        }
        Ok(reloaded)
    }
}
