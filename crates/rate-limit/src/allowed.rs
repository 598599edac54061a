/// A token, taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The size of the bucket: how many calls an idle limiter lets through at once.
    pub limit: u32,
    /// How many tokens this call left in the bucket.
    pub remaining: u32,
}
