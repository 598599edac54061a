//! Messages of one line each, as on standard input and output.
