use proptest::prelude::*;

use super::*;

const NONE: [&str; 0] = [];

fn on_loopback() -> OriginCheck {
    OriginCheck::new(NONE, NONE, true).unwrap()
}

fn headers(host: Option<&str>, origin: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut insert = |name, value: Option<&str>| {
        if let Some(value) = value {
            headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
    };
    insert(HOST, host);
    insert(ORIGIN, origin);
    headers
}

fn host(check: &OriginCheck, host: &str) -> Result<(), Refused> {
    check.check(&headers(Some(host), None), None)
}

fn origin(check: &OriginCheck, host: &str, origin: &str) -> Result<(), Refused> {
    check.check(&headers(Some(host), Some(origin)), None)
}

/// Lesson 30: DNS rebinding. What the official conformance scenario sends.
#[test]
fn a_page_that_was_rebound_to_loopback_is_refused() {
    let check = on_loopback();
    let rebound = headers(Some("evil.example.com"), Some("http://evil.example.com"));
    assert_eq!(check.check(&rebound, None), Err(Refused::Host));
    assert_eq!(Refused::Host.status(), 403);
    assert_eq!(
        origin(&check, "localhost:3000", "http://evil.example.com"),
        Err(Refused::Origin)
    );
    let valid = headers(Some("localhost:3000"), Some("http://localhost:3000"));
    assert_eq!(check.check(&valid, None), Ok(()));
}

#[test]
fn loopback_answers_to_its_own_names_only() {
    let check = on_loopback();
    for good in [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1",
        "127.0.0.1:65535",
        "[::1]",
        "[::1]:8080",
        "[0:0:0:0:0:0:0:1]:8080",
        "localhost:",
    ] {
        assert_eq!(host(&check, good), Ok(()), "{good}");
    }
    for bad in [
        "",
        ":80",
        "localhost.",
        "localhost.evil.example",
        "evil.localhost",
        "localhost:80@evil.example",
        "localhost@evil.example",
        "127.0.0.1.nip.io",
        "127.1",
        "127.0.0.2",
        "2130706433",
        "0.0.0.0",
        "[::]",
        "[::1",
        "[::1]x",
        "[::1%25lo]",
        "::1",
        "[::ffff:127.0.0.1]",
        "localhost:65536",
        "localhost:-1",
        "localhost:+80",
        "localhost:80:80",
        "localhost, evil.example",
        " localhost",
        "loc\u{e4}lhost",
    ] {
        assert_eq!(host(&check, bad), Err(Refused::Host), "{bad:?}");
    }
}

#[test]
fn pages_on_loopback_are_fine_there() {
    let check = on_loopback();
    for good in [
        "http://localhost:6274",
        "https://LocalHost",
        "http://127.0.0.1:1",
        "http://[::1]:3000",
    ] {
        assert_eq!(origin(&check, "127.0.0.1:8080", good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "localhost",
        "http://",
        "://localhost",
        "http:localhost",
        "http://localhost/",
        "http://localhost http://evil.example",
        "http://localhost@evil.example",
        "http://localhost.evil.example",
        "file://",
        "chrome-extension://localhost",
        "1http://localhost",
        "http://loc\u{e4}lhost",
    ] {
        assert_eq!(
            origin(&check, "127.0.0.1:8080", bad),
            Err(Refused::Origin),
            "{bad:?}"
        );
    }
    assert_eq!(
        origin(&check, "127.0.0.1:8080", "null"),
        Err(Refused::NullOrigin)
    );
}

#[test]
fn the_operator_can_allow_more_on_loopback() {
    let check = OriginCheck::new(["gw.example"], ["https://app.example/"], true).unwrap();
    assert_eq!(host(&check, "gw.example"), Ok(()));
    assert_eq!(host(&check, "localhost"), Ok(()));
    assert_eq!(origin(&check, "localhost", "https://app.example"), Ok(()));
    assert_eq!(
        origin(&check, "localhost", "http://app.example"),
        Err(Refused::Origin)
    );
    assert_eq!(origin(&check, "gw.example", "https://gw.example"), Ok(()));
}

#[test]
fn another_address_answers_to_the_hosts_of_its_operator() {
    let any = OriginCheck::new(NONE, NONE, false).unwrap();
    assert_eq!(host(&any, "whatever.example:81"), Ok(()));
    assert_eq!(host(&any, "what ever"), Err(Refused::Host));

    let hosts = [
        "gw.example",
        "10.0.0.5:8080",
        "secure.example:443",
        "[2001:db8::1]",
    ];
    let listed = OriginCheck::new(hosts, NONE, false).unwrap();
    for good in [
        "GW.example",
        "gw.example:1",
        "10.0.0.5:8080",
        "secure.example",
        "secure.example:443",
        "[2001:DB8:0::1]:99",
    ] {
        assert_eq!(host(&listed, good), Ok(()), "{good}");
    }
    for bad in [
        "localhost",
        "10.0.0.5",
        "10.0.0.5:80",
        "secure.example:80",
        "a.gw.example",
    ] {
        assert_eq!(host(&listed, bad), Err(Refused::Host), "{bad}");
    }
}

#[test]
fn pages_of_the_same_host_and_port_are_fine_everywhere() {
    let check = OriginCheck::new(NONE, ["vscode-webview://panel"], false).unwrap();
    for (host, page) in [
        ("gw.example", "http://gw.example"),
        ("gw.example", "https://GW.example:443"),
        ("gw.example:443", "https://gw.example"),
        ("gw.example:8080", "http://gw.example:8080"),
        ("[2001:db8::1]:8080", "http://[2001:db8:0::1]:8080"),
        ("gw.example", "vscode-webview://panel"),
    ] {
        assert_eq!(origin(&check, host, page), Ok(()), "{host} {page}");
    }
    for (host, page) in [
        ("gw.example", "http://gw.example:8080"),
        ("gw.example:8080", "http://gw.example"),
        ("gw.example:443", "http://gw.example"),
        ("gw.example", "app://gw.example"),
        ("gw.example", "http://localhost"),
        ("gw.example", "https://app.example"),
    ] {
        assert_eq!(
            origin(&check, host, page),
            Err(Refused::Origin),
            "{host} {page}"
        );
    }
    let null = origin(&check, "gw.example", "null");
    assert_eq!(null, Err(Refused::NullOrigin));
}

#[test]
fn every_page_is_allowed_in_plain_words_only() {
    let check = OriginCheck::new(NONE, ["*"], true).unwrap();
    assert_eq!(origin(&check, "localhost", "https://app.example"), Ok(()));
    assert_eq!(
        origin(&check, "localhost", "null"),
        Err(Refused::NullOrigin)
    );
    assert_eq!(
        origin(&check, "evil.example", "https://app.example"),
        Err(Refused::Host)
    );
}

#[test]
fn the_authority_counts_as_host() {
    let check = on_loopback();
    let with = |authority: &'static str, host: Option<&str>| {
        let authority = Authority::from_static(authority);
        check.check(&headers(host, None), Some(&authority))
    };
    assert_eq!(with("localhost:8080", None), Ok(()));
    assert_eq!(with("localhost:8080", Some("LOCALHOST:8080")), Ok(()));
    assert_eq!(with("evil.example", None), Err(Refused::Host));
    assert_eq!(with("user@localhost", None), Err(Refused::Host));
    for differs in ["evil.example", "127.0.0.1:8080", "localhost:8081"] {
        let differing = with("localhost:8080", Some(differs));
        assert_eq!(differing, Err(Refused::SeveralHosts), "{differs}");
    }
    assert_eq!(check.check(&HeaderMap::new(), None), Err(Refused::NoHost));
}

#[test]
fn headers_that_come_twice_are_refused() {
    let check = on_loopback();
    for (name, value, refused) in [
        (HOST, "localhost", Refused::SeveralHosts),
        (ORIGIN, "http://localhost", Refused::SeveralOrigins),
    ] {
        let mut headers = headers(Some("localhost"), Some("http://localhost"));
        headers.append(name, HeaderValue::from_static(value));
        assert_eq!(check.check(&headers, None), Err(refused));
    }
}

#[test]
fn wrong_entries_are_named() {
    for bad in [
        "",
        "*.example.com",
        "http://gw.example",
        "a b",
        "gw.example/path",
    ] {
        let error = OriginCheck::new([bad], NONE, false).unwrap_err();
        assert!(error.to_string().contains(&format!("`{bad}`")), "{error}");
    }
    for bad in [
        "null",
        "app.example",
        "https://*.example",
        "https://a.example/path",
    ] {
        let error = OriginCheck::new(NONE, [bad], false).unwrap_err();
        assert!(error.to_string().contains(bad), "{error}");
    }
}

#[test]
fn a_refusal_says_what_to_configure() {
    assert!(Refused::Host.to_string().contains("allowed hosts"));
    assert!(Refused::Origin.to_string().contains("allowed origins"));
}

proptest! {
    #[test]
    fn nothing_but_loopback_passes_on_loopback(text in "[a-z0-9:.@\\[\\]%/ -]{0,24}") {
        if host(&on_loopback(), &text).is_ok() {
            let lower = text.to_ascii_lowercase();
            prop_assert!(
                lower.starts_with("localhost")
                    || lower.starts_with("127.0.0.1")
                    || lower.starts_with('['),
                "{text}"
            );
        }
    }

    #[test]
    fn no_header_makes_it_panic(host in prop::collection::vec(32_u8.., 0..40), origin in "\\PC{0,40}") {
        let mut headers = HeaderMap::new();
        if let Ok(host) = HeaderValue::from_bytes(&host) {
            headers.insert(HOST, host);
        }
        if let Ok(origin) = HeaderValue::from_bytes(origin.as_bytes()) {
            headers.insert(ORIGIN, origin);
        }
        let _refused = on_loopback().check(&headers, None);
    }
}
