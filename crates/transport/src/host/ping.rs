//! Whether a server answers.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bartizan_protocol::{error, method::PING};
use bytes::Bytes;

use super::{Host, HostError, answer, connection::Connection};
use crate::link::{Ids, LinkError};

impl Host {
    /// Asks the server whether it answers, over a connection that is open, and gives its response,
    /// which may well be an error: servers need not know `ping`.
    ///
    /// `None` if there is no connection: none is opened for it, and no program started. It is no
    /// use of the connection either, which ends when nobody else uses it.
    ///
    /// # Errors
    ///
    /// When the server gave no answer.
    ///
    /// # Cancellation
    ///
    /// Dropping the future takes the question back.
    pub async fn ping(&self) -> Option<Result<Bytes, HostError>> {
        let connection = self.0.state.table.lock().any()?;
        Some(self.ask(&connection).await)
    }

    async fn ask(&self, connection: &Arc<Connection>) -> Result<Bytes, HostError> {
        // Never the same as that of a client, whose messages go out with their own ids.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!(r#""bartizan-ping-{count}""#);
        let message = error::request(&id, PING, None);
        let state = &self.0.state;
        let sending = async {
            match connection.link.request(message.clone(), Ids::Keep).await {
                Err(LinkError::Duplicate) => connection.link.request(message, Ids::Remap).await,
                result => result,
            }
        };
        let mut exchange = tokio::select! {
            biased;
            exchange = sending => exchange?,
            () = state.clock.sleep(state.limits.accept) => {
                return Err(HostError::unsent("the server reads no messages"));
            }
        };
        let (_, response) = answer::response(&mut exchange, 0).await?;
        Ok(response)
    }
}
