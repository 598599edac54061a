//! The revisions of the protocol and the two eras they fall into.

use std::fmt;

/// Whether a revision has sessions and a handshake, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// Revisions up to 2025-11-25: `initialize`, sessions, requests in both directions.
    Legacy,
    /// Revisions from 2026-07-28: every request stands alone and says all in its `_meta`.
    Modern,
}

/// A published revision of the protocol; later ones are greater.
///
/// ```
/// use bartizan_protocol::version::{Era, Version};
///
/// let version = Version::parse("2025-06-18").unwrap();
/// assert!(version < Version::LATEST);
/// assert_eq!(version.era(), Era::Legacy);
/// assert_eq!(Version::negotiate_legacy("1999-01-01"), Version::LATEST_LEGACY);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// The first: HTTP+SSE and stdio.
    V2024_11_05,
    /// Streamable HTTP, and the only one with batches.
    V2025_03_26,
    /// Structured results, elicitation, the version header.
    V2025_06_18,
    /// Experimental tasks, icons, elicitation by URL.
    V2025_11_25,
    /// No sessions, no handshake; headers mirror the body.
    V2026_07_28,
}

impl Version {
    /// Every revision, oldest first.
    pub const ALL: [Self; 5] = [
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];

    /// The newest revision.
    pub const LATEST: Self = Self::V2026_07_28;

    /// The newest revision that is negotiated by `initialize`.
    pub const LATEST_LEGACY: Self = Self::V2025_11_25;

    /// The revision of that name, if it is a known one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == name)
    }

    /// The name of the revision, as it stands in messages and headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The era the revision belongs to.
    #[must_use]
    pub const fn era(self) -> Era {
        match self {
            Self::V2024_11_05 | Self::V2025_03_26 | Self::V2025_06_18 | Self::V2025_11_25 => {
                Era::Legacy
            }
            Self::V2026_07_28 => Era::Modern,
        }
    }

    /// Whether a body may hold an array of messages. Only one revision ever allowed it.
    #[must_use]
    pub const fn allows_batches(self) -> bool {
        matches!(self, Self::V2025_03_26)
    }

    /// What a server answers to an `initialize` that asks for `requested`: the same revision if
    /// it is a known legacy one, otherwise the newest legacy one.
    #[must_use]
    pub fn negotiate_legacy(requested: &str) -> Self {
        Self::parse(requested)
            .filter(|version| version.era() == Era::Legacy)
            .unwrap_or(Self::LATEST_LEGACY)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for version in Version::ALL {
            assert_eq!(Version::parse(version.as_str()), Some(version));
            assert_eq!(version.to_string(), version.as_str());
        }
        for unknown in ["", "2025-03-27", "DRAFT-2026-v1", " 2025-03-26"] {
            assert_eq!(Version::parse(unknown), None);
        }
    }

    #[test]
    fn later_revisions_are_greater() {
        assert!(Version::ALL.is_sorted());
        assert!(
            Version::ALL
                .iter()
                .all(|version| *version <= Version::LATEST)
        );
        assert!(Version::LATEST_LEGACY < Version::LATEST);
    }

    #[test]
    fn only_the_newest_revision_is_modern() {
        for version in Version::ALL {
            let modern = version >= Version::V2026_07_28;
            assert_eq!(version.era() == Era::Modern, modern, "{version}");
        }
    }

    #[test]
    fn batches_came_and_went() {
        let allowing: Vec<_> = Version::ALL
            .into_iter()
            .filter(|v| v.allows_batches())
            .collect();
        assert_eq!(allowing, [Version::V2025_03_26]);
    }

    #[test]
    fn negotiation_answers_the_same_or_the_latest_legacy_revision() {
        assert_eq!(
            Version::negotiate_legacy("2024-11-05"),
            Version::V2024_11_05
        );
        for other in ["2026-07-28", "2030-01-01", ""] {
            assert_eq!(Version::negotiate_legacy(other), Version::V2025_11_25);
        }
    }
}
