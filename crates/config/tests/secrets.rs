//! Secrets: where they come from, what they must be, and that nothing shows them.

mod common;

use std::{fs, path::Path};

use bartizan_auth::Place;
use bartizan_config::{AuthSettings, ClientAuthentication, Configuration, OAuth2Grant, Source};
use common::{problems, warnings, with};

const SERVICE: &str = "MCP_SERVICE_USER_SERVICE_";

fn auth(settings: &[(&str, &str)]) -> Result<AuthSettings, Vec<String>> {
    let names: Vec<_> = settings
        .iter()
        .map(|(name, _)| format!("{SERVICE}{name}"))
        .collect();
    let values = settings.iter().map(|(_, value)| *value);
    let mut changes = vec![("MCP_SERVICE_USER_SERVICE_TOKEN", "")];
    changes.extend(names.iter().map(String::as_str).zip(values));
    match with(&changes) {
        Ok(configuration) => Ok(configuration.services[0].auth.value().clone()),
        Err(errors) => Err(errors
            .problems()
            .iter()
            .map(|it| it.message().to_owned())
            .collect()),
    }
}

#[test]
fn each_type_of_authentication() {
    let Ok(AuthSettings::ApiKey { key, place }) =
        auth(&[("AUTH_TYPE", "api-key"), ("API_KEY", "k1")])
    else {
        panic!();
    };
    assert_eq!(key.expose(), "k1");
    assert_eq!(*place, Place::default());

    let in_query = auth(&[
        ("AUTH_TYPE", "API_KEY"),
        ("API_KEY", "k 1"),
        ("API_KEY_IN", "query"),
        ("API_KEY_NAME", "key"),
    ]);
    assert!(
        matches!(&in_query, Ok(AuthSettings::ApiKey { place, .. }) if **place == Place::Query("key".into())),
        "{in_query:?}"
    );

    let Ok(AuthSettings::Basic { username, password }) = auth(&[
        ("AUTH_TYPE", "basic"),
        ("USERNAME", "u"),
        ("PASSWORD", "p:w"),
    ]) else {
        panic!();
    };
    assert_eq!((username.as_str(), password.expose()), ("u", "p:w"));
}

#[test]
fn the_grant_follows_from_what_there_is() {
    let grant = |settings: &[(&str, &str)]| {
        let mut all = vec![("AUTH_TYPE", "oauth2")];
        all.extend(settings);
        match auth(&all) {
            Ok(AuthSettings::OAuth2(oauth2)) => Ok((*oauth2.grant, *oauth2.client_authentication)),
            Ok(other) => panic!("{other:?}"),
            Err(problems) => Err(problems),
        }
    };
    let url = ("TOKEN_URL", "https://issuer/token");
    let of = |grant| Ok((grant, ClientAuthentication::Basic));
    assert_eq!(grant(&[("ACCESS_TOKEN", "a")]), of(OAuth2Grant::Static));
    assert_eq!(
        grant(&[url, ("REFRESH_TOKEN", "r")]),
        of(OAuth2Grant::RefreshToken)
    );
    assert_eq!(
        grant(&[url, ("CLIENT_ID", "i"), ("CLIENT_SECRET", "s")]),
        of(OAuth2Grant::ClientCredentials)
    );
    let refused = |problem: &str| Err(vec![format!("Service user-service: {problem}")]);
    assert_eq!(grant(&[]), refused("OAuth2 access token is required"));
    assert_eq!(grant(&[url]), refused("OAuth2 client id is required"));
    assert_eq!(
        grant(&[url, ("GRANT", "refresh_token")]),
        refused("OAuth2 refresh token is required")
    );
    assert_eq!(
        grant(&[("GRANT", "client_credentials"), ("CLIENT_ID", "i")]),
        refused("token URL is required")
    );
    let plain = ("TOKEN_URL", "http://issuer/token");
    let client = ("CLIENT_ID", "i");
    assert!(grant(&[plain, client]).unwrap_err()[0].contains("token URL must be https"));
    assert!(grant(&[plain, client, ("TOKEN_URL_ALLOW_HTTP", "true")]).is_ok());
    assert!(grant(&[("TOKEN_URL", "http://127.0.0.1:1/t"), client]).is_ok());
}

