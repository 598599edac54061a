//! Who answers, and as whom we ask.

use std::time::Duration;

use bartizan_auth::{Authorize, AuthorizeError, Identity, PrivateKey, Secret, SigningAlgorithm};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::stage::{Caller, Resource, Server, cast, itself, user};

#[tokio::test]
async fn only_the_issuer_that_was_asked_can_answer() {
    // Whether it announces to name itself, what it says, whether that is believed.
    for (announced, said, believed) in [
        (json!(true), Some("{issuer}"), true),
        (json!(true), None, false),
        (json!(null), Some("{issuer}"), true),
        (json!(null), None, true),
        (json!(true), Some("https://evil.example"), false),
        (json!(null), Some("https://evil.example"), false),
        (json!(true), Some("{issuer}/"), false),
    ] {
        let (server, resource, browser) = cast().await;
        server.script(|it| {
            it.metadata = json!({"authorization_response_iss_parameter_supported": announced});
            it.redirect = said
                .iter()
                .map(|said| ("iss", (*said).to_owned()))
                .collect();
        });
        let caller = Caller::new(user(&resource, &browser));
        let status = caller.call(&resource).await;
        assert_eq!(
            status,
            if believed { 200 } else { 401 },
            "{announced} {said:?}"
        );
        assert_eq!(server.requests("/token").len(), usize::from(believed));
        if !believed {
            assert_eq!(caller.error(), Some(AuthorizeError::Answer));
        }
    }
}

#[tokio::test]
async fn a_known_client_comes_before_a_document_and_that_before_a_registration() {
    let document = "https://gate.example/client.json";
    for (known, documents, expected) in [
        (true, true, "gate"),
        (false, true, document),
        (false, false, "access-client-1"),
    ] {
        let (server, resource, browser) = cast().await;
        server
            .script(|it| it.metadata = json!({"client_id_metadata_document_supported": documents}));
        let mut builder = user(&resource, &browser).client_metadata_url(document);
        if known {
            builder = builder.client_id("gate");
        }
        assert_eq!(Caller::new(builder).call(&resource).await, 200);
        assert_eq!(browser.opened()[0]["client_id"], expected);
        let registered = usize::from(!known && !documents);
        assert_eq!(server.requests("/register").len(), registered);
    }
    let (server, resource, browser) = cast().await;
    server.script(|it| it.metadata = json!({"registration_endpoint": null}));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 401);
    assert_eq!(caller.error(), Some(AuthorizeError::NoClient));
}

#[tokio::test]
async fn the_proof_is_one_that_the_server_takes() {
    for (methods, registered, basic, body) in [
        (json!(["none"]), None, false, false),
        (json!(null), None, true, false),
        (json!(["client_secret_basic"]), None, true, false),
        (json!(["client_secret_post"]), None, false, true),
        (
            json!(["client_secret_basic", "client_secret_post"]),
            Some("client_secret_post"),
            false,
            true,
        ),
    ] {
        let (server, resource, browser) = cast().await;
        server.script(|it| {
            it.metadata = json!({"token_endpoint_auth_methods_supported": methods});
            it.registration = json!({"client_id": "a b", "client_secret": "s%cr t"});
            if let Some(method) = registered {
                it.registration["token_endpoint_auth_method"] = json!(method);
            }
        });
        assert_eq!(
            Caller::new(user(&resource, &browser)).call(&resource).await,
            200
        );
        let request = &server.requests("/token")[0];
        let header = basic.then(|| format!("Basic {}", STANDARD.encode("a%20b:s%25cr%20t")));
        assert_eq!(request.header("authorization"), header.as_deref());
        let form = &server.asked("/token")[0];
        assert_eq!(form.contains_key("client_secret"), body);
        assert_eq!(form.contains_key("client_id"), !basic);
    }
    let (server, resource, browser) = cast().await;
    server.script(|it| {
        it.metadata = json!({"token_endpoint_auth_methods_supported": ["tls_client_auth"]});
    });
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 401);
    assert_eq!(caller.error(), Some(AuthorizeError::ClientAuth));
}

