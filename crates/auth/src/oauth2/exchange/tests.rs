use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use super::*;
use crate::{Actor, ClientAuth, OAuth2ConfigBuilder};

fn builder(grant: Grant) -> OAuth2ConfigBuilder {
    OAuth2Config::builder(
        http::Uri::from_static("https://issuer.example/token"),
        grant,
    )
    .client_id("gate")
    .client_secret(Secret::new("cl13nt s3cr3t"))
}

fn decoded(form: &str) -> Vec<(String, String)> {
    let decode = |text| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    form.split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn fields(config: &OAuth2Config, refresh: Option<&Secret>) -> HashMap<String, String> {
    decoded(&form(config, refresh)).into_iter().collect()
}

fn answer(status: u16, body: &str) -> Result<Granted, Refusal> {
    let response = Response::builder()
        .status(status)
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap();
    read(&response, Instant::from_nanos(0), SystemTime::UNIX_EPOCH)
}

fn refused(status: u16, body: &str) -> TokenErrorKind {
    match answer(status, body) {
        Ok(_) => panic!("{body} is no token"),
        Err(refusal) => refusal.kind,
    }
}

#[test]
fn client_credentials_in_a_header_leave_the_form_without_the_secret() {
    let config = builder(Grant::ClientCredentials)
        .scopes(["read", "write"])
        .resource("https://api.example/")
        .build()
        .unwrap();
    let request = request(&config, None);
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "https://issuer.example/token");
    assert!(request.headers()["authorization"].is_sensitive());
    assert_eq!(
        form(&config, None),
        "grant_type=client_credentials&scope=read%20write&resource=https%3A%2F%2Fapi.example%2F"
    );
}

#[test]
fn client_credentials_in_the_body_leave_the_headers_without_them() {
    let config = builder(Grant::ClientCredentials)
        .client_auth(ClientAuth::Body)
        .build()
        .unwrap();
    assert!(
        !request(&config, None)
            .headers()
            .contains_key("authorization")
    );
    let fields = fields(&config, None);
    assert_eq!(fields["client_id"], "gate");
    assert_eq!(fields["client_secret"], "cl13nt s3cr3t");
}

#[test]
fn a_public_client_names_itself() {
    let grant = Grant::refresh_token(Secret::new("first"));
    let url = http::Uri::from_static("https://issuer.example/token");
    let config = OAuth2Config::builder(url, grant)
        .client_id("public")
        .build()
        .unwrap();
    let fields = fields(&config, Some(&Secret::new("newest")));
    assert_eq!(fields["grant_type"], "refresh_token");
    assert_eq!(fields["refresh_token"], "newest");
    assert_eq!(fields["client_id"], "public");
    assert!(!fields.contains_key("client_secret"));
}

#[test]
fn a_token_exchange_names_subject_actor_and_target() {
    let access_token = "urn:ietf:params:oauth:token-type:access_token";
    let grant = Grant::TokenExchange {
        subject_token: Secret::new("subject"),
        subject_token_type: access_token.into(),
        actor: Some(Actor {
            token: Secret::new("actor"),
            token_type: access_token.into(),
        }),
        requested_token_type: Some(access_token.into()),
    };
    let config = builder(grant)
        .audience("orders")
        .audience("users")
        .build()
        .unwrap();
    let form = form(&config, None);
    let fields: HashMap<_, _> = decoded(&form).into_iter().collect();
    assert_eq!(fields["grant_type"], TOKEN_EXCHANGE);
    assert_eq!(fields["subject_token"], "subject");
    assert_eq!(fields["subject_token_type"], access_token);
    assert_eq!(fields["actor_token"], "actor");
    assert_eq!(fields["actor_token_type"], access_token);
    assert_eq!(fields["requested_token_type"], access_token);
    assert!(form.ends_with("audience=orders&audience=users"), "{form}");
}

#[test]
fn lifetimes_in_all_spellings() {
    let lifetime = |spelling: &str| {
        let body =
            format!(r#"{{"access_token":"a","token_type":"bearer","expires_in":{spelling}}}"#);
        answer(200, &body).ok().unwrap().lifetime
    };
    for hour in ["3600", "3600.0", "\"3600\""] {
        assert_eq!(lifetime(hour), Some(Duration::from_secs(3600)), "{hour}");
    }
    assert_eq!(lifetime("1e300"), Some(Duration::MAX));
    for nonsense in ["null", "-1", "\"soon\"", "\"NaN\"", "[]", "\"\""] {
        assert_eq!(lifetime(nonsense), None, "{nonsense}");
    }
}

#[test]
fn a_refusal_keeps_the_code_and_nothing_else() {
    let refusal = refused(
        400,
        r#"{"error":"invalid_grant","error_description":"token s3cr3t is revoked"}"#,
    );
    assert!(refusal.is_terminal());
    let text = format!("{refusal} {refusal:?}");
    assert!(text.contains("status 400: invalid_grant"), "{text}");
    assert!(!text.contains("s3cr3t"), "{text}");

    for leaky in ["s3cr3t", "SECRET", "with blank", &"a".repeat(41)] {
        let refusal = refused(401, &format!(r#"{{"error":"{leaky}"}}"#));
        let text = format!("{refusal} {refusal:?}");
        assert!(!text.contains(leaky), "{text}");
        assert!(!refusal.is_terminal());
    }
}

#[test]
fn a_refusal_may_come_with_status_200_or_without_json() {
    assert!(refused(200, r#"{"error":"invalid_grant"}"#).is_terminal());
    let page = refused(502, "<html>");
    assert!(matches!(
        page,
        TokenErrorKind::Refused { status, code: None } if status == 502
    ));
}

#[test]
fn answers_without_a_usable_token_are_malformed() {
    for body in [
        "",
        "{}",
        "[]",
        r#"{"access_token":""}"#,
        r#"{"access_token":7}"#,
        r#"{"access_token":"a b"}"#,
        r#"{"access_token":"a\r\nx: y"}"#,
        r#"{"access_token":"a","token_type":"mac"}"#,
    ] {
        let kind = refused(200, body);
        assert!(matches!(kind, TokenErrorKind::Malformed(_)), "{body}");
    }
}

#[test]
fn an_overloaded_issuer_says_when_to_return() {
    let response = |status: u16| {
        Response::builder()
            .status(status)
            .header("retry-after", "7")
            .body(Bytes::new())
            .unwrap()
    };
    let pause = |status| {
        read(
            &response(status),
            Instant::from_nanos(0),
            SystemTime::UNIX_EPOCH,
        )
        .err()
        .unwrap()
    };
    assert_eq!(pause(429).retry_after, Some(Duration::from_secs(7)));
    assert_eq!(pause(503).retry_after, Some(Duration::from_secs(7)));
    assert_eq!(pause(400).retry_after, None);
}

proptest! {
    #[test]
    fn any_refresh_token_arrives_as_it_was(token in any::<String>()) {
        let config = builder(Grant::refresh_token(Secret::new("first"))).build().unwrap();
        prop_assert_eq!(&fields(&config, Some(&Secret::new(&token)))["refresh_token"], &token);
    }

    #[test]
    fn any_answer_is_survived(status in 100_u16..600, body in any::<String>()) {
        let _ = answer(status, &body);
    }
}
