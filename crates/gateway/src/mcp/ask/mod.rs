//! One request to one upstream on behalf of a client, whichever eras the two speak.
//!
//! A client of either era hears messages of its own, and one response. What differs between the
//! four cells is who asks whom back: an older server sends requests of its own in the middle of
//! a call, a newer one ends the call with questions and wants it repeated with the answers.

mod direct;
mod from_legacy;
mod from_modern;
mod habits;
mod legacy_upstream;
mod modern_upstream;
mod outside;
mod parked;
mod turn;
mod turns;

use std::sync::{Arc, OnceLock};

use bartizan_protocol::{Edit, Envelope, Era, Kind, edit};
use bartizan_transport::bridge::{Abilities, LogLevel};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot::error::RecvError;

pub(super) use self::{
    direct::{CALL_ID, direct},
    from_modern::answer_locally,
    legacy_upstream::{pooled, progress_token},
    modern_upstream::{discover, fresh_id, mirror},
    outside::{put, taken_back, takes_back},
};
pub(crate) use self::{habits::Habits, parked::Parked, turns::Turns};
use super::{
    Door, Refusal, client::ClientSession, exchange::ExchangeError, probe, talk::Outgoing,
    upstream::Introduction,
};

/// On whose behalf an upstream is asked.
#[derive(Clone, Debug)]
pub(crate) enum Client {
    /// A client of an older revision, in a session of the gateway's.
    Legacy(Arc<ClientSession>),
    /// A client of 2026-07-28, as its request describes it.
    Modern(Arc<ModernClient>),
}

impl Client {
    pub(crate) fn era(&self) -> Era {
        match self {
            Self::Legacy(_) => Era::Legacy,
            Self::Modern(_) => Era::Modern,
        }
    }

    pub(crate) fn introduction(&self) -> &Introduction {
        match self {
            Self::Legacy(client) => client.introduction(),
            Self::Modern(client) => &client.introduction,
        }
    }
}

/// What a request of 2026-07-28 says of its client.
#[derive(Debug)]
pub(crate) struct ModernClient {
    pub(crate) introduction: Introduction,
    pub(crate) abilities: Abilities,
    pub(crate) log_level: Option<LogLevel>,
}

impl ModernClient {
    /// A client that can be asked for nothing and wants no log messages.
    pub(crate) fn of(introduction: Introduction) -> Self {
        Self {
            introduction,
            abilities: Abilities::default(),
            log_level: None,
        }
    }
}

/// A request of a client's, read.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) body: Bytes,
    /// Raw JSON.
    pub(crate) id: Arc<str>,
    pub(crate) method: Arc<str>,
    pub(crate) given_up: GivenUp,
}

/// Why a client of an older revision wants no answer any more, for the upstream to hear.
#[derive(Clone, Debug, Default)]
pub(crate) struct GivenUp(Arc<OnceLock<Box<str>>>);

impl GivenUp {
    /// The reason, as raw JSON.
    fn reason(&self) -> &str {
        let said = self.0.get();
        said.map_or(r#""nobody waits for the answer any more""#, |reason| reason)
    }
}

impl Request {
    /// `method` with the raw `id`, as `body` says.
    pub(crate) fn new(body: Bytes, id: &str, method: &str) -> Self {
        Self {
            body,
            id: id.into(),
            method: method.into(),
            given_up: GivenUp::default(),
        }
    }

    /// The request in `body`; none if it is something else.
    pub(crate) fn read(body: &Bytes, envelope: &Envelope<'_>) -> Option<Self> {
        if envelope.kind() != Kind::Request {
            return None;
        }
        let (id, method) = (envelope.id()?, envelope.method()?);
        Some(Self::new(body.clone(), id.as_raw(), method))
    }

    pub(crate) fn refused(&self, refusal: &Refusal) -> Bytes {
        refusal.to_bytes(Some(&self.id))
    }
}

/// Asks the service of `door`, and gives the response in the words of the client. What the
/// client hears before it goes to `out`.
///
/// # Cancellation
///
/// Dropping the future tells the upstream, in the way of its era.
pub(crate) async fn ask(door: &Door, client: &Client, request: &Request, out: &Outgoing) -> Bytes {
    let result = match (client, probe::speaks_modern(door).await) {
        (_, Err(refusal)) => Err(refusal),
        (Client::Legacy(client), Ok(true)) => {
            from_legacy::to_modern(door, client, request, out).await
        }
        (Client::Legacy(client), Ok(false)) => {
            from_legacy::to_legacy(door, client, request, out).await
        }
        (Client::Modern(_), Ok(true)) => from_modern::to_modern(door, request, out).await,
        (Client::Modern(client), Ok(false)) => {
            from_modern::to_legacy(door, client, request, out).await
        }
    };
    result.unwrap_or_else(|refusal| request.refused(&refusal))
}

/// The same for whoever wants the response alone.
///
/// Boxed: to send some calls the gateway asks for lists itself, so this future may hold one of
/// its own kind.
pub(super) fn alone(door: &Door, client: &Client, request: &Request) -> BoxFuture<'static, Bytes> {
    let (door, client, request) = (door.clone(), client.clone(), request.clone());
    let nowhere = Outgoing::nowhere();
    Box::pin(async move { ask(&door, &client, &request, &nowhere).await })
}

/// The same message without a member, if it has that.
pub(super) fn without(message: &Bytes, path: &[&str]) -> Bytes {
    if edit::get(message, path).is_none() {
        return message.clone();
    }
    let mut edit = Edit::new(message);
    edit.remove(path);
    edit.finish().unwrap_or_else(|_| message.clone())
}

/// What comes of `asked`, or nothing once the client has cancelled the request: who cancels
/// wants no response. A client of 2026-07-28 cancels by closing its stream.
pub(super) async fn unless_cancelled(
    client: &Client,
    request: &Request,
    asked: impl Future<Output = Bytes>,
) -> Option<Bytes> {
    let Client::Legacy(client) = client else {
        return Some(asked.await);
    };
    let cancelled = async {
        let reason = client.under_way(&request.id).await?;
        // Before what asks is dropped, which tells the upstream.
        if let Some(reason) = reason {
            let _ = request.given_up.0.set(reason);
        }
        Ok::<_, RecvError>(())
    };
    tokio::select! {
        response = asked => Some(response),
        Ok(()) = cancelled => None,
    }
}

/// What an answer that broke off is to its client.
pub(super) fn broken_off(door: &Door, error: Option<ExchangeError>) -> Refusal {
    use bartizan_protocol::error as code;

    let service = door.service.name();
    match error {
        Some(error @ ExchangeError::TooLarge { .. }) => {
            Refusal::answer(code::TOO_LARGE, format!("{service}: {error}"))
        }
        Some(error @ (ExchangeError::Silent { .. } | ExchangeError::Slow { .. })) => {
            Refusal::answer(code::TIMED_OUT, format!("{service}: {error}"))
        }
        Some(error @ ExchangeError::Interrupted(_)) => {
            Refusal::answer(code::UNREACHABLE, format!("{service}: {error}"))
        }
        None => Refusal::answer(
            code::BAD_ANSWER,
            format!("{service} ended its answer without a response"),
        ),
    }
}

/// A message that could not be told in the words of the other era.
pub(super) fn untranslatable(door: &Door, error: &dyn std::fmt::Display) -> Refusal {
    use bartizan_protocol::error as code;

    let service = door.service.name();
    tracing::warn!(service = &**service, %error, "a message cannot be bridged");
    Refusal::answer(
        code::BAD_ANSWER,
        format!("{service} sent an answer that cannot be read: {error}"),
    )
}
