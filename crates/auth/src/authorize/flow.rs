use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use bartizan_clock::{Clock, Instant};
use http::StatusCode;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::{
    Authorize, AuthorizeError, Callback, Identity, UserAgent,
    challenge::Challenge,
    client::{Client, Proof, post_form},
    config::Way,
    document::{exchange, object, text},
    file::Saved,
    identity::IdentityProvider,
    pkce::{Pkce, nonce},
    redirect,
    resource::Resource,
    server::Server,
};
use crate::{
    Secret, TokenClient, TokenErrorKind,
    oauth2::{Form, Granted, Refusal, read_token},
};

/// Users are asked so often in a while, whatever the service says.
const MAX_CONSENTS: usize = 3;
const CONSENT_WINDOW: Duration = Duration::from_secs(10 * 60);

/// A token asks for no more scopes than this.
const MAX_SCOPES: usize = 64;

/// A token that is refused so soon after it was refreshed needs more than another refresh.
const REFRESHED: Duration = Duration::from_secs(60);

/// What is left for exchanges when the user has answered at the last moment.
const EXCHANGES: Duration = Duration::from_secs(60);

/// A pause after an answer, or none, that asking again would not change.
const TIRESOME: Duration = Duration::from_secs(5 * 60);

/// Becomes authorized for one resource. At most one request for a token is under way.
pub(crate) struct Flow {
    config: Authorize,
    /// What the flight that is about to begin has to answer.
    pending: Mutex<Option<Challenge>>,
    /// What is known of the issuer. Taken and put back by the one flight, read by others.
    memory: Mutex<Memory>,
    /// When users were asked.
    consents: Mutex<VecDeque<Instant>>,
}

#[derive(Clone, Debug, Default)]
struct Memory {
    loaded: bool,
    /// The issuer's description, once it has been fetched in this process.
    found: Option<Arc<Found>>,
    saved: Saved,
    /// When the last refusal was answered with a refresh.
    refreshed: Option<Instant>,
}

/// Who authorizes access, and under what name.
#[derive(Debug)]
struct Found {
    resource: String,
    server: Server,
}

impl Flow {
    pub(crate) fn new(config: Authorize) -> Self {
        Self {
            config,
            pending: Mutex::default(),
            memory: Mutex::default(),
            consents: Mutex::default(),
        }
    }

    /// Whether a token can be asked for without a refusal to begin with and without a user.
    pub(crate) fn can_grant(&self) -> bool {
        let memory = self.memory.lock();
        let user = matches!(self.config.way, Way::User { .. });
        let silent = !user || memory.saved.refresh.is_some();
        memory.found.is_some() && silent
    }

    /// Whether it makes sense to ask for what a service wants: a wider scope only if it was not
    /// asked for before.
    pub(crate) fn admits(&self, challenge: &Challenge) -> bool {
        let asked = &self.memory.lock().saved.scopes;
        !challenge.insufficient_scope || challenge.scopes.iter().any(|it| !asked.contains(it))
    }

    /// Tells the next flight what it is for.
    pub(crate) fn expect(&self, challenge: Challenge) {
        *self.pending.lock() = Some(challenge);
    }

    /// How long a flight may go on when all callers have been sent away.
    pub(crate) fn longest(&self) -> Duration {
        self.config.user_patience + EXCHANGES
    }

    /// Fetches a token.
    pub(crate) async fn obtain<S: TokenClient>(
        &self,
        client: &Mutex<S>,
        clock: Clock,
    ) -> Result<Granted, Refusal> {
        let flight = Flight {
            flow: self,
            config: &self.config,
            client,
            clock,
        };
        let challenge = self.pending.lock().take();
        flight
            .run(challenge)
            .await
            .map_err(|refusal| match refusal.kind {
                TokenErrorKind::Authorize(error) if error.is_tiresome() => Refusal {
                    kind: TokenErrorKind::Authorize(error),
                    retry_after: Some(TIRESOME),
                },
                // Another authorization can help where another configuration could elsewhere.
                kind if kind.is_terminal() => AuthorizeError::Declined { code: kind.code() }.into(),
                kind => Refusal { kind, ..refusal },
            })
    }

    /// Whether a user may be asked now; counts it if so.
    fn admit_consent(&self, now: Instant) -> bool {
        let mut consents = self.consents.lock();
        while consents
            .front()
            .is_some_and(|&at| now - at >= CONSENT_WINDOW)
        {
            consents.pop_front();
        }
        let admitted = consents.len() < MAX_CONSENTS;
        if admitted {
            consents.push_back(now);
        }
        admitted
    }
}

