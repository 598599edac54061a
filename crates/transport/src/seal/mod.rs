//! Sealed tokens: what a client carries for the gateway, unreadable and unchangeable on its way.
//!
//! A session of the older revisions, or the `requestState` of a question that a tool asks back,
//! must survive a restart and reach any replica. So the state travels with the client, encrypted
//! and authenticated with AES-256-GCM under a key that all replicas share. A token is good for
//! one [`Purpose`], for one principal, until it expires, and nothing else: a session id is not a
//! credential, and presenting somebody else's is as good as presenting noise.
//!
//! ```
//! use bartizan_transport::seal::{InvalidToken, Keys, Purpose};
//!
//! let keys = Keys::from_secrets(&[b"correct horse battery staple, 2026-11"])?;
//! let token = keys.seal(Purpose::Session, b"alice", 2_000_000_000, b"state");
//!
//! let opened = keys.open(Purpose::Session, b"alice", 1_999_999_999, &token)?;
//! assert_eq!(opened.payload(), b"state");
//!
//! let by_another = keys.open(Purpose::Session, b"mallory", 1_999_999_999, &token);
//! assert_eq!(by_another.unwrap_err(), InvalidToken::Forged);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How long a key lasts
//!
//! Every token has a random nonce of 96 bits. With one key, 2³² tokens keep the chance that two
//! share a nonce below one in 2³² (NIST SP 800-38D, section 8.3): that is a thousand tokens a second
//! for 49 days, over all replicas. Replace keys before that, by putting the new secret in front
//! of the list: it seals from then on, and the old one still opens what it sealed. Replicas
//! that take turns should first all learn to open with the new one, as the second of the list.
//!
//! # When not to use it
//!
//! A token cannot be taken back before it expires: what must be revocable needs a table. Nor is it
//! for large state, as it travels with every request.

mod aad;
mod error;
mod keys;
mod opened;
mod purpose;
mod session_token;
mod text;

pub use error::{InvalidKeys, InvalidToken};
pub use keys::Keys;
pub(crate) use keys::fill_random;
pub use opened::Opened;
pub use purpose::Purpose;
pub use session_token::{FieldTooLong, InvalidSessionToken, SessionToken};
