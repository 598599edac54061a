//! Requests and answers over one two-way connection.
