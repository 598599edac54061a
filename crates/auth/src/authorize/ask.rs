use http::StatusCode;
use tokio::time::timeout;

use super::{
    AuthorizeError, Callback, Identity, UserAgent,
    client::{Client, Proof, post_form},
    config::Way,
    document::{exchange, exchange_for_token, object, text},
    flight::Flight,
    flow::{Found, Memory},
    identity::IdentityProvider,
    pkce::{Pkce, nonce},
    redirect,
    server::Server,
};
use crate::{
    Secret, TokenClient, TokenErrorKind,
    oauth2::{Form, Granted, Refusal, read_token},
};

impl<S: TokenClient> Flight<'_, S> {
    /// Asks for a token that nothing but a new authorization can bring.
    pub(super) async fn ask(
        &mut self,
        found: &Found,
        memory: &mut Memory,
        scopes: Vec<String>,
    ) -> Result<Granted, Refusal> {
        let list = scopes.join(" ");
        let config = self.config;
        let granted = match &config.way {
            Way::Client => self.ask_itself(found, memory, &list).await,
            Way::Identity(identity) => self.ask_as(identity, found, memory, &list).await,
            Way::User {
                callback,
                user_agent,
            } => {
                let user = (&**callback, &**user_agent);
                self.ask_user(found, memory, &list, user).await
            }
        }?;
        memory.saved.scopes = scopes;
        memory.saved.refresh.clone_from(&granted.refresh);
        memory.view.refreshed = None;
        self.keep(memory).await;
        Ok(granted)
    }

    async fn ask_itself(
        &self,
        found: &Found,
        memory: &mut Memory,
        scopes: &str,
    ) -> Result<Granted, Refusal> {
        let client = self.known_client(&found.server, memory)?;
        let client = client.ok_or(AuthorizeError::NoClient)?;
        let mut form = Form::with("grant_type", "client_credentials");
        if !scopes.is_empty() {
            form.add("scope", scopes);
        }
        self.token(found, &client, form).await
    }

    async fn ask_as(
        &self,
        identity: &Identity,
        found: &Found,
        memory: &mut Memory,
        scopes: &str,
    ) -> Result<Granted, Refusal> {
        let nobody = Client {
            id: String::new(),
            proof: Proof::Nobody,
            redirect_uri: None,
        };
        let client = self.known_client(&found.server, memory)?;
        if client.is_none() && self.config.client.is_some() {
            return Err(AuthorizeError::NoClient.into());
        }
        // A provider is asked for what is good at one issuer; without one the token itself is shown.
        if identity.provider.is_none() && !memory.saved.is_bound_to(&found.server.issuer) {
            return Err(AuthorizeError::UntrustedIssuer.into());
        }
        let mut assertion = identity.token(self.config.service()).await?;
        if let Some(provider) = &identity.provider {
            assertion = self.exchange(provider, &assertion, found, scopes).await?;
        }
        let mut form = Form::with("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
        form.add("assertion", assertion.expose());
        if !scopes.is_empty() {
            form.add("scope", scopes);
        }
        self.token(found, &client.unwrap_or(nobody), form).await
    }

    /// Exchanges a user's ID token for a grant to the authorization server.
    async fn exchange(
        &self,
        provider: &IdentityProvider,
        token: &Secret,
        found: &Found,
        scopes: &str,
    ) -> Result<Secret, Refusal> {
        let id_jag = "urn:ietf:params:oauth:token-type:id-jag";
        let grant = "urn:ietf:params:oauth:grant-type:token-exchange";
        let mut form = Form::with("grant_type", grant);
        form.add("requested_token_type", id_jag);
        form.add("audience", &found.server.issuer);
        form.add("resource", &found.resource);
        form.add("subject_token", token.expose());
        form.add(
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:id_token",
        );
        form.add("client_id", &provider.client_id);
        if let Some(secret) = &provider.client_secret {
            form.add("client_secret", secret.expose());
        }
        if !scopes.is_empty() {
            form.add("scope", scopes);
        }
        let request = post_form(&provider.token_endpoint, form)?;
        let response = exchange(self.client, request).await?;
        let answer = object(response.body()).filter(|_| response.status().is_success());
        let answer = answer.ok_or(AuthorizeError::Identity)?;
        let issued = text(&answer, "issued_token_type") == Some(id_jag);
        let assertion = text(&answer, "access_token").filter(|_| issued);
        Ok(Secret::new(assertion.ok_or(AuthorizeError::Identity)?))
    }

    async fn ask_user(
        &mut self,
        found: &Found,
        memory: &mut Memory,
        scopes: &str,
        (callback, user_agent): (&dyn Callback, &dyn UserAgent),
    ) -> Result<Granted, Refusal> {
        let server = &found.server;
        let endpoint = server.authorization_endpoint.as_ref();
        let endpoint = endpoint.ok_or(AuthorizeError::Server)?;
        if !server.pkce {
            return Err(AuthorizeError::NoPkce.into());
        }
        let now = self.clock.now();
        if let Some(kind) = self.flow.spared(now) {
            return Err(kind.into());
        }
        if !self.flow.may_ask(now) {
            return Err(AuthorizeError::TooOften.into());
        }
        let (state, pkce) = (nonce()?, Pkce::new()?);
        let registered = memory.saved.client.clone();
        let before = registered
            .as_ref()
            .and_then(|it| it.redirect_uri.as_deref());
        let service = self.config.service();
        let nowhere = |error| {
            tracing::error!(service, %error, "nobody can be asked for authorization");
            AuthorizeError::Callback
        };
        let listening = callback.listen(&state, before).await.map_err(nowhere)?;
        let redirect_uri = listening.redirect_uri;
        let client = self.client(server, memory, &redirect_uri).await?;

        let mut page = endpoint.url().clone();
        // What the endpoint's own query says stays (RFC 6749, section 3.1).
        page.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", &redirect_uri)
            .append_pair("state", &state)
            .append_pair("code_challenge", &pkce.challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("resource", &found.resource);
        if !scopes.is_empty() {
            page.query_pairs_mut().append_pair("scope", scopes);
        }
        let issuer = &*server.issuer;
        tracing::info!(service, issuer, scopes, "asking a user for authorization");
        user_agent.open(page.as_str()).map_err(nowhere)?;
        self.flow.asked(self.clock.now());

        self.turn = None;
        let answer = timeout(self.config.user_timeout, listening.query).await;
        let answer = answer.map_err(|_| AuthorizeError::Unanswered)?;
        let code = redirect::code(&answer.map_err(nowhere)?, &state, server)?;
        self.turn = Some(self.flow.chain.turn().await);
        // What was refreshed meanwhile is newer. With another issuer than the one that was asked, the
        // service has no use for an answer of this one.
        let newest = self.flow.memory();
        let newest = newest.filter(|it| it.saved.issuer == server.issuer);
        *memory = newest.ok_or(AuthorizeError::UntrustedIssuer)?;
        let mut form = Form::with("grant_type", "authorization_code");
        form.add("code", code.expose());
        form.add("redirect_uri", &redirect_uri);
        form.add("code_verifier", pkce.verifier.expose());
        let granted = self.token(found, &client, form).await;
        match &granted {
            Ok(_) if client.redirect_uri.is_some() => memory.saved.client = Some(client),
            // The server may have forgotten a client that it registered; the next is another.
            Err(refusal) if refusal.kind.is_unknown_client() => {
                let forgotten = memory.saved.client.take_if(|it| it.id == client.id);
                if forgotten.is_some() {
                    // It belongs to that client, and no other may present it.
                    memory.saved.refresh = None;
                }
                self.keep(memory).await;
            }
            _ => {}
        }
        granted
    }

    pub(super) async fn refresh(
        &self,
        found: &Found,
        memory: &mut Memory,
    ) -> Result<Granted, Refusal> {
        let presented = memory.saved.refresh.clone();
        let presented = presented.ok_or(AuthorizeError::Unchallenged)?;
        let client = match self.known_client(&found.server, memory)? {
            Some(client) => client,
            None => memory
                .saved
                .client
                .clone()
                .ok_or(AuthorizeError::NoClient)?,
        };
        let mut form = Form::with("grant_type", "refresh_token");
        form.add("refresh_token", presented.expose());
        let granted = self.token(found, &client, form).await;
        match &granted {
            Ok(granted) => {
                if let Some(next) = &granted.refresh {
                    memory.saved.refresh = Some(next.clone());
                }
            }
            Err(refusal) if refusal.kind.is_unknown_client() => {
                memory.saved.client = None;
                memory.saved.refresh = None;
            }
            Err(refusal) if refusal.kind.is_final() => memory.saved.refresh = None,
            Err(_) => {}
        }
        self.keep(memory).await;
        granted
    }

    async fn token(
        &self,
        found: &Found,
        client: &Client,
        mut form: Form,
    ) -> Result<Granted, Refusal> {
        form.add("resource", &found.resource);
        let request = client.token_request(&found.server, form, self.clock.wall())?;
        let sent = self.clock.now();
        let response = exchange_for_token(self.client, request).await?;
        let mut granted = read_token(&response, sent, self.clock.wall())?;
        // Nobody issues what has expired: some say so of what does not.
        granted.lifetime = granted.lifetime.filter(|lifetime| !lifetime.is_zero());
        Ok(granted)
    }

    /// The client to ask as: the operator's, the one that a document describes, or one that is
    /// registered now or was before with this redirect.
    async fn client(
        &self,
        server: &Server,
        memory: &mut Memory,
        redirect_uri: &str,
    ) -> Result<Client, TokenErrorKind> {
        if let Some(client) = self.known_client(server, memory)? {
            return Ok(client);
        }
        let same = |client: &&Client| client.redirect_uri.as_deref() == Some(redirect_uri);
        if let Some(client) = memory.saved.client.as_ref().filter(same) {
            return Ok(client.clone());
        }
        let name = &self.config.client_name;
        let client = Client::register(self.client, server, name, redirect_uri).await?;
        let (service, issuer) = (self.config.service(), &*server.issuer);
        tracing::info!(
            service,
            issuer,
            client_id = client.id,
            "registered as a client"
        );
        // A refresh token belongs to the client that is kept, whose place another takes when it is
        // granted something.
        if memory.saved.refresh.is_none() {
            memory.saved.client = Some(client.clone());
            self.keep(memory).await;
        }
        Ok(client)
    }

    /// The client that needs no registration, if there is one for this issuer.
    fn known_client(
        &self,
        server: &Server,
        memory: &mut Memory,
    ) -> Result<Option<Client>, AuthorizeError> {
        let key = self.config.key.as_ref();
        if let Some(known) = &self.config.client
            && memory.saved.is_bound_to(&server.issuer)
        {
            return Ok(Some(Client {
                id: known.id.clone(),
                proof: Proof::choose(server, known.secret.as_ref(), key)?,
                redirect_uri: None,
            }));
        }
        match &self.config.metadata_url {
            Some(url) if server.metadata_documents => Ok(Some(Client {
                id: url.clone(),
                proof: Proof::None,
                redirect_uri: None,
            })),
            _ => Ok(None),
        }
    }
}

impl TokenErrorKind {
    /// Whether the token endpoint has understood what it was asked for a refresh token, and will say
    /// no the next time as well. The standard's word is `invalid_grant`; GitHub's, for one, is
    /// `bad_refresh_token`, with status 200, which some give to their own troubles, too.
    fn is_final(&self) -> bool {
        let passing = ["server_error", "slow_down", "temporarily_unavailable"];
        let is_of_token = |code: &str| code.contains("token") || code.contains("grant");
        match self {
            Self::Refused { status, code } => {
                let is_meant = |code: &str| match *status {
                    StatusCode::BAD_REQUEST => !passing.contains(&code),
                    status => status.is_success() && is_of_token(code),
                };
                self.is_terminal() || code.as_deref().is_some_and(is_meant)
            }
            _ => false,
        }
    }

    /// Whether the token endpoint does not know the client.
    fn is_unknown_client(&self) -> bool {
        match self {
            Self::Refused { status, code } => {
                code.as_deref() == Some("invalid_client")
                    || (code.is_none() && *status == StatusCode::UNAUTHORIZED)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_of_the_issuer_is_no_last_word_on_a_refresh_token() {
        for (status, code, is_final) in [
            (400, "invalid_grant", true),
            (400, "unauthorized_client", true),
            (400, "temporarily_unavailable", false),
            (200, "bad_refresh_token", true),
            (200, "token_expired", true),
            (200, "internal_error", false),
            (200, "incorrect_client_credentials", false),
            (503, "invalid_token", false),
        ] {
            let refused = TokenErrorKind::Refused {
                status: StatusCode::from_u16(status).unwrap(),
                code: Some(code.into()),
            };
            assert_eq!(refused.is_final(), is_final, "{status} {code}");
        }
    }
}
