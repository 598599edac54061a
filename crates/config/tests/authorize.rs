//! Services that say themselves who authorizes access to them.

mod common;

use bartizan_config::{AuthSettings, AuthorizeGrant, AuthorizeSettings, KeyAlgorithm};
use common::with;

fn read(settings: &[(&str, &str)]) -> Result<AuthorizeSettings, Vec<String>> {
    let service = |(name, value): &(&str, &str)| {
        (
            format!("MCP_SERVICE_USER_SERVICE_{name}"),
            (*value).to_owned(),
        )
    };
    let mut changes: Vec<_> = settings.iter().map(service).collect();
    changes.push(service(&("TOKEN", "")));
    changes.push(service(&("AUTH_TYPE", "authorize")));
    let changes: Vec<_> = changes
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    match with(&changes) {
        Ok(configuration) => match configuration.services[0].auth.value() {
            AuthSettings::Authorize(settings) => Ok((**settings).clone()),
            other => panic!("{other:?}"),
        },
        Err(errors) => {
            let problems = errors.problems().iter();
            Err(problems.map(|it| it.message().to_owned()).collect())
        }
    }
}

#[test]
fn a_service_that_says_who_authorizes_needs_nothing_more() {
    let settings = read(&[]).unwrap();
    assert_eq!(*settings.grant, AuthorizeGrant::AuthorizationCode);
    assert_eq!(*settings.private_key_algorithm, KeyAlgorithm::Es256);
    assert!(settings.client_id.is_none() && settings.command.is_none());
    assert!(settings.callback_port.is_none() && settings.store.is_none());
}

#[test]
fn everything_that_can_be_said() {
    let settings = read(&[
        ("AUTHORIZE_GRANT", "CLIENT_CREDENTIALS"),
        ("CLIENT_ID", "gate"),
        ("CLIENT_SECRET", "s3cr3t"),
        ("CLIENT_METADATA_URL", "https://gate.example/client.json"),
        ("PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----"),
        ("PRIVATE_KEY_ALGORITHM", "EdDSA"),
        ("PRIVATE_KEY_ID", "k1"),
        ("SCOPES", "read, write"),
        ("AUTHORIZE_COMMAND", "firefox --new-window 'a b'"),
        ("AUTHORIZE_CALLBACK_PORT", "8123"),
        ("AUTHORIZE_STORE", "authorization.json"),
        ("AUTHORIZE_ISSUER", "https://login.example"),
    ])
    .unwrap();
    assert_eq!(*settings.grant, AuthorizeGrant::ClientCredentials);
    assert_eq!(settings.client_id.as_ref().unwrap().as_str(), "gate");
    assert_eq!(
        settings.scopes.as_ref().unwrap().value(),
        &["read", "write"]
    );
    let command = settings.command.as_ref().unwrap();
    assert_eq!(command.value(), &["firefox", "--new-window", "a b"]);
    assert_eq!(**settings.callback_port.as_ref().unwrap(), 8123);
    assert_eq!(*settings.private_key_algorithm, KeyAlgorithm::EdDsa);
    assert_eq!(
        settings.issuer.as_ref().unwrap().as_str(),
        "https://login.example"
    );
    assert!(!format!("{settings:?}").contains("s3cr3t"));
}

#[test]
fn what_must_not_be_lost_has_a_file_of_its_own() {
    let wrong = |text: &str| read(&[("AUTHORIZE_STORE", text)]).unwrap_err();
    for text in [".", "/", "no-such-directory/store", "Cargo.toml/store"] {
        let problems = wrong(text);
        let expected = "AUTHORIZE_STORE must name a file of its own";
        assert!(problems[0].ends_with(expected), "{text}: {problems:?}");
    }
    let two = [
        ("MCP_SERVICES", "user-service,a,b"),
        ("MCP_SERVICE_A_ENDPOINT", "http://a"),
        ("MCP_SERVICE_B_ENDPOINT", "http://b"),
        ("MCP_SERVICE_A_AUTH_TYPE", "oauth2"),
        ("MCP_SERVICE_B_AUTH_TYPE", "oauth2"),
        ("MCP_SERVICE_A_REFRESH_TOKEN", "r-1"),
        ("MCP_SERVICE_B_REFRESH_TOKEN", "r-2"),
        ("MCP_SERVICE_A_TOKEN_URL", "https://a/token"),
        ("MCP_SERVICE_B_TOKEN_URL", "https://b/token"),
        ("MCP_SERVICE_A_REFRESH_TOKEN_STORE", "store"),
        ("MCP_SERVICE_B_REFRESH_TOKEN_STORE", "./store"),
    ];
    let errors = with(&two).unwrap_err().to_string();
    let expected = "MCP_SERVICE_A_REFRESH_TOKEN_STORE names it, too";
    assert!(errors.contains(expected), "{errors}");
}

