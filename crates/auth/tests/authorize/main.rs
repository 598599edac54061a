//! Finding out how to authorize.