#[tokio::test]
async fn a_service_asks_for_itself() {
    let (server, resource, _) = cast().await;
    server.script(|it| it.metadata = json!({"token_endpoint_auth_methods_supported": ["client_secret_basic"], "authorization_endpoint": null, "code_challenge_methods_supported": null}));
    let caller = Caller::new(itself(&resource).scopes(["read"]));
    assert_eq!(caller.call(&resource).await, 200);
    let form = &server.asked("/token")[0];
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!(form["scope"], "read");
    assert_eq!(form["resource"], resource.url());
    let header = format!("Basic {}", STANDARD.encode("gate:s3cr3t"));
    assert_eq!(
        server.requests("/token")[0].header("authorization"),
        Some(&*header)
    );
}

#[tokio::test]
async fn a_service_signs_for_itself() {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let der = STANDARD.encode(pair.to_pkcs8v1().unwrap());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    let key = PrivateKey::from_pem(&Secret::new(pem), SigningAlgorithm::Es256).unwrap();
    let (server, resource, _) = cast().await;
    server.script(|it| {
        it.metadata = json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"]});
    });
    let authorize = Authorize::client_credentials(resource.url());
    let caller = Caller::new(authorize.client_id("gate").private_key(key));
    assert_eq!(caller.call(&resource).await, 200);
    let form = &server.asked("/token")[0];
    assert_eq!(
        form["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    assert_eq!(form["client_assertion"].split('.').count(), 3);
    assert!(!form.contains_key("client_secret"));
}

#[tokio::test]
async fn nothing_of_one_issuer_is_shown_to_another() {
    let (first, resource, browser) = cast().await;
    let second = Server::start("second").await;
    first.script(|it| it.token["refresh_token"] = json!("refresh-{n}"));
    let caller = Caller::new(user(&resource, &browser));
    assert_eq!(caller.call(&resource).await, 200);
    let issuer = second.issuer();
    resource.guard(|guard| {
        guard.good = "second".into();
        guard.metadata["authorization_servers"] = json!([issuer]);
    });
    assert_eq!(caller.call(&resource).await, 200);
    assert_eq!(first.grants(), ["authorization_code"]);
    assert_eq!(second.grants(), ["authorization_code"]);
    assert_eq!(second.requests("/register").len(), 1);
    assert_eq!(browser.opened()[1]["client_id"], "second-client-1");
    assert_eq!(
        resource.shown().last().unwrap().as_deref(),
        Some("Bearer second-1")
    );
}

#[tokio::test]
async fn a_secret_stays_with_the_issuer_that_it_was_first_shown_to() {
    let (first, resource, _) = cast().await;
    let second = Server::start("second").await;
    let methods = json!({"token_endpoint_auth_methods_supported": ["client_secret_basic"]});
    first.script(|it| it.metadata = methods.clone());
    second.script(|it| it.metadata = methods.clone());
    let caller = Caller::new(itself(&resource));
    assert_eq!(caller.call(&resource).await, 200);
    let issuer = second.issuer();
    resource.guard(|guard| {
        guard.good = "second".into();
        guard.metadata["authorization_servers"] = json!([issuer]);
    });
    assert_eq!(caller.call(&resource).await, 401);
    assert_eq!(caller.error(), Some(AuthorizeError::NoClient));
    assert!(second.requests("/token").is_empty());
}

#[tokio::test]
async fn an_operator_can_name_the_only_issuer() {
    let (server, resource, browser) = cast().await;
    let other = Server::start("other").await;
    let names = json!([other.issuer(), server.issuer()]);
    resource.guard(|guard| guard.metadata["authorization_servers"] = names);
    let caller = Caller::new(user(&resource, &browser).issuer(server.issuer()));
    assert_eq!(caller.call(&resource).await, 200);
    assert!(other.paths().is_empty());
    let resource = Resource::start(&other).await;
    let caller = Caller::new(user(&resource, &browser).issuer(server.issuer()));
    assert_eq!(caller.call(&resource).await, 401);
    assert_eq!(caller.error(), Some(AuthorizeError::UntrustedIssuer));
}

#[tokio::test]
async fn a_workload_shows_what_its_platform_says_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "first\n").unwrap();
    let (server, resource, _) = cast().await;
    let identity = Identity::from_file(&path);
    let caller = Caller::new(Authorize::identity(resource.url(), identity));
    assert_eq!(caller.call(&resource).await, 200);
    // The platform replaced it.
    std::fs::write(&path, "second").unwrap();
    resource.guard(|guard| guard.good = "access-2".into());
    assert_eq!(caller.call(&resource).await, 200);
    let forms = server.asked("/token");
    for (form, assertion) in forms.iter().zip(["first", "second"]) {
        assert_eq!(
            form["grant_type"],
            "urn:ietf:params:oauth:grant-type:jwt-bearer"
        );
        assert_eq!(form["assertion"], assertion);
        assert_eq!(form["resource"], resource.url());
        assert!(!form.contains_key("client_id"));
    }
    assert_eq!(forms.len(), 2);
    let missing = Identity::from_file(directory.path().join("missing"));
    let caller = Caller::new(Authorize::identity(resource.url(), missing));
    assert_eq!(caller.call(&resource).await, 401);
    assert_eq!(caller.error(), Some(AuthorizeError::Identity));
}

