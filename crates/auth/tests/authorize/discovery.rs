//! From a refusal to a token.

use bartizan_auth::AuthorizeError;
use serde_json::json;

use crate::stage::{Caller, Resource, Server, cast, user};

#[tokio::test]
async fn a_refusal_leads_to_a_token() {
    let (server, resource, browser) = cast().await;
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    assert_eq!(caller.call(&resource).await, 200);
    // The first goes out bare, and never with what the caller proves to us.
    let token = || Some("Bearer access-1".to_owned());
    assert_eq!(resource.shown(), [None, token(), token()]);

    let registration = &server.requests("/register")[0].json();
    assert_eq!(registration["application_type"], "native");
    assert_eq!(registration["client_name"], "bartizan");
    assert_eq!(registration["token_endpoint_auth_method"], "none");
    assert_eq!(
        registration["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
    let page = &browser.opened()[0];
    assert_eq!(registration["redirect_uris"], json!([page["redirect_uri"]]));
    assert!(page["redirect_uri"].starts_with("http://127.0.0.1:"));
    assert_eq!(page["response_type"], "code");
    assert_eq!(page["client_id"], "access-client-1");
    assert_eq!(page["code_challenge_method"], "S256");
    assert_eq!(page["resource"], resource.url());
    assert!(!page.contains_key("scope"));
    let form = &server.asked("/token")[0];
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!(form["code"], "c0de");
    assert_eq!(form["redirect_uri"], page["redirect_uri"]);
    assert_eq!(form["resource"], resource.url());
    assert_eq!(form["client_id"], "access-client-1");
    assert_eq!(form["code_verifier"].len(), 43);
}

#[tokio::test]
async fn the_resource_is_described_where_it_says_or_at_its_path_or_at_the_root() {
    let custom = "/custom/place.json";
    let path = "/.well-known/oauth-protected-resource/mcp";
    let root = "/.well-known/oauth-protected-resource";
    for (place, named, looked) in [
        (custom, true, vec![custom]),
        (path, false, vec![path]),
        (root, false, vec![path, root]),
    ] {
        let (server, resource, browser) = cast().await;
        let base = resource.upstream.url();
        resource.guard(|guard| {
            guard.place = Some(place.into());
            guard.challenge = named.then(|| format!("Bearer resource_metadata=\"{base}{place}\""));
            if place == root {
                guard.metadata["resource"] = json!(base);
            }
        });
        let caller = Caller::new(user(&resource, &browser));
        assert_eq!(caller.call(&resource).await, 200, "{place}");
        let mut seen = resource.upstream.requests();
        seen.retain(|request| request.uri.path() != "/mcp");
        let seen: Vec<_> = seen.iter().map(|it| it.uri.path().to_owned()).collect();
        assert_eq!(seen, looked);
        // The name exactly as it was published, without a slash that a parser would add.
        let expected = if place == root { base } else { resource.url() };
        assert_eq!(browser.opened()[0]["resource"], expected);
        assert_eq!(server.asked("/token")[0]["resource"], expected);
    }
}

#[tokio::test]
async fn a_host_without_a_description_authorizes_access_itself() {
    let server = Server::start("access").await;
    let resource = Resource::start(&server).await;
    resource.guard(|guard| (guard.place, guard.challenge) = (None, None));
    let caller = Caller::new(user(&resource, &Default::default()));
    assert_eq!(caller.call(&resource).await, 401);
    assert_eq!(caller.error(), Some(AuthorizeError::Server));
    let paths: Vec<_> = resource
        .upstream
        .requests()
        .iter()
        .map(|it| it.uri.path().to_owned())
        .collect();
    assert_eq!(
        paths[1..],
        [
            "/.well-known/oauth-protected-resource/mcp",
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-authorization-server",
            "/.well-known/openid-configuration",
        ]
    );
}

#[tokio::test]
async fn servers_are_described_in_three_places() {
    let oauth = "/.well-known/oauth-authorization-server";
    let openid = "/.well-known/openid-configuration";
    for (issuer, place, looked) in [
        ("", oauth.to_owned(), 1),
        ("", openid.to_owned(), 2),
        ("/tenant1", format!("{oauth}/tenant1"), 1),
        ("/tenant1", format!("{openid}/tenant1"), 2),
        ("/tenant1", format!("/tenant1{openid}"), 3),
    ] {
        let (server, resource, browser) = cast().await;
        server.script(|script| {
            script.issuer_path = issuer.into();
            script.place.clone_from(&place);
        });
        let name = server.issuer();
        resource.guard(|guard| guard.metadata["authorization_servers"] = json!([name]));
        let caller = Caller::new(user(&resource, &browser));
        assert_eq!(caller.call(&resource).await, 200, "{place}");
        let paths = server.paths();
        assert_eq!(paths[looked - 1], place);
        assert!(!paths.iter().take(looked - 1).any(|it| *it == place));
        if !issuer.is_empty() {
            assert!(
                !paths.iter().any(|it| it == oauth),
                "not at the root: {paths:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_must_not_be_believed_ends_it() {
    type Change = fn(&Server, &Resource);
    let table: [(Change, AuthorizeError); 9] = [
        (
            |_, resource| {
                resource.guard(|it| it.metadata["resource"] = json!("https://evil.example/mcp"));
            },
            AuthorizeError::ResourceMismatch,
        ),
        (
            |_, resource| resource.guard(|it| it.metadata["authorization_servers"] = json!([])),
            AuthorizeError::Resource,
        ),
        (
            |_, resource| resource.guard(|it| it.place = None),
            AuthorizeError::Resource,
        ),
        (
            |_, resource| {
                resource.guard(|it| {
                    it.challenge =
                        Some("Bearer resource_metadata=\"http://169.254.169.254/\"".into());
                });
            },
            AuthorizeError::Address,
        ),
        (
            |_, resource| {
                resource.guard(|it| {
                    it.metadata["authorization_servers"] = json!(["http://login.example"]);
                });
            },
            AuthorizeError::Address,
        ),
        (
            |server, _| {
                server.script(|it| it.metadata = json!({"issuer": "https://attacker.example"}));
            },
            AuthorizeError::IssuerMismatch,
        ),
        (
            |server, _| {
                server.script(|it| it.metadata = json!({"code_challenge_methods_supported": null}));
            },
            AuthorizeError::NoPkce,
        ),
        (
            |server, _| {
                server.script(|it| {
                    it.metadata = json!({"code_challenge_methods_supported": ["plain"]});
                });
            },
            AuthorizeError::NoPkce,
        ),
        (
            |server, _| {
                server.script(|it| {
                    it.metadata = json!({"authorization_endpoint": "javascript:alert(1)"});
                });
            },
            AuthorizeError::Address,
        ),
    ];
    for (number, (change, error)) in table.into_iter().enumerate() {
        let (server, resource, browser) = cast().await;
        change(&server, &resource);
        let caller = Caller::new(user(&resource, &browser));
        // What the service said is what the caller reads.
        assert_eq!(caller.call(&resource).await, 401, "{number}");
        assert_eq!(caller.error(), Some(error), "{number}");
        assert_eq!(browser.times(), 0, "{number}");
        for path in ["/register", "/token", "/authorize"] {
            assert!(server.requests(path).is_empty(), "{number} {path}");
        }
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (server, resource, browser) = cast().await;
    let elsewhere = format!(
        "{}/.well-known/oauth-protected-resource/mcp",
        resource.upstream.url()
    );
    let reply = bartizan_testkit::Reply::status(302).header("location", &elsewhere);
    resource.upstream.aside("/moved", reply);
    let moved = format!(
        "Bearer resource_metadata=\"{}/moved\"",
        resource.upstream.url()
    );
    resource.guard(|guard| guard.challenge = Some(moved));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 401);
    assert_eq!(caller.error(), Some(AuthorizeError::Resource));
    assert!(server.paths().is_empty());
}

#[tokio::test]
async fn scopes_are_those_of_the_challenge_or_of_the_description_or_none() {
    let challenged = "Bearer scope=\"basic\"";
    for (challenge, described, offline, configured, expected) in [
        (
            Some(challenged),
            Some(["a", "b"]),
            false,
            None,
            Some("basic"),
        ),
        (None, Some(["a", "b"]), false, None, Some("a b")),
        (
            None,
            Some(["a", "b"]),
            true,
            None,
            Some("a b offline_access"),
        ),
        (None, None, true, None, None),
        (None, Some(["a", "b"]), false, Some("mine"), Some("mine")),
        (
            Some(challenged),
            None,
            false,
            Some("mine"),
            Some("mine basic"),
        ),
    ] {
        let (server, resource, browser) = cast().await;
        resource.guard(|guard| {
            guard.challenge = challenge.map(str::to_owned);
            if let Some(described) = described {
                guard.metadata["scopes_supported"] = json!(described);
            }
        });
        if offline {
            server.script(|it| it.metadata = json!({"scopes_supported": ["offline_access"]}));
        }
        let builder = user(&resource, &browser).scopes(configured);
        assert_eq!(Caller::new(builder).call(&resource).await, 200);
        let page = &browser.opened()[0];
        assert_eq!(page.get("scope").map(String::as_str), expected);
    }
}