#[test]
fn a_refresh_token_without_a_token_url_is_warned_about() {
    let texts = warnings(&[
        ("MCP_SERVICE_USER_SERVICE_AUTH_TYPE", "oauth2"),
        ("MCP_SERVICE_USER_SERVICE_TOKEN", ""),
        ("MCP_SERVICE_USER_SERVICE_ACCESS_TOKEN", "a"),
        ("MCP_SERVICE_USER_SERVICE_REFRESH_TOKEN", "r"),
    ]);
    assert_eq!(texts.len(), 1);
    assert!(
        texts[0].contains("MCP_SERVICE_USER_SERVICE_TOKEN_URL"),
        "{texts:?}"
    );
}

#[test]
fn placeholders_are_for_development() {
    for secret in [
        "your-bearer-token",
        "CHANGE_ME",
        "<token>",
        "dev-user-token",
    ] {
        assert_eq!(
            problems(&[("MCP_SERVICE_USER_SERVICE_TOKEN", secret)]),
            ["Service user-service: bearer token is a placeholder \
              (MCP_SERVICE_USER_SERVICE_TOKEN)"]
        );
    }
    assert_eq!(
        problems(&[("MCP_GATEWAY_API_KEYS", "0123456789abcdef,changeme")]),
        ["MCP_GATEWAY_API_KEYS holds a placeholder"]
    );
    let development = [
        ("NODE_ENV", "development"),
        ("MCP_GATEWAY_API_KEYS", "changeme"),
    ];
    assert_eq!(problems(&development), [""; 0]);
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let refused = |settings: &[_]| auth(settings).unwrap_err();
    let cannot = "holds characters that cannot be sent";
    assert!(refused(&[("TOKEN", "a b")])[0].contains(cannot));
    assert!(refused(&[("TOKEN", "a\nb")])[0].contains(cannot));
    assert!(refused(&[("TOKEN", "tökén")])[0].contains(cannot));
    let key = [
        ("AUTH_TYPE", "api-key"),
        ("API_KEY", "a;b"),
        ("API_KEY_IN", "cookie"),
    ];
    assert!(refused(&key)[0].contains(cannot));
    for name in ["Host", "content-length", "a b", "X:Y"] {
        let named = [
            ("AUTH_TYPE", "api-key"),
            ("API_KEY", "k"),
            ("API_KEY_NAME", name),
        ];
        assert!(refused(&named)[0].contains("of this name"), "{name}");
    }
    let user = [
        ("AUTH_TYPE", "basic"),
        ("USERNAME", "a:b"),
        ("PASSWORD", "p"),
    ];
    assert!(refused(&user)[0].contains("user name"));
}

fn file(directory: &Path, content: &str) -> String {
    let path = directory.join("secret");
    fs::write(&path, content).unwrap();
    path.display().to_string()
}

#[test]
fn a_secret_may_come_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(directory.path(), "from-a-file\n");
    let twin = ("TOKEN_FILE", path.as_str());
    let Ok(AuthSettings::Bearer { token }) = auth(&[twin]) else {
        panic!();
    };
    assert_eq!(token.expose(), "from-a-file");
    assert_eq!(
        token.origin().to_string(),
        format!("MCP_SERVICE_USER_SERVICE_TOKEN_FILE ({path})")
    );
    assert_eq!(
        auth(&[("TOKEN", "x"), twin]).unwrap_err(),
        ["MCP_SERVICE_USER_SERVICE_TOKEN and MCP_SERVICE_USER_SERVICE_TOKEN_FILE are both set"]
    );
    let missing = problems(&[
        ("MCP_SERVICE_USER_SERVICE_TOKEN", ""),
        ("MCP_SERVICE_USER_SERVICE_TOKEN_FILE", "/nonexistent/token"),
    ]);
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(
        missing[0].starts_with("MCP_SERVICE_USER_SERVICE_TOKEN_FILE must name a readable file (")
            && missing[0].contains("/nonexistent/token"),
        "{missing:?}"
    );
    file(directory.path(), "  \n \n");
    assert!(auth(&[twin]).unwrap_err()[0].contains("must name a readable file"));
    file(directory.path(), "0123456789abcdef\n\nfedcba9876543210\n");
    let keys = with(&[("MCP_GATEWAY_API_KEYS_FILE", &path)])
        .unwrap()
        .gateway
        .api_keys
        .unwrap();
    assert_eq!(keys.len(), 2);
}

