use std::borrow::Cow;

use rmcp::model::ProtocolVersion;

/// Which revisions a fixture speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eras {
    /// All of them, 2024-11-05 to 2026-07-28.
    #[default]
    Both,
    /// Those with the `initialize` handshake: 2024-11-05 to 2025-11-25.
    Legacy,
    /// Those without: 2026-07-28.
    Modern,
}

impl Eras {
    pub(crate) fn versions(self) -> Cow<'static, [ProtocolVersion]> {
        let known = ProtocolVersion::KNOWN_VERSIONS;
        match self {
            Self::Both => Cow::Borrowed(known),
            Self::Legacy => known.iter().filter(|v| !modern(v)).cloned().collect(),
            Self::Modern => known.iter().filter(|v| modern(v)).cloned().collect(),
        }
    }
}

/// Whether a revision has no handshake. Revisions are dates, so their text sorts as they do.
pub(crate) fn modern(version: &ProtocolVersion) -> bool {
    version.as_str() >= ProtocolVersion::V_2026_07_28.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eras_share_no_revision_and_leave_none_out() {
        let legacy = Eras::Legacy.versions();
        let modern = Eras::Modern.versions();
        assert!(legacy.iter().all(|version| !modern.contains(version)));
        assert_eq!(legacy.len() + modern.len(), Eras::Both.versions().len());
        assert_eq!(*modern, [ProtocolVersion::V_2026_07_28]);
    }
}
