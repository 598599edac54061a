use std::io;

use axum::Router;
use bartizan_transport::front::{self, FrontLimits};
use http::Uri;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::gateway::Gateway;

/// Why a client on a pipe was not served, or not to the end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StdioError {
    /// The service that was asked for is not there, or is no MCP server.
    #[error("no MCP service is called {0:?}")]
    UnknownService(String),
    /// There is no MCP service at all.
    #[error("no MCP service is configured")]
    NoService,
    /// What is said to the client cannot be written; of the kind [`io::ErrorKind::BrokenPipe`] if
    /// it has gone.
    #[error("cannot write to the client: {0}")]
    Output(io::Error),
}

impl Gateway {
    /// Serves one client that writes MCP messages as lines into `reader` and reads them from
    /// `writer`: the service of this name, or the only one, with the names that it gives its
    /// tools; otherwise all of them.
    ///
    /// Ends when `reader` does and what was asked is answered, or when `stop` completes. Whoever
    /// holds the pipe is trusted, and need show no key. The processes of services run on until a
    /// clone of the gateway is [closed](Gateway::close).
    ///
    /// # Errors
    ///
    /// [`StdioError`]; nothing was read in the first two cases.
    ///
    /// # Cancellation
    ///
    /// Dropping the future drops every call, and may leave a line half written.
    pub async fn serve_stdio(
        self,
        service: Option<&str>,
        reader: impl AsyncRead,
        writer: impl AsyncWrite,
        stop: impl Future<Output = ()>,
    ) -> Result<(), StdioError> {
        let path = self.path(service)?;
        let core: Router = super::routes().with_state(self.current.clone());
        let shared = self.current.load();
        let limits = FrontLimits {
            message_bytes: shared.max_body_bytes(),
            answer_bytes: shared.mcp().max_message_bytes(),
            ..FrontLimits::default()
        };
        let served = front::serve(core, path, reader, writer, limits, stop).await;
        served.map(drop).map_err(StdioError::Output)
    }

    fn path(&self, service: Option<&str>) -> Result<Uri, StdioError> {
        let shared = self.current.load();
        let services = shared.places().services();
        let one = match (service, services) {
            (Some(name), _) => {
                let found = services.iter().find(|it| **it.name() == *name);
                Some(found.ok_or_else(|| StdioError::UnknownService(name.to_owned()))?)
            }
            (None, []) => return Err(StdioError::NoService),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let path = one.map_or_else(|| "/mcp".to_owned(), |it| format!("/mcp/{}", it.name()));
        Uri::try_from(path).map_err(|_| StdioError::NoService)
    }
}
