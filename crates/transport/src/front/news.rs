use std::{pin::pin, time::Duration};

use bartizan_backoff::Backoff;
use bartizan_clock::Clock;
use http::StatusCode;

use super::{
    courier::Courier,
    exchange::Outcome,
    messages::{Broken, Messages},
    session::Session,
    upstream::Upstream,
};

/// How soon a stream that broke is opened again at first.
const REOPEN: Duration = Duration::from_millis(250);

impl<U: Upstream> Courier<U> {
    /// Has the client hear what an older service says unasked, for as long as it offers a
    /// stream of that.
    pub(super) async fn listen(&self, session: &Session) -> Outcome {
        let Ok(backoff) = Backoff::exponential(REOPEN).build() else {
            return Outcome::Done;
        };
        let mut random = fastrand::Rng::new();
        let mut last_event = None;
        let mut failures = 0;
        let mut opened = false;
        loop {
            let mut retry = None;
            match self.get(session, last_event.as_ref()).await {
                Ok(response) if response.status() == StatusCode::OK => {
                    opened = true;
                    let mut messages = Messages::new(response, self.limits.answer_bytes);
                    let mut long_lived = pin!(Clock::default().sleep(backoff.max()));
                    loop {
                        tokio::select! {
                            biased;
                            message = messages.next() => {
                                let message = match message {
                                    Some(Ok(message)) => message,
                                    // Opened again, the stream might begin with it.
                                    Some(Err(error @ Broken::TooLarge(_))) => {
                                        tracing::warn!(%error, "left out what is said unasked");
                                        continue;
                                    }
                                    Some(Err(_)) | None => break,
                                };
                                failures = 0;
                                if !self.say(message).await {
                                    return Outcome::Done;
                                }
                            }
                            // A proxy that ends what is quiet is no failure of the service.
                            () = &mut long_lived, if failures > 0 => failures = 0,
                        }
                    }
                    last_event = messages.last_event().cloned().or(last_event);
                    retry = messages.retry();
                }
                Ok(response) if response.status() == StatusCode::NOT_FOUND && opened => {
                    return Outcome::Lost;
                }
                // There is none, or none for us.
                Ok(response) if response.status().is_client_error() => return Outcome::Done,
                Ok(_) | Err(_) => {}
            }
            failures += 1;
            let wait = backoff.delay(failures, &mut random);
            Clock::default()
                .sleep(retry.unwrap_or_default().min(backoff.max()).max(wait))
                .await;
        }
    }
}
