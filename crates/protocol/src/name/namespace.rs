use super::{InvalidName, MAX_LEN, allowed, check};

/// Puts the names of many services into one space: `service` and `name` become `service__name`.
///
/// Joining is reversible, because a service whose name would make it ambiguous is refused: the
/// first separator always ends the service's part, and no service can take on the names of
/// another.
///
/// Where the joined name is longer than the limit, its end gives way to `_` and eight characters
/// computed from the whole name: the same in every process and every release. Such a name still
/// tells its service, but [`Namespace::split`] gives the shortened name; who joined it must
/// remember the long one. Two names that are shortened to the same one are a collision like any
/// other, to be found by comparing joined names; both belong to the same service.
///
/// The eight characters are the 64-bit FNV-1a hash of the joined name, folded to 40 bits by
/// exclusive or, in lower-case base32 of RFC 4648, most significant first.
///
/// ```
/// use bartizan_protocol::name::Namespace;
///
/// let names = Namespace::default();
/// assert_eq!(names.join("git", "log")?, "git__log");
/// assert_eq!(names.split("git__log"), Some(("git", "log")));
/// assert!(names.join("my__git", "log").is_err());
/// # Ok::<(), bartizan_protocol::name::InvalidName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    separator: Box<str>,
    max_len: usize,
}

/// Of a shortened name: the underscore and the hash.
const SUFFIX_LEN: usize = 9;

impl Namespace {
    /// `__`: unlike `.`, the names it makes are accepted by the APIs of all models.
    pub const DEFAULT_SEPARATOR: &str = "__";

    /// 64 characters, the limit of the APIs of models; some clients put a prefix of their own in
    /// front and want less.
    pub const DEFAULT_MAX_LEN: usize = 64;

    /// The smallest length limit.
    pub const MIN_MAX_LEN: usize = 24;

    /// A name space with a separator and a limit of characters.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] if the separator is empty or not of the characters of names, or the limit is
    /// not from 24 to 128.
    pub fn new(separator: &str, max_len: usize) -> Result<Self, InvalidName> {
        if separator.is_empty() || !allowed(separator) {
            return Err(InvalidName::Separator);
        }
        if !(Self::MIN_MAX_LEN..=MAX_LEN).contains(&max_len) {
            return Err(InvalidName::Limit {
                min: Self::MIN_MAX_LEN,
            });
        }
        Ok(Self {
            separator: separator.into(),
            max_len,
        })
    }

    /// What stands between the service's name and the tool's.
    #[must_use]
    pub fn separator(&self) -> &str {
        &self.separator
    }

    /// The most characters of a joined name.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// Checks a service's name, as [`Namespace::join`] does.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] if it is not a name, would make joined names ambiguous, or leaves too little
    /// room for the names of tools.
    pub fn check_service(&self, service: &str) -> Result<(), InvalidName> {
        check(service)?;
        let prefix = format!("{service}{}", self.separator);
        // `a_` before `__` makes `a___`, which splits after `a`.
        if prefix.find(&*self.separator) != Some(service.len()) {
            return Err(InvalidName::Ambiguous {
                separator: self.separator.clone(),
            });
        }
        let max = self.max_len - SUFFIX_LEN;
        if prefix.len() > max {
            return Err(InvalidName::TooLong {
                max: max.saturating_sub(self.separator.len()),
            });
        }
        Ok(())
    }

    /// The name under which `name` of `service` is known.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] if either is not a name, or as [`Namespace::check_service`].
    pub fn join(&self, service: &str, name: &str) -> Result<String, InvalidName> {
        self.check_service(service)?;
        check(name)?;
        let mut joined = format!("{service}{}{name}", self.separator);
        if joined.len() > self.max_len {
            let hash = hash(joined.as_bytes());
            joined.truncate(self.max_len - SUFFIX_LEN);
            joined.push('_');
            for shift in (0..8).rev() {
                let digit = (hash >> (shift * 5) & 31) as usize;
                joined.push(char::from(b"abcdefghijklmnopqrstuvwxyz234567"[digit]));
            }
        }
        Ok(joined)
    }

    /// The service and the name that were joined; `None` if there is no separator, or nothing
    /// before or after it.
    #[must_use]
    pub fn split<'a>(&self, joined: &'a str) -> Option<(&'a str, &'a str)> {
        joined
            .split_once(&*self.separator)
            .filter(|(service, name)| !service.is_empty() && !name.is_empty())
    }
}

