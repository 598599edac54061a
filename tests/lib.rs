//! Holds the whole-gateway tests; each is a `[[test]]` target of this package.
