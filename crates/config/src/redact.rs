//! What people wrote, as people may see it: without what looks like a credential.
//!
//! It is told by its name, and by its place in a URL. Better to hide too much.

/// What stands in place of what is hidden.
pub const HIDDEN: &str = "[redacted]";

/// What the names of secrets have in them, besides [`AUTH`].
const SECRETS: [&str; 17] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "api_key",
    "apikey",
    "access_key",
    "accesskey",
    "private_key",
    "privatekey",
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "session_id",
];

/// Has one in them, too, unless it is the beginning of [`AUTHOR`].
const AUTH: &str = "auth";

/// The beginning of `authority` as well. Who wrote something is no secret.
const AUTHOR: &str = "author";

/// Whether what is called so is a secret: a variable, a header, an option, a member.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = folded(name);
    end_of_secret(&name).is_some() || name.ends_with("_key")
}

/// The words of a command without what follows the name of a secret: up to the end of the word
/// that it stands in (`--token=x`, `Authorization: x`), or, when it is an option's, up to the next
/// option; and without what [`text`] hides.
#[must_use]
pub fn words<'a, I: IntoIterator<Item = &'a str>>(words: I) -> Vec<String> {
    let mut hide = false;
    let shown = words.into_iter().map(|word| {
        let is_option = word.starts_with('-');
        if hide && !is_option {
            return HIDDEN.to_owned();
        }
        let value = value_of_secret(word);
        hide = match value {
            Some(at) => at == word.len(),
            None => is_option && is_secret(word),
        };
        match value {
            Some(at) if at < word.len() => format!("{}{HIDDEN}", &word[..at]),
            _ => text(word),
        }
    });
    shown.collect()
}

/// The words as one line for people, quoted as a shell would need it, without what [`words`] hides.
pub(crate) fn line(all: &[String]) -> String {
    // A line for people need not survive a shell: brackets of what is hidden stay bare.
    let quoted = |word: String| match word.contains(HIDDEN) {
        true => word,
        false => shell_words::quote(&word).into_owned(),
    };
    let words = words(all.iter().map(String::as_str))
        .into_iter()
        .map(quoted);
    words.collect::<Vec<_>>().join(" ")
}

/// What [`words`] hides.
pub fn secrets(all: &[String]) -> impl Iterator<Item = &str> {
    let shown = words(all.iter().map(String::as_str));
    let hidden = all.iter().zip(shown).filter(|(word, shown)| *word != shown);
    hidden.map(|(word, shown)| {
        let kept = shown.strip_suffix(HIDDEN);
        let value = kept.and_then(|kept| word.strip_prefix(kept));
        value.unwrap_or(word)
    })
}

/// A text without the user names and passwords of URLs in it, and without what their queries give
/// to the names of secrets.
#[must_use]
pub fn text(text: &str) -> String {
    without_keys(&without_password(text))
}

/// Names of variables, headers and options alike.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

/// Where the first word in a folded text ends that names of secrets have in them.
fn end_of_secret(text: &str) -> Option<usize> {
    let end_of = |word: &&str| Some(text.find(*word)? + word.len());
    let auth = text.match_indices(AUTH).map(|(start, _)| start);
    let mut auth = auth.filter(|start| !text[*start..].starts_with(AUTHOR));
    let auth = auth.next().map(|start| start + AUTH.len());
    SECRETS.iter().filter_map(end_of).chain(auth).min()
}

/// Where the value begins in a word such as `--token=x`, `KEY=x` or `Authorization: x`.
fn value_of_secret(word: &str) -> Option<usize> {
    let folded = folded(word);
    let separator = |c: char| matches!(c, '=' | ':') || c.is_ascii_whitespace();
    let begins = |at: usize| {
        let blanks = word[at..].len() - word[at..].trim_start().len();
        at + blanks
    };
    let named =
        end_of_secret(&folded).and_then(|end| Some(end + folded[end..].find(separator)? + 1));
    let key = folded
        .match_indices(separator)
        .map(|(end, _)| end)
        .find(|end| folded[..*end].ends_with("_key"))
        .map(|end| end + 1);
    named.into_iter().chain(key).min().map(begins)
}

/// `text` without what the query of a URL in it gives to a name that says so.
fn without_keys(text: &str) -> String {
    let Some((before, queries)) = text.split_once(['?', '#']) else {
        return text.to_owned();
    };
    let is_end = |c: char| c.is_whitespace() || matches!(c, '?' | '#' | '&' | ';');
    let mut shown = text[..=before.len()].to_owned();
    for pair in queries.split_inclusive(is_end) {
        let (pair, end) = match pair.char_indices().next_back() {
            Some((at, last)) if is_end(last) => pair.split_at(at),
            _ => (pair, ""),
        };
        match pair.split_once('=') {
            Some((name, value)) if is_key(name) && !value.is_empty() => {
                shown.push_str(name);
                shown.push('=');
                shown.push_str(HIDDEN);
            }
            _ => shown.push_str(pair),
        }
        shown.push_str(end);
    }
    shown
}

