//! What one era says, in the words of the other.
//!
//! The revisions up to 2025-11-25 shake hands, keep sessions, and let servers send requests.
//! 2026-07-28 does none of that: every request carries what the handshake told, and what a
//! server asks travels in results. Here are the rules by which the messages of one become
//! messages of the other. They are functions of bytes and small values: no connection, no time,
//! no task. Who keeps sessions, parks calls and holds streams open asks here what to say.
//!
//! Messages are edited in place: what no rule names stays byte for byte.
//!
//! | to be done | older client, 2026-07-28 server | 2026-07-28 client, older server |
//! |---|---|---|
//! | which methods cross | [`from_legacy`] | [`from_modern`] |
//! | the handshake | [`initialize_result`], [`ClientIntroduction`] | [`discover_result`], [`initialize_request`], [`INITIALIZED`] |
//! | capabilities of clients | [`client_to_modern`] | [`client_to_legacy`], [`CapabilitiesDigest`] |
//! | capabilities of servers | [`server_capabilities`] | [`server_capabilities`] |
//! | requests | [`request_to_modern`], [`request_headers`] | [`request_to_legacy`] |
//! | answers | [`drop_invalid_tools`], [`answer_to_legacy`] | [`answer_to_modern`] |
//! | questions of servers | [`InputRequired`], [`read_answer`] | [`Question`], [`input_required`], [`InputResponses`] |
//! | subscriptions | [`Listen::request`], [`unstamp`] | [`Listen::read`], [`Listen::stamp`] |
//! | notifications of servers | [`server_notification`] | the same, with [`LogLevel`] |
//!
//! [`LIMITS`] lists what does not cross whole.
//!
//! ```
//! use bartizan_transport::bridge::{self, ClientMeta, Verdict};
//!
//! // A client of 2025-11-25 calls a tool of a server that speaks only 2026-07-28.
//! let call = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"a":1.10}}}"#;
//! assert_eq!(bridge::from_legacy("tools/call"), Verdict::Forward);
//! let meta = ClientMeta { capabilities: "{}", info: None, log_level: None };
//! let sent = bridge::request_to_modern(call, &meta)?;
//! assert!(sent.starts_with(br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"a":1.10},"_meta":{"#));
//!
//! let answer = br#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[]}}"#;
//! assert_eq!(
//!     bridge::answer_to_legacy("tools/call", answer)?,
//!     r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#
//! );
//! # Ok::<_, bartizan_protocol::EditError>(())
//! ```
//!
//! # When not to use it
//!
//! Between equal eras messages pass as they are; nothing here is needed, and the functions would
//! take away what the receiver wants to see.

mod answer;
mod batch;
mod capability;
mod handshake;
mod input_required;
mod input_responses;
mod listen;
mod log_level;
mod matrix;
mod meta;
mod question;
mod request;
mod text;
mod tools;
mod verdict;

pub use answer::{
    ResultKind, empty_result, refusal, to_legacy as answer_to_legacy, to_modern as answer_to_modern,
};
pub use batch::{BatchTooLarge, join as join_batch};
pub use capability::{
    Abilities, CapabilitiesDigest, Undeclared, client_to_legacy, client_to_modern,
    server as server_capabilities,
};
pub use handshake::{
    ClientIntroduction, INITIALIZED, discover_result, initialize_request, initialize_result,
};
pub use input_required::{InputRequired, InvalidInputRequired, QuestionFailed, read_answer};
pub use input_responses::{InputResponses, input_required};
pub use listen::{InvalidListen, Listen, unstamp};
pub use log_level::{LogLevel, UnknownLogLevel};
pub use matrix::{Crossing, LIMITS, Limit, Loss};
pub use question::Question;
pub use request::{
    ClientMeta, headers as request_headers, to_legacy as request_to_legacy,
    to_modern as request_to_modern,
};
pub use tools::{InvalidTool, drop_invalid_tools};
pub use verdict::{Local, Route, Verdict, from_legacy, from_modern, server_notification};
