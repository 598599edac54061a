use super::host::Host;

/// The origin of a page: a scheme and a host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page<'a> {
    scheme: &'a str,
    pub(super) host: Host<'a>,
}

impl<'a> Page<'a> {
    /// Reads an origin; `None` if it is none, or has anything besides.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (scheme, host) = text.split_once("://")?;
        let mut bytes = scheme.bytes();
        let is_scheme = bytes.next()?.is_ascii_alphabetic()
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        let host = Host::read(host)?;
        is_scheme.then_some(Self { scheme, host })
    }

    pub(super) fn is(self, other: Page<'_>) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.host.is(other.host, self.usual_port())
    }

    /// The port that an absent one means, for pages of the web; `None` for all others.
    pub(super) fn usual_port(self) -> Option<u16> {
        if self.scheme.eq_ignore_ascii_case("http") {
            Some(80)
        } else if self.scheme.eq_ignore_ascii_case("https") {
            Some(443)
        } else {
            None
        }
    }

    pub(super) fn is_of_the_web(self) -> bool {
        self.usual_port().is_some()
    }
}