#[test]
fn identity_tokens_come_from_a_file_and_may_be_exchanged() {
    let grant = ("AUTHORIZE_GRANT", "jwt-bearer");
    let token = ("IDENTITY_TOKEN_FILE", "/run/token");
    let url = ("IDENTITY_PROVIDER_URL", "https://idp.example/token");
    let settings = read(&[grant, token]).unwrap();
    assert!(settings.identity_token.is_some() && settings.identity_provider.is_none());
    let settings = read(&[grant, token, url, ("IDENTITY_PROVIDER_CLIENT_ID", "gate")]).unwrap();
    assert_eq!(
        settings.identity_provider.unwrap().client_id.as_str(),
        "gate"
    );
    let problems = read(&[grant]).unwrap_err();
    assert!(
        problems[0].ends_with("identity token file is required"),
        "{problems:?}"
    );
    let problems = read(&[grant, token, url]).unwrap_err();
    assert!(
        problems[0].ends_with("identity provider client id is required"),
        "{problems:?}"
    );
}

#[test]
fn what_could_not_work_is_said() {
    let table: [(&[(&str, &str)], &str); 8] = [
        (
            &[
                ("AUTHORIZE_GRANT", "client-credentials"),
                ("CLIENT_ID", "c"),
            ],
            "OAuth2 client secret is required",
        ),
        (
            &[
                ("AUTHORIZE_GRANT", "client-credentials"),
                ("CLIENT_SECRET", "s3"),
            ],
            "OAuth2 client id is required",
        ),
        (&[("CLIENT_SECRET", "s3")], "OAuth2 client id is required"),
        (&[("PRIVATE_KEY", "pem")], "OAuth2 client id is required"),
        (
            &[("CLIENT_METADATA_URL", "http://gate.example/c")],
            "CLIENT_METADATA_URL",
        ),
        (
            &[("CLIENT_METADATA_URL", "https://gate.example")],
            "CLIENT_METADATA_URL",
        ),
        (&[("AUTHORIZE_COMMAND", "'open")], "AUTHORIZE_COMMAND"),
        (
            &[("AUTHORIZE_CALLBACK_PORT", "0")],
            "AUTHORIZE_CALLBACK_PORT",
        ),
    ];
    for (settings, words) in table {
        let problems = read(settings).unwrap_err();
        assert!(
            problems.iter().any(|it| it.contains(words)),
            "{settings:?} {problems:?}"
        );
    }
}

#[test]
fn it_explains_itself_without_secrets() {
    let configuration = with(&[
        ("MCP_SERVICE_USER_SERVICE_TOKEN", ""),
        ("MCP_SERVICE_USER_SERVICE_AUTH_TYPE", "authorize"),
        ("MCP_SERVICE_USER_SERVICE_CLIENT_ID", "gate"),
        ("MCP_SERVICE_USER_SERVICE_CLIENT_SECRET", "s3cr3t"),
        ("MCP_SERVICE_USER_SERVICE_AUTHORIZE_COMMAND", "xdg-open"),
    ])
    .unwrap();
    let text = configuration.explain("user-service").unwrap().to_string();
    assert!(
        text.contains("xdg-open") && text.contains("authorization-code"),
        "{text}"
    );
    assert!(!text.contains("s3cr3t"), "{text}");
}
