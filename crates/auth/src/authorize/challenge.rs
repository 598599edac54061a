use http::{HeaderMap, StatusCode, header::WWW_AUTHENTICATE};

/// What a service said when it refused a request: the `Bearer` challenge of
/// [RFC 6750, section 3](https://www.rfc-editor.org/rfc/rfc6750#section-3), with the
/// `resource_metadata` of [RFC 9728](https://www.rfc-editor.org/rfc/rfc9728#section-5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// Where the service describes itself, as it wrote it.
    pub(crate) resource_metadata: Option<String>,
    /// The scopes that it asks for.
    pub(crate) scopes: Vec<String>,
    /// Whether the token was good, and only did not reach far enough.
    pub(crate) insufficient_scope: bool,
}

/// So many scopes are read from a list that somebody else wrote.
const MAX_SCOPES: usize = 64;

impl Challenge {
    /// Reads a response; `None` if it has nothing to do with tokens.
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let bearer = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find_map(bearer);
        match (status, bearer) {
            (StatusCode::UNAUTHORIZED, Some(challenge)) => Some(Self {
                insufficient_scope: false,
                ..challenge
            }),
            (StatusCode::UNAUTHORIZED, None) => Some(Self::default()),
            (StatusCode::FORBIDDEN, Some(challenge)) => {
                Some(challenge).filter(|challenge| challenge.insufficient_scope)
            }
            _ => None,
        }
    }
}

/// The scopes in a list separated by blanks, each once; none that no request could carry.
pub(crate) fn scopes(list: &str) -> Vec<String> {
    let mut scopes = Vec::new();
    for scope in list.split(' ').filter(|scope| is_scope(scope)) {
        if scopes.len() < MAX_SCOPES && !scopes.iter().any(|it| it == scope) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

/// The syntax of a scope in [RFC 6749, section 3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3).
pub(crate) fn is_scope(scope: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    !scope.is_empty() && scope.len() <= 256 && scope.bytes().all(allowed)
}

/// The first `Bearer` challenge in a header, which may hold several of several schemes.
fn bearer(header: &str) -> Option<Challenge> {
    let mut challenge: Option<Challenge> = None;
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        if end == 0 {
            return challenge;
        }
        let (word, after) = rest.split_at(end);
        let spaced = after.trim_start_matches([' ', '\t']);
        if let Some(after) = spaced.strip_prefix('=').filter(|after| !is_padding(after)) {
            let (value, after) = value(after.trim_start_matches([' ', '\t']))?;
            if let Some(challenge) = &mut challenge {
                challenge.set(word, value);
            }
            rest = after;
        } else if challenge.is_some() {
            // The next scheme begins.
            return challenge;
        } else if word.eq_ignore_ascii_case("bearer") {
            challenge = Some(Challenge::default());
            rest = spaced;
        } else {
            // Another scheme: what follows may be its parameters or one piece of base64.
            let blob = spaced.find([' ', '\t', ',']).unwrap_or(spaced.len());
            let is_blob = spaced[..blob].trim_end_matches('=').bytes().all(is_base64);
            rest = if is_blob { &spaced[blob..] } else { spaced };
        }
    }
}

impl Challenge {
    fn set(&mut self, name: &str, value: String) {
        if name.eq_ignore_ascii_case("resource_metadata") {
            self.resource_metadata.get_or_insert(value);
        } else if name.eq_ignore_ascii_case("scope") && self.scopes.is_empty() {
            self.scopes = scopes(&value);
        } else if name.eq_ignore_ascii_case("error") {
            self.insufficient_scope = value == "insufficient_scope";
        }
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte)
}

/// Whether this follows the equals sign of padding, not of a parameter.
fn is_padding(after: &str) -> bool {
    after.trim_start_matches('=').is_empty() || after.starts_with([',', '='])
}

/// A token or quoted string, and what follows it; `None` if the quotes do not end.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(status: u16, values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        Challenge::read(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn a_challenge_says_where_and_for_what() {
        let all = read(
            401,
            &[r#"Bearer error="invalid_token", scope="a  b a", resource_metadata="https://r/x?y""#],
        );
        let expected = Challenge {
            resource_metadata: Some("https://r/x?y".into()),
            scopes: vec!["a".into(), "b".into()],
            insufficient_scope: false,
        };
        assert_eq!(all, Some(expected));
        assert_eq!(read(401, &[]), Some(Challenge::default()));
        assert_eq!(
            read(401, &["Basic realm=\"x\""]),
            Some(Challenge::default())
        );
        assert_eq!(read(200, &["Bearer"]), None);
    }

    #[test]
    fn only_a_403_for_want_of_scope_concerns_us() {
        let step = read(403, &["Bearer scope=\"w\", error=\"insufficient_scope\""]).unwrap();
        assert!(step.insufficient_scope && step.scopes == ["w"]);
        assert_eq!(read(403, &["Bearer error=\"access_denied\""]), None);
        assert_eq!(read(403, &[]), None);
        let unauthorized = read(401, &["bearer error=insufficient_scope"]).unwrap();
        assert!(!unauthorized.insufficient_scope);
    }

    #[test]
    fn other_schemes_stand_beside_it() {
        let after_blob = read(401, &["Negotiate dG9rZW4=, Bearer scope=a"]).unwrap();
        assert_eq!(after_blob.scopes, ["a"]);
        let after_parameters = read(
            401,
            &[r#"Digest realm="Bearer scope=\"x\"", qop=auth, BEARER scope="a b",DPoP scope="c""#],
        )
        .unwrap();
        assert_eq!(after_parameters.scopes, ["a", "b"]);
        let second = read(401, &["Basic", "Bearer scope = \"a\""]).unwrap();
        assert_eq!(second.scopes, ["a"]);
    }

    #[test]
    fn lists_of_scopes_end() {
        let many = (0..1000).map(|n| format!("s{n} ")).collect::<String>();
        assert_eq!(scopes(&many).len(), MAX_SCOPES);
        assert_eq!(scopes("a\"b c\u{7f} d"), ["d"]);
        assert!(scopes(&"x".repeat(257)).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[ -~]{0,80}") {
            let _ = read(401, &[&text]);
        }

        #[test]
        fn what_is_quoted_is_read(text in "[a-z\\\\\" ,=]{1,30}") {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            let challenge = read(401, &[&format!("Bearer resource_metadata=\"{quoted}\", scope=z")]).unwrap();
            prop_assert_eq!(challenge.resource_metadata, Some(text));
            prop_assert_eq!(challenge.scopes, ["z"]);
        }
    }
}
