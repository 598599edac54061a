//! Requests and answers over one two-way connection.
//!
//! A stdio child and the HTTP+SSE transport of 2024-11-05 carry everything on one connection: the
//! answers to all requests, the notifications that belong to them, and what the server has to say
//! by itself. A [`Wire`] is such a connection, one JSON-RPC message at a time; a [`Link`] makes an
//! [`Exchange`] of each request, which yields what belongs to it and then the response.
//!
//! ```
//! use bartizan_transport::link::{Ids, Link, LinkLimits, Wire};
//! use bytes::Bytes;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
//! # .block_on(async {
//! let (wire, mut server) = Wire::pair(16);
//! let link = Link::new(wire, LinkLimits::default());
//!
//! let request = Bytes::from_static(br#"{"jsonrpc":"2.0","id":"a","method":"tools/list"}"#);
//! let mut exchange = link.request(request, Ids::Remap).await?;
//! assert_eq!(
//!     server.outgoing.recv().await.unwrap(),
//!     r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#
//! );
//!
//! let answer = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#);
//! server.incoming.send(Ok(answer)).await.unwrap();
//! assert_eq!(
//!     exchange.next().await.unwrap()?,
//!     r#"{"jsonrpc":"2.0","id":"a","result":{"tools":[]}}"#
//! );
//! assert!(exchange.next().await.is_none());
//! # Ok::<(), bartizan_transport::link::LinkError>(())
//! # }).unwrap();
//! ```
//!
//! # Whose message is it
//!
//! | what arrives | goes to |
//! |---|---|
//! | a response | the request with its id; one without an id that says that a request could not be read, or an answer was too large, the only request under way |
//! | `notifications/progress` | the request with its token |
//! | a notification with a subscription id | the request with that id |
//! | `notifications/cancelled` | whoever got the server's request that it takes back; the subscription with that id, which ends |
//! | a request of the server | of the `tools/call`, `prompts/get` and `resources/read` under way one that waits for no answer, of those one that is not [quiet](Link::quiet_request), of those the one that was sent or answered last; or else the youngest request, but no `ping` and none of other methods that is quiet; without one, [`Unsolicited`] |
//! | `notifications/message` | the youngest request under way, but none of those; without one, [`Unsolicited`] |
//! | any other notification | [`Unsolicited`] |
//!
//! What belongs to a request that is over is swallowed; lest a late answer to one that was
//! cancelled be taken for another's, its id is not used again before that has come. Text that is no
//! message is skipped, as servers print to their standard output by mistake; if its id can be read,
//! the request with it is answered with an error, [`BAD_ANSWER`], rather than wait for ever. A batch, which servers of 2025-03-26 may
//! send, is taken apart.
//!
//! [`BAD_ANSWER`]: bartizan_protocol::error::BAD_ANSWER
//!
//! # When not to use it
//!
//! Streamable HTTP has a response of its own for each request: there is nothing to sort.

mod canceller;
mod error;
mod exchange;
mod ids;
mod late;
mod limits;
#[expect(
    clippy::module_inception,
    reason = "the type gives the module its name"
)]
mod link;
mod mailbox;
mod route;
mod shared;
mod table;
mod too_large;
mod unsolicited;
mod wire;

pub use canceller::Canceller;
pub use error::LinkError;
pub use exchange::Exchange;
pub use ids::Ids;
pub use limits::LinkLimits;
pub use link::Link;
pub(crate) use too_large::too_large;
pub use unsolicited::Unsolicited;
pub use wire::{Wire, WireEnd, WireError};
