//! Holds the runnable examples; each is an `[[example]]` target of this package.
