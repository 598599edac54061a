//! Holds the runnable examples; each is an `[[example]]` target of this package.
//!
//! The guides' Rust is tested from here as well: `cargo test -p bartizan-examples --doc` compiles
//! and runs every block of `docs/embedding.md`.

#![cfg_attr(doctest, doc = include_str!("../docs/embedding.md"))]
