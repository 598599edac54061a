use bartizan_auth::Place;

use super::Rows;
use crate::{AuthSettings, AuthorizeSettings, Setting, redact};

/// What a service is shown of who calls.
pub(super) fn service_rows(rows: &mut Rows, auth: &Setting<AuthSettings>) {
    const AUTH: &str = "auth";

    rows.add(AUTH, "type", auth, |auth| auth.auth_type().to_string());
    match auth.value() {
        AuthSettings::None => {}
        AuthSettings::Bearer { token } => rows.shown(AUTH, "token", token),
        AuthSettings::ApiKey { key, place } => {
            rows.shown(AUTH, "key", key);
            rows.add(AUTH, "in", place, |place| match place {
                Place::Header(name) => format!("header {name}"),
                Place::Query(name) => format!("query parameter {name}"),
                Place::Cookie(name) => format!("cookie {name}"),
            });
        }
        AuthSettings::Basic { username, password } => {
            rows.shown(AUTH, "user name", username);
            rows.shown(AUTH, "password", password);
        }
        AuthSettings::OAuth2(oauth2) => {
            rows.shown(AUTH, "grant", &oauth2.grant);
            if let Some(token) = &oauth2.access_token {
                rows.shown(AUTH, "access token", token);
            }
            if let Some(token) = &oauth2.refresh_token {
                rows.shown(AUTH, "refresh token", token);
            }
            if let Some(path) = &oauth2.refresh_token_store {
                rows.add(AUTH, "kept in", path, |path| path.display().to_string());
            }
            if let Some(url) = &oauth2.token_url {
                rows.add(AUTH, "token URL", url, |url| redact::text(url.as_str()));
            }
            if let Some(id) = &oauth2.client_id {
                rows.shown(AUTH, "client id", id);
            }
            if let Some(secret) = &oauth2.client_secret {
                rows.shown(AUTH, "client secret", secret);
                rows.shown(AUTH, "client auth", &oauth2.client_authentication);
            }
            if let Some(scopes) = &oauth2.scopes {
                rows.add(AUTH, "scopes", scopes, |scopes| scopes.join(" "));
            }
            if let Some(audience) = &oauth2.audience {
                rows.shown(AUTH, "audience", audience);
            }
        }
        AuthSettings::Authorize(authorize) => authorize_rows(rows, authorize),
    }
}

fn authorize_rows(rows: &mut Rows, authorize: &AuthorizeSettings) {
    const AUTH: &str = "auth";

    rows.shown(AUTH, "grant", &authorize.grant);
    let texts = [
        ("client id", &authorize.client_id),
        ("client metadata", &authorize.client_metadata_url),
        ("issuer", &authorize.issuer),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            rows.shown(AUTH, name, text);
        }
    }
    if let Some(secret) = &authorize.client_secret {
        rows.shown(AUTH, "client secret", secret);
    }
    if let Some(key) = &authorize.private_key {
        rows.shown(AUTH, "private key", key);
        rows.shown(AUTH, "algorithm", &authorize.private_key_algorithm);
        if let Some(id) = &authorize.private_key_id {
            rows.shown(AUTH, "key id", id);
        }
    }
    if let Some(path) = &authorize.identity_token {
        rows.add(AUTH, "identity token", path, |it| it.display().to_string());
    }
    if let Some(provider) = &authorize.identity_provider {
        rows.add(AUTH, "identity provider", &provider.url, |url| {
            redact::text(url.as_str())
        });
        rows.shown(AUTH, "its client id", &provider.client_id);
        if let Some(secret) = &provider.client_secret {
            rows.shown(AUTH, "its client secret", secret);
        }
    }
    if let Some(scopes) = &authorize.scopes {
        rows.add(AUTH, "scopes", scopes, |scopes| scopes.join(" "));
    }
    if let Some(command) = &authorize.command {
        rows.add(AUTH, "browser", command, |words| shell_words::join(words));
    }
    if let Some(port) = &authorize.callback_port {
        rows.shown(AUTH, "callback port", port);
    }
    if let Some(path) = &authorize.store {
        rows.add(AUTH, "kept in", path, |path| path.display().to_string());
    }
}
