//! Holds the criterion benches; each is a `[[bench]]` target of this package.
