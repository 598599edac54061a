/// What a token is for; a token for one purpose is noise to all others.
///
/// The numbers are part of every token: they must not change, and none may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Purpose {
    /// The id of a session of the revisions that have sessions (`Mcp-Session-Id`).
    Session = 1,
    /// The `requestState` of a result that asks the client for input.
    RequestState = 2,
    /// The cursor of a list that is made of several services' lists.
    Cursor = 3,
    /// The id of a task, with the service that runs it.
    Task = 4,
}
