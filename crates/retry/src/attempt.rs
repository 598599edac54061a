use bartizan_clock::Instant;

/// Which attempt an HTTP message belongs to, counted from one.
///
/// [`HttpPolicy`](crate::HttpPolicy) puts it into the extensions of every repeated request, and
/// into those of a response that took more than one attempt. Where it is absent, the first
/// attempt was the only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(pub u32);

/// When the caller stops waiting, as an extension of an HTTP request.
///
/// [`HttpPolicy`](crate::HttpPolicy) reads it; whoever knows the caller's patience sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(pub Instant);
