//! Sources that ask an API, against servers that speak as the real ones do.
#![cfg(all(feature = "docker", feature = "kubernetes", unix))]

mod checks;
mod docker;
mod kubernetes;
