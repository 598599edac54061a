//! Swagger UI and ReDoc, compressed into the program and served without a network.
//!
//! Both pages show the OpenAPI document that the same server has at `openapi.json`, next to
//! `docs` and `redoc`, and fetch nothing from elsewhere: neither scripts nor fonts nor pictures.
//! Their scripts come out of the packages that this crate is built with, are compressed once by
//! the compiler's side of it, and stay where the program was loaded from until somebody asks.
//!
//! ```
//! use http::HeaderMap;
//!
//! let page = bartizan_pages::swagger_ui();
//! let response = page.respond(&HeaderMap::new());
//! assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
//! ```
//!
//! # When not to use it
//!
//! For a server whose document is elsewhere, or that has other pages: the addresses are fixed.

mod content;
mod negotiate;
mod stored;

pub use content::Content;
pub use stored::{Stored, asset, redoc, swagger_ui};