/// One way to one token.
struct Flight<'a, S> {
    flow: &'a Flow,
    config: &'a Authorize,
    client: &'a Mutex<S>,
    clock: Clock,
}

impl<S: TokenClient> Flight<'_, S> {
    async fn run(&self, challenge: Option<Challenge>) -> Result<Granted, Refusal> {
        let mut memory = self.recall().await?;
        let Some(challenge) = challenge else {
            return self.renew(memory).await;
        };
        let (found, scopes) = self.discover(&challenge, &mut memory).await?;
        self.keep(&memory).await;
        let now = self.clock.now();
        let just_refreshed = memory.refreshed.is_some_and(|at| now - at < REFRESHED);
        if memory.saved.refresh.is_some() && !challenge.insufficient_scope && !just_refreshed {
            memory.refreshed = Some(now);
            match self.refresh(&found, &mut memory).await {
                Err(refusal) if refusal.kind.is_terminal() => {}
                settled => return settled,
            }
        }
        self.ask(&found, &mut memory, scopes).await
    }

    /// Replaces a token that has grown old, which nobody has refused.
    async fn renew(&self, mut memory: Memory) -> Result<Granted, Refusal> {
        let unchallenged = || Err(AuthorizeError::Unchallenged.into());
        let Some(found) = memory.found.clone() else {
            return unchallenged();
        };
        match self.config.way {
            Way::Client | Way::Identity(_) => {
                let scopes = memory.saved.scopes.clone();
                self.ask(&found, &mut memory, scopes).await
            }
            Way::User { .. } if memory.saved.refresh.is_none() => unchallenged(),
            Way::User { .. } => match self.refresh(&found, &mut memory).await {
                Err(refusal) if refusal.kind.is_terminal() => unchallenged(),
                settled => settled,
            },
        }
    }

    /// What is known, and what a former process knew.
    async fn recall(&self) -> Result<Memory, Refusal> {
        let mut memory = self.flow.memory.lock().clone();
        if let Some(file) = self.config.file.as_ref().filter(|_| !memory.loaded) {
            let loaded = file.load().await.map_err(|error| {
                tracing::error!(%error, "the saved authorization cannot be read");
                AuthorizeError::Store
            })?;
            let resource = self.config.resource.url().as_str();
            memory.saved = loaded
                .filter(|saved| saved.resource == resource)
                .unwrap_or_default();
        }
        memory.loaded = true;
        self.flow.memory.lock().clone_from(&memory);
        Ok(memory)
    }

    /// Remembers what is known; in memory first, where nothing can fail.
    async fn keep(&self, memory: &Memory) {
        self.flow.memory.lock().clone_from(memory);
        if let Some(file) = &self.config.file {
            let saved = timeout(Duration::from_secs(5), file.save(&memory.saved)).await;
            let error = match saved {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(_) => std::io::ErrorKind::TimedOut.into(),
            };
            tracing::error!(%error, "the authorization could not be saved");
        }
    }

    /// Finds out who authorizes access, and which scopes to ask for.
    async fn discover(
        &self,
        challenge: &Challenge,
        memory: &mut Memory,
    ) -> Result<(Arc<Found>, Vec<String>), TokenErrorKind> {
        let home = &self.config.resource;
        let resource = Resource::discover(self.client, home, challenge).await?;
        let issuer = self.issuer(&resource, &memory.saved)?;
        let server = Server::discover(self.client, issuer, home).await?;
        if memory.saved.issuer != server.issuer {
            // What one issuer gave is never shown to another.
            memory.saved = Saved {
                resource: home.url().as_str().to_owned(),
                issuer: server.issuer.clone(),
                bound: memory.saved.bound.take(),
                ..Saved::default()
            };
            memory.refreshed = None;
        }
        let mut wanted = self.config.scopes.clone();
        wanted.extend(challenge.scopes.iter().cloned());
        if wanted.is_empty() {
            wanted.clone_from(&resource.scopes);
        }
        let offline = "offline_access";
        let user = matches!(self.config.way, Way::User { .. });
        if user && !wanted.is_empty() && server.scopes.iter().any(|scope| scope == offline) {
            wanted.push(offline.into());
        }
        // All that was asked for before, or a step up would lead down elsewhere.
        let mut scopes = memory.saved.scopes.clone();
        for scope in wanted {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        if scopes.len() > MAX_SCOPES {
            return Err(AuthorizeError::Scopes.into());
        }
        let identifier = resource.identifier;
        let found = Arc::new(Found {
            resource: identifier,
            server,
        });
        memory.found = Some(Arc::clone(&found));
        Ok((found, scopes))
    }

    /// Which of a resource's issuers to deal with.
    fn issuer<'r>(&self, resource: &'r Resource, saved: &Saved) -> Result<&'r str, AuthorizeError> {
        let named = |name: &str| resource.servers.iter().find(|it| *it == name);
        let issuer = match &self.config.issuer {
            Some(only) => named(only).ok_or(AuthorizeError::UntrustedIssuer)?,
            None => named(&saved.issuer).unwrap_or(&resource.servers[0]),
        };
        Ok(issuer)
    }

    /// Asks for a token that nothing but a new authorization can bring.
    async fn ask(
        &self,
        found: &Found,
        memory: &mut Memory,
        scopes: Vec<String>,
    ) -> Result<Granted, Refusal> {
        let list = scopes.join(" ");
        let granted = match &self.config.way {
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
        memory.refreshed = None;
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
        let mut assertion = identity.token().await?;
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
        &self,
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
        if !self.flow.admit_consent(self.clock.now()) {
            return Err(AuthorizeError::TooOften.into());
        }
        let (state, pkce) = (nonce()?, Pkce::new()?);
        let registered = memory.saved.client.clone();
        let before = registered
            .as_ref()
            .and_then(|it| it.redirect_uri.as_deref());
        let nowhere = |error| {
            tracing::error!(%error, "nobody can be asked for authorization");
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
        tracing::info!(issuer, scopes, "asking a user for authorization");
        user_agent.open(page.as_str()).map_err(nowhere)?;

        let answer = timeout(self.config.user_patience, listening.query).await;
        let answer = answer.map_err(|_| AuthorizeError::Unanswered)?;
        let code = redirect::code(&answer.map_err(nowhere)?, &state, server)?;
        let mut form = Form::with("grant_type", "authorization_code");
        form.add("code", code.expose());
        form.add("redirect_uri", &redirect_uri);
        form.add("code_verifier", pkce.verifier.expose());
        // The server may have forgotten a client that it registered; the next is another.
        let granted = self.token(found, &client, form).await;
        if granted
            .as_ref()
            .is_err_and(|refusal| refusal.kind.is_unknown_client())
        {
            memory.saved.client = None;
            self.keep(memory).await;
        }
        granted
    }

    async fn refresh(&self, found: &Found, memory: &mut Memory) -> Result<Granted, Refusal> {
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
            Err(refusal) if refusal.kind.is_terminal() => memory.saved.refresh = None,
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
        let response = exchange(self.client, request).await?;
        read_token(&response, self.clock.wall())
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
        let issuer = &*server.issuer;
        tracing::info!(issuer, client_id = client.id, "registered as a client");
        memory.saved.client = Some(client.clone());
        self.keep(memory).await;
        Ok(client)
    }

    /// The client that needs no registration, if there is one for this issuer.
    fn known_client(
        &self,
        server: &Server,
        memory: &mut Memory,
    ) -> Result<Option<Client>, AuthorizeError> {
        let key = self.config.key.as_ref();
        if let Some(known) = &self.config.client {
            let bound = memory
                .saved
                .bound
                .get_or_insert_with(|| server.issuer.clone());
            if *bound == server.issuer {
                return Ok(Some(Client {
                    id: known.id.clone(),
                    proof: Proof::choose(server, known.secret.as_ref(), key)?,
                    redirect_uri: None,
                }));
            }
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
    /// The error code of a refusal.
    fn code(&self) -> Option<Arc<str>> {
        match self {
            Self::Refused { code, .. } => code.clone(),
            _ => None,
        }
    }

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

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_asked_three_times_in_ten_minutes() {
        let authorize = Authorize::client_credentials("https://api.example/")
            .client_id("c")
            .client_secret(Secret::new("s"));
        let flow = Flow::new(authorize.build().unwrap());
        let minute = |n: u64| Instant::from_nanos(0) + Duration::from_secs(60 * n);
        let admitted = [0, 1, 2, 3, 9, 10, 10, 11, 30].map(|n| flow.admit_consent(minute(n)));
        assert_eq!(
            admitted,
            [true, true, true, false, false, true, false, true, true]
        );
    }
}