#[test]
fn what_is_wrong_with_a_secret_of_a_file_is_said_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(directory.path(), "\u{feff}from-a-file\r\n");
    let twin = ("TOKEN_FILE", path.as_str());
    let Ok(AuthSettings::Bearer { token }) = auth(&[twin]) else {
        panic!();
    };
    assert_eq!(token.expose(), "from-a-file");
    for (content, what) in [
        (
            "hunter2 hunter2",
            "bearer token holds characters that cannot be sent",
        ),
        ("changeme", "bearer token is a placeholder"),
    ] {
        file(directory.path(), content);
        assert_eq!(
            problems(&[
                ("MCP_SERVICE_USER_SERVICE_TOKEN", ""),
                ("MCP_SERVICE_USER_SERVICE_TOKEN_FILE", &path),
            ]),
            [format!(
                "Service user-service: {what} (MCP_SERVICE_USER_SERVICE_TOKEN_FILE is {path:?})"
            )]
        );
    }
    file(directory.path(), "two words");
    assert_eq!(
        problems(&[("MCP_GATEWAY_API_KEYS_FILE", &path)]),
        ["MCP_GATEWAY_API_KEYS_FILE must hold keys of visible ASCII characters"]
    );
}

#[test]
fn what_is_not_shown_is_said_with_its_place() {
    const SERVICES: &str = "services: {a: {endpoint: 'http://a', auth: {type: none}}}\n";

    let directory = tempfile::tempdir().unwrap();
    let native = directory.path().join("bartizan.yaml");
    let path = native.display();
    let problems = |variables: &str, gateway: &str| {
        fs::write(&native, format!("gateway: {gateway}\n{SERVICES}")).unwrap();
        let source = Source::from_iter([("MCP_SERVICE_A_AUTH_TYPE", "bearer")]);
        let source = source.with_text(variables, ".env");
        let source = source.with_config_file(&native);
        let errors = Configuration::parse(&source).unwrap_err();
        let problems = errors.problems().iter().map(ToString::to_string);
        problems.collect::<Vec<_>>()
    };
    const TOKEN: &str = "MCP_SERVICE_A_TOKEN=0123456789abcdef\n";
    for (variables, gateway, expected) in [
        (
            "\nMCP_SERVICE_A_TOKEN=changeme",
            "",
            "Service a: bearer token is a placeholder (MCP_SERVICE_A_TOKEN (.env, line 2))".to_owned(),
        ),
        (
            "MCP_SERVICE_A_TOKEN=x\nMCP_SERVICE_A_TOKEN_FILE=y",
            "",
            "MCP_SERVICE_A_TOKEN (.env, line 1) and MCP_SERVICE_A_TOKEN_FILE (.env, line 2) are both set"
                .to_owned(),
        ),
        (
            "MCP_SERVICE_A_TOKEN=0123456789abcdef\nMCP_SERVICE_A_ENDPOINT=http://u:p@a",
            "",
            "Service a: invalid endpoint URL (MCP_SERVICE_A_ENDPOINT (.env, line 2) must not hold a user \
             name or a password)"
                .to_owned(),
        ),
        (
            TOKEN,
            "{api_keys: changeme}",
            format!("gateway.api_keys ({path}, line 1, column 11) holds a placeholder"),
        ),
        (
            TOKEN,
            "{mcp: {session_keys: short}}",
            format!(
                "gateway.mcp.session_keys ({path}, line 1, column 17) must hold keys of at least 32 characters"
            ),
        ),
        (
            TOKEN,
            "{upstream_ca_file: /}",
            format!(
                "gateway.upstream_ca_file ({path}, line 1, column 11) must name a readable file (/: it is a \
                 directory)"
            ),
        ),
    ] {
        assert_eq!(problems(variables, gateway), [expected]);
    }
}

