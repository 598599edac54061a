//! The client side of HTTP with server-sent events (2024-11-05).
