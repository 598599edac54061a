//! How the arguments of a command are shown.

use crate::mcp::is_credential;

const HIDDEN: &str = "[redacted]";

/// The arguments as one line for people: quoted as a shell would need it, and without what looks
/// like a credential.
///
/// Recognised are the value of an option whose name says so (`--api-key=x`, `--token x`,
/// `TOKEN=x`), what follows the name of a header (`Authorization: x`), the password of a URL, and
/// what is called so in its query (`?api_key=x`).
pub(crate) fn shown(arguments: &[String]) -> String {
    let mut words = Vec::with_capacity(arguments.len());
    let mut follows_credential = false;
    for argument in arguments {
        let is_option = argument.starts_with('-');
        if follows_credential && !is_option {
            words.push(HIDDEN.to_owned());
            follows_credential = false;
            continue;
        }
        follows_credential = is_option && !argument.contains('=') && is_credential(argument);
        words.push(quoted(&without_credential(argument)));
    }
    words.join(" ")
}

fn without_credential(argument: &str) -> String {
    if let Some((name, _)) = argument.split_once('=')
        && is_name(name)
        && is_credential(name)
    {
        return format!("{name}={HIDDEN}");
    }
    if let Some((name, value)) = argument.split_once(':')
        && is_name(name)
        && !value.starts_with("//")
        && (is_credential(name) || name.to_ascii_lowercase().ends_with("authorization"))
    {
        return format!("{name}: {HIDDEN}");
    }
    without_keys(&without_password(argument))
}

/// `text` without what the query of a URL in it gives to a name that says so.
pub(crate) fn without_keys(text: &str) -> String {
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
    is_credential(name) || ["key", "auth", "sig", "signature"].into_iter().any(is)
}

/// `text` without the user and password of each URL in it.
fn without_password(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, authority) = rest.split_at(start + 3);
        shown.push_str(before);
        // Passwords hold what they like; better to hide too much.
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

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn quoted(word: &str) -> String {
    // A line for people need not survive a shell: brackets of what is hidden stay bare.
    if word.contains(HIDDEN) {
        word.to_owned()
    } else {
        shell_words::quote(word).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_credential_is_hidden() {
        for (arguments, expected) in [
            (&["-y", "server-memory"][..], "-y server-memory"),
            (&["a b", ""], "'a b' ''"),
            (&["--api-key=hunter2", "x"], "--api-key=[redacted] x"),
            (&["--api-key", "hunter2", "x"], "--api-key [redacted] x"),
            (&["--token", "--verbose"], "--token --verbose"),
            (
                &["-e", "GITHUB_TOKEN=hunter2"],
                "-e GITHUB_TOKEN=[redacted]",
            ),
            (&["-e", "GITHUB_TOKEN"], "-e GITHUB_TOKEN"),
            (
                &["--header", "Authorization: Bearer hunter2"],
                "--header Authorization: [redacted]",
            ),
            (&["X-API-Key:hunter2"], "X-API-Key: [redacted]"),
            (
                &["postgresql://u:hun/ter2@db/x", "http://a/b"],
                "postgresql://[redacted]@db/x http://a/b",
            ),
            (
                &["http://u:hunter2@a,http://v:hunter2@b"],
                "http://[redacted]@b",
            ),
            (
                &[
                    "mcp-remote",
                    "https://a/mcp?v=1&api_key=hunter2&x=y#access_token=hunter2",
                ],
                "mcp-remote https://a/mcp?v=1&api_key=[redacted]&x=y#access_token=[redacted]",
            ),
            (
                &["--url=http://u:hunter2@a?key=hunter2 and http://b?apikey=hunter2"],
                "--url=http://[redacted]@a?key=[redacted] and http://b?apikey=[redacted]",
            ),
            (
                &["what?", "http://a?monkey=1&key="],
                "'what?' 'http://a?monkey=1&key='",
            ),
        ] {
            let arguments: Vec<_> = arguments.iter().map(|it| (*it).to_owned()).collect();
            assert_eq!(shown(&arguments), expected);
        }
    }
}