impl Default for Namespace {
    /// [`Namespace::DEFAULT_SEPARATOR`] and [`Namespace::DEFAULT_MAX_LEN`].
    fn default() -> Self {
        Self {
            separator: Self::DEFAULT_SEPARATOR.into(),
            max_len: Self::DEFAULT_MAX_LEN,
        }
    }
}

/// FNV-1a of 64 bits, folded to 40.
///
/// Whoever chooses the names can make two of them collide. That gains nothing: the service's name
/// stays in front, so they can only spoil names of their own service.
fn hash(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 40) ^ (hash & ((1 << 40) - 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn d23_ambiguous_separators_are_refused() {
        let names = Namespace::default();
        for service in ["a__b", "a_", "__", "a__", "__a"] {
            assert!(
                matches!(names.join(service, "x"), Err(InvalidName::Ambiguous { .. })),
                "{service}"
            );
        }
        // With these, `a_` + `__` + `b` would be taken for `_b` of the service `a`.
        assert_eq!(names.join("a", "_b").unwrap(), "a___b");
        assert_eq!(names.split("a___b"), Some(("a", "_b")));
        assert_eq!(names.split("a__b__c"), Some(("a", "b__c")));
        let dotted = Namespace::new(".", 64).unwrap();
        assert_eq!(dotted.join("a_", "b.c").unwrap(), "a_.b.c");
        assert_eq!(dotted.split("a_.b.c"), Some(("a_", "b.c")));
        assert!(dotted.join("a.b", "c").is_err());
        for joined in ["", "a", "__a", "a__", "a_b"] {
            assert_eq!(names.split(joined), None, "{joined}");
        }
    }

    #[test]
    fn d23_long_names_are_shortened_the_same_way_forever() {
        let names = Namespace::default();
        let long = "a".repeat(100);
        let joined = names.join("service", &long).unwrap();
        assert_eq!(joined.len(), 64);
        assert_eq!(
            joined,
            "service__aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_ylyl4hxz"
        );
        let exact = "a".repeat(64 - "service__".len());
        assert_eq!(
            names.join("service", &exact).unwrap(),
            format!("service__{exact}")
        );
        let other = names.join("service", &format!("{long}b")).unwrap();
        assert_ne!(joined, other);
        assert_eq!(names.split(&joined).unwrap().0, "service");
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // Test vectors of the algorithm's authors, folded.
        for (text, fnv) in [
            ("", 0xcbf2_9ce4_8422_2325_u64),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            assert_eq!(hash(text.as_bytes()), (fnv >> 40) ^ (fnv & 0xff_ffff_ffff));
        }
    }

    #[test]
    fn limits() {
        assert!(Namespace::new("", 64).is_err());
        assert!(Namespace::new("/", 64).is_err());
        assert!(Namespace::new("__", 23).is_err());
        assert!(Namespace::new("__", 129).is_err());
        let names = Namespace::new("__", 24).unwrap();
        assert!(names.join("thirteen_char", "x").is_ok());
        assert!(names.join("fourteen_chars", "x").is_err());
        assert_eq!(names.join("s", ""), Err(InvalidName::Empty));
        assert_eq!(names.join("s", "a b"), Err(InvalidName::Characters));
        assert!(names.join("s", &"x".repeat(128)).is_ok());
        assert!(names.join("s", &"x".repeat(129)).is_err());
    }

    proptest! {
        #[test]
        fn joined_names_are_valid_short_and_split_back(
            service in "[a-z_.-]{1,12}",
            name in "[A-Za-z0-9_.-]{1,128}",
            separator in "[_.a-]{1,3}",
        ) {
            let names = Namespace::new(&separator, 64).unwrap();
            if let Ok(joined) = names.join(&service, &name) {
                prop_assert!(crate::name::is_valid(&joined));
                prop_assert!(joined.len() <= 64);
                let (of_service, of_name) = names.split(&joined).unwrap();
                prop_assert_eq!(of_service, &service);
                if service.len() + separator.len() + name.len() <= 64 {
                    prop_assert_eq!(of_name, name);
                }
            }
        }
    }
}
