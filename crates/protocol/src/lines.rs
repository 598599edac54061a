//! One message a line: the framing of the stdio transport.
//!
//! ```
//! use bartizan_protocol::lines::{self, Decoder};
//! use bytes::Bytes;
//!
//! let mut messages = Decoder::new(1024);
//! messages.push(Bytes::from_static(b"{\"id\":1}\r\n\n{\"id\""));
//! assert_eq!(messages.next().unwrap()?, r#"{"id":1}"#);
//! assert!(messages.next().is_none(), "the second line is not complete yet");
//!
//! messages.push(Bytes::from_static(b":2}\n"));
//! assert_eq!(messages.next().unwrap()?, r#"{"id":2}"#);
//!
//! assert_eq!(lines::encode(Bytes::from_static(b"{\n\"id\":3}")), "{ \"id\":3}\n");
//! # Ok::<(), lines::TooLong>(())
//! ```

mod decoder;
mod encode;
mod error;

pub use decoder::Decoder;
pub use encode::encode;
pub use error::TooLong;