#[tokio::test]
async fn an_identity_token_stays_with_the_issuer_that_it_was_first_shown_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "jwt").unwrap();
    let (first, resource, _) = cast().await;
    let second = Server::start("second").await;
    let identity = Identity::from_file(&path);
    // One that refuses has seen it as well.
    first.script(|it| it.refuse.push((400, "invalid_grant")));
    let caller = Caller::new(Authorize::identity(resource.url(), identity));
    assert_eq!(caller.call(&resource).await, 401);
    let issuer = second.issuer();
    resource.guard(|guard| {
        guard.good = "second".into();
        guard.metadata["authorization_servers"] = json!([issuer]);
    });
    // It is not asked again at once.
    let again = async {
        while caller.call(&resource).await != 401 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(20), again).await;
    assert!(asked.is_ok(), "{:?}", caller.error());
    assert_eq!(caller.error(), Some(AuthorizeError::UntrustedIssuer));
    assert!(!first.asked("/token").is_empty() && second.asked("/token").is_empty());
}

#[tokio::test]
async fn an_enterprise_exchanges_what_it_knows_of_a_user() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "id-token").unwrap();
    let (server, resource, _) = cast().await;
    let methods = json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]});
    server.script(|it| it.metadata = methods);
    let provider = bartizan_testkit::Upstream::start_with(|_| {
        let kind = "urn:ietf:params:oauth:token-type:id-jag";
        let answer =
            json!({"access_token": "grant", "issued_token_type": kind, "token_type": "N_A"});
        bartizan_testkit::Reply::json(answer.to_string())
    })
    .await;
    let endpoint = format!("{}/token", provider.url());
    let caller = || {
        let identity = Identity::from_file(&path);
        let identity = identity
            .exchanged_at(&endpoint, "gate-at-idp", None)
            .unwrap();
        let authorize = Authorize::identity(resource.url(), identity).scopes(["read"]);
        Caller::new(authorize.client_id("gate").client_secret(Secret::new("s")))
    };
    assert_eq!(caller().call(&resource).await, 200);
    let asked = crate::stage::pairs(&provider.requests()[0].body);
    assert_eq!(asked["subject_token"], "id-token");
    assert_eq!(asked["audience"], server.issuer());
    assert_eq!(asked["resource"], resource.url());
    assert_eq!(asked["client_id"], "gate-at-idp");
    assert_eq!(asked["scope"], "read");
    let form = &server.asked("/token")[0];
    assert_eq!(form["assertion"], "grant");
    assert_eq!(
        (&*form["client_id"], &*form["client_secret"]),
        ("gate", "s")
    );

    // Another kind of token is not what was asked for, and is shown to nobody.
    provider.reply(bartizan_testkit::Reply::json(
        r#"{"access_token":"a","token_type":"Bearer"}"#,
    ));
    let refused = caller();
    assert_eq!(refused.call(&resource).await, 401);
    assert_eq!(refused.error(), Some(AuthorizeError::Identity));
    assert_eq!(server.asked("/token").len(), 1);
    let plain = Identity::from_file("x").exchanged_at("http://idp.example/token", "c", None);
    assert!(plain.is_err());
}