#[test]
fn no_url_that_is_wrong_shows_a_key_or_a_password() {
    let endpoint = "MCP_SERVICE_USER_SERVICE_ENDPOINT";
    let wrong = "Service user-service: invalid endpoint URL";
    let begin = "it must begin with http:// or https://";
    for (text, expected) in [
        ("htp://a?key=hunter2", r#" is "htp://a"..."#),
        (
            "http://a:99999/x?key=hunter2",
            r#" is "http://a:99999/x"..."#,
        ),
        ("http://a, htp://b?hunter2", r#" is "http://a, htp://b"..."#),
        ("htp://a#hunter2", r#" is "htp://a"..."#),
        ("u:hunter2@a", ""),
        ("nonsense,http://u:hunt,er2@a", ""),
    ] {
        let begin = if text.contains(":99999") {
            String::new()
        } else {
            format!(": {begin}")
        };
        assert_eq!(
            problems(&[(endpoint, text)]),
            [format!("{wrong} ({endpoint}{expected}{begin})")]
        );
    }
    assert_eq!(
        problems(&[("MCP_GATEWAY_URL", "nonsense?key=hunter2")]),
        [format!(
            r#"Gateway URL is required (MCP_GATEWAY_URL is "nonsense"...: {begin})"#
        )]
    );
}

#[test]
fn nothing_shows_a_secret() {
    const SECRET: &str = "hunter2-hunter2-hunter2";
    let hidden = |text: String| assert!(!text.contains("hunter2"), "{text}");
    let secrets = [
        "TOKEN",
        "API_KEY",
        "PASSWORD",
        "ACCESS_TOKEN",
        "REFRESH_TOKEN",
        "CLIENT_SECRET",
    ];
    for auth_type in ["bearer", "api-key", "basic", "oauth2", "none", "nonsense"] {
        for broken in ["", "\n"] {
            let secret = format!("{SECRET}{broken}x");
            let mut variables: Vec<(String, String)> = vec![
                ("MCP_SERVICES".into(), "user-service".into()),
                ("MCP_GATEWAY_API_KEYS".into(), secret.clone()),
                (
                    format!("{SERVICE}ENDPOINT"),
                    format!("http://user:{SECRET}@host{broken}"),
                ),
                (format!("{SERVICE}AUTH_TYPE"), auth_type.into()),
                (format!("{SERVICE}USERNAME"), "user".into()),
                (
                    format!("{SERVICE}TOKEN_URL"),
                    format!("https://issuer/{broken}"),
                ),
            ];
            for name in secrets {
                variables.push((format!("{SERVICE}{name}"), secret.clone()));
            }
            let source = Source::from_iter(variables.clone());
            hidden(format!("{source:?}"));
            let errors = Configuration::parse(&source).unwrap_err();
            hidden(format!("{errors} {errors:?}"));

            variables[2].1 = "http://host".into();
            match Configuration::parse(&Source::from_iter(variables)) {
                Ok(configuration) => {
                    hidden(format!("{configuration:?}"));
                    hidden(configuration.explain("user-service").unwrap().to_string());
                    hidden(configuration.explain_gateway().to_string());
                    hidden(configuration.summary().to_string());
                }
                Err(errors) => hidden(format!("{errors} {errors:?}")),
            }
        }
    }
}