/// Whether a parameter of this name holds a credential. In URLs, a key is one.
fn is_key(name: &str) -> bool {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    is_secret(name) || ["key", "sig", "signature"].into_iter().any(is)
}

/// `text` without the user and password of each URL in it.
fn without_password(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, authority) = rest.split_at(start + 3);
        shown.push_str(before);
        // Passwords hold what they like.
        let end = authority
            .find(char::is_whitespace)
            .unwrap_or(authority.len());
        rest = match authority[..end].rfind('@') {
            Some(at) => {
                shown.push_str(HIDDEN);
                &authority[at..]
            }
            None => authority,
        };
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[&str]) -> String {
        super::words(words.iter().copied()).join(" ")
    }

    #[test]
    fn what_looks_like_a_credential_is_hidden() {
        for (words, expected) in [
            (&["-y", "server-memory"][..], "-y server-memory"),
            (&["--api-key=hunter2", "x"], "--api-key=[redacted] x"),
            (&["--api-key", "hunter2", "-x"], "--api-key [redacted] -x"),
            (&["--token", "--verbose"], "--token --verbose"),
            (&["--token hunter2"], "--token [redacted]"),
            (&["--passphrase", "hunter2"], "--passphrase [redacted]"),
            (&["--auth", "hunter2"], "--auth [redacted]"),
            (&["--pwd=hunter2"], "--pwd=[redacted]"),
            (&["--env=API_KEY=hunter2"], "--env=API_KEY=[redacted]"),
            (&["-e", "SIGNING_KEY=hunter2"], "-e SIGNING_KEY=[redacted]"),
            (
                &["--env=SIGNING_KEY=hunter_token=2"],
                "--env=SIGNING_KEY=[redacted]",
            ),
            (
                &["--header=X-Signing-Key: hunter2"],
                "--header=X-Signing-Key: [redacted]",
            ),
            (&["-e", "GITHUB_TOKEN"], "-e GITHUB_TOKEN"),
            (&["Cookie: sid=hunter2"], "Cookie: [redacted]"),
            (
                &["--header=Authorization: Bearer hunter2"],
                "--header=Authorization: [redacted]",
            ),
            (&["X-API-Key:hunter2"], "X-API-Key:[redacted]"),
            (
                &["--author", "me", "--sort-by=key"],
                "--author me --sort-by=key",
            ),
            (
                &["postgresql://u:hun/ter2@db/x", "http://a/b"],
                "postgresql://[redacted]@db/x http://a/b",
            ),
            (
                &["http://u:hunter2@a,http://v:hunter2@b"],
                "http://[redacted]@b",
            ),
            (
                &["https://a/mcp?v=1&sig=hunter2&x=y#key=hunter2"],
                "https://a/mcp?v=1&sig=[redacted]&x=y#key=[redacted]",
            ),
            (
                &["--url=http://u:hunter2@a?key=hunter2 and http://b?key=hunter2"],
                "--url=http://[redacted]@a?key=[redacted] and http://b?key=[redacted]",
            ),
            (
                &["what?", "http://a?monkey=1&key="],
                "what? http://a?monkey=1&key=",
            ),
        ] {
            assert_eq!(line(words), expected);
        }
    }

    #[test]
    fn a_line_is_quoted() {
        let words = ["a b", "", "--token=x y"].map(str::to_owned);
        assert_eq!(super::line(&words), "'a b' '' --token=[redacted]");
    }

    #[test]
    fn what_is_hidden_is_known() {
        let words = [
            "-y",
            "--token=hunter1",
            "--pwd",
            "hunter2",
            "-h",
            "a: b",
            "Cookie: hunter3",
        ];
        let words = words.map(str::to_owned);
        let secrets: Vec<_> = secrets(&words).collect();
        assert_eq!(secrets, ["hunter1", "hunter2", "hunter3"]);
        let url = ["http://u:hunter@a/b?x=1".to_owned()];
        assert_eq!(super::secrets(&url).collect::<Vec<_>>(), [&*url[0]]);
    }

    #[test]
    fn secrets_go_by_many_names() {
        for name in [
            "private_key",
            "privateKey",
            "AWS_ACCESS_KEY_ID",
            "ssh-private-key",
            "passphrase",
            "db_pwd",
            "Set-Cookie",
            "auth",
            "x-auth",
            "proxyAuth",
            "bearer",
            "client_secret",
            "credentials",
            "author_auth",
            "SIGNING_KEY",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["author", "authority", "key", "monkey", "keys"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
