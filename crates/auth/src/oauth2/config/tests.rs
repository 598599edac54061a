use super::*;

const URL: &str = "https://issuer.example/token";

fn builder(url: &str, grant: Grant) -> OAuth2ConfigBuilder {
    OAuth2Config::builder(url.parse().unwrap(), grant)
}

fn client(url: &str) -> OAuth2ConfigBuilder {
    builder(url, Grant::ClientCredentials)
        .client_id("gate")
        .client_secret(Secret::new("s3cr3t"))
}

fn refused(builder: OAuth2ConfigBuilder) -> InvalidOAuth2Config {
    builder.build().unwrap_err()
}

#[test]
fn plain_http_is_for_this_machine_unless_the_operator_says_so() {
    for local in [
        "http://localhost:1/t",
        "http://127.9.0.1/t",
        "http://[::1]:8/t",
    ] {
        assert!(client(local).build().is_ok(), "{local}");
    }
    let remote = "http://issuer.internal/token";
    assert_eq!(refused(client(remote)), InvalidOAuth2Config::PlainHttp);
    assert!(client(remote).allow_plain_http(true).build().is_ok());
}

#[test]
fn urls_that_are_no_endpoint_are_refused() {
    for url in ["/token", "issuer:443", "ftp://issuer/token"] {
        assert_eq!(refused(client(url)), InvalidOAuth2Config::TokenUrl, "{url}");
    }
    let leaky = "https://user:password@issuer/token";
    assert_eq!(
        refused(client(leaky)),
        InvalidOAuth2Config::CredentialsInUrl
    );
}

#[test]
fn what_could_never_work_is_refused() {
    let anonymous = builder(URL, Grant::ClientCredentials);
    assert_eq!(refused(anonymous.clone()), InvalidOAuth2Config::NoClientId);
    assert_eq!(
        refused(anonymous.client_secret(Secret::new("x"))),
        InvalidOAuth2Config::SecretWithoutId
    );
    assert_eq!(
        refused(client(URL).client_secret(Secret::new(""))),
        InvalidOAuth2Config::EmptySecret
    );
    let refresh = Grant::refresh_token(Secret::new(""));
    assert_eq!(
        refused(builder(URL, refresh)),
        InvalidOAuth2Config::EmptySecret
    );
    let access = Grant::RefreshToken {
        access: Some(Secret::new("two words")),
        refresh: Secret::new("r"),
    };
    assert_eq!(
        refused(builder(URL, access)),
        InvalidOAuth2Config::AccessToken
    );
    for scope in ["", "a b", "a\"", "é"] {
        assert_eq!(
            refused(client(URL).scopes([scope])),
            InvalidOAuth2Config::Scope
        );
    }
    let zero = Duration::ZERO;
    for builder in [
        client(URL).default_lifetime(zero),
        client(URL).load_timeout(zero),
        client(URL).failure_pause(zero),
    ] {
        assert_eq!(refused(builder), InvalidOAuth2Config::ZeroDuration);
    }
}

#[test]
fn the_client_is_form_encoded_before_base64() {
    let config = builder(URL, Grant::ClientCredentials)
        .client_id("a:b")
        .client_secret(Secret::new("c d"))
        .build()
        .unwrap();
    // base64("a%3Ab:c%20d")
    let header = config.authorization.unwrap();
    assert_eq!(header, "Basic YSUzQWI6YyUyMGQ=");
    assert!(header.is_sensitive());
}

#[test]
fn long_pauses_are_kept_as_they_are() {
    let config = client(URL)
        .failure_pause(Duration::from_secs(90))
        .build()
        .unwrap();
    assert_eq!(config.failure_pause.max(), Duration::from_secs(90));
}
