//! Names of tools, and one name space for the tools of several services.

mod invalid;
mod namespace;

pub use invalid::InvalidName;
pub use namespace::Namespace;

/// The longest name that the protocol allows, in characters.
pub const MAX_LEN: usize = 128;

/// Whether `name` is one that the protocol allows: 1 to 128 of `A-Z a-z 0-9 _ . -`.
///
/// ```
/// assert!(bartizan_protocol::name::is_valid("repo.read_file"));
/// assert!(!bartizan_protocol::name::is_valid("read file"));
/// ```
#[must_use]
pub fn is_valid(name: &str) -> bool {
    check(name).is_ok()
}

fn check(name: &str) -> Result<(), InvalidName> {
    if name.is_empty() {
        return Err(InvalidName::Empty);
    }
    if !allowed(name) {
        return Err(InvalidName::Characters);
    }
    if name.len() > MAX_LEN {
        return Err(InvalidName::TooLong { max: MAX_LEN });
    }
    Ok(())
}

/// Whether every character is allowed in names.
fn allowed(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}
