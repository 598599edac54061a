use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bartizan_clock::Clock;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::{
    Authorize, AuthorizeError,
    challenge::Challenge,
    config::Way,
    file::Saved,
    flow::{Flow, Found, Memory},
    resource::Resource,
    server::Server,
};
use crate::{
    TokenClient, TokenErrorKind,
    oauth2::{Granted, Refusal, Turn},
};

/// A token that is refused so soon after it was refreshed needs more than another refresh.
const REFRESHED: Duration = Duration::from_secs(60);

/// A token asks for no more scopes than this: as many as are read from a list, and as many again that
/// the operator, a step-up and we ourselves want on top.
const MAX_SCOPES: usize = 128;

/// One way to one token.
pub(super) struct Flight<'a, S> {
    pub(super) flow: &'a Flow,
    pub(super) config: &'a Authorize,
    pub(super) client: &'a Mutex<S>,
    pub(super) clock: Clock,
    /// Given up while a user is asked: others refresh what there is meanwhile.
    pub(super) turn: Option<Turn>,
}

impl<S: TokenClient> Flight<'_, S> {
    pub(super) async fn run(&mut self, challenge: Option<Challenge>) -> Result<Granted, Refusal> {
        let mut memory = self.recall().await?;
        let Some(challenge) = challenge else {
            return self.renew(memory).await;
        };
        let (found, scopes) = self.discover(&challenge, &mut memory).await?;
        self.bind(&found.server, &mut memory);
        self.keep(&memory).await;
        let now = self.clock.now();
        let just_refreshed = memory.view.refreshed.is_some_and(|at| now - at < REFRESHED);
        if memory.saved.refresh.is_some() && !challenge.insufficient_scope && !just_refreshed {
            match self.refresh(&found, &mut memory).await {
                Err(_) if memory.saved.refresh.is_none() => {}
                settled => {
                    // What brought no token says nothing of the next.
                    self.flow.view.lock().refreshed = settled.is_ok().then_some(now);
                    return settled;
                }
            }
        }
        self.ask(&found, &mut memory, scopes).await
    }

    /// Has what the operator has be shown to this issuer, if there is none yet, or none but this may
    /// be dealt with. Before anything is shown, as an issuer that refuses has seen it as well.
    fn bind(&self, server: &Server, memory: &mut Memory) {
        let shows_token =
            matches!(&self.config.way, Way::Identity(identity) if identity.provider.is_none());
        let shows = self.config.client.is_some() || shows_token;
        let bound = &mut memory.saved.bound;
        if shows && (bound.is_none() || self.config.issuer.is_some()) {
            *bound = Some(server.issuer.clone());
        }
    }

    /// Replaces a token that has grown old, which nobody has refused.
    async fn renew(&mut self, mut memory: Memory) -> Result<Granted, Refusal> {
        let renewed = self.try_to_renew(&mut memory).await;
        // The issuer may have moved, and over a token that is only old nobody is challenged.
        self.flow.view.lock().doubtful = renewed.is_err();
        renewed
    }

    async fn try_to_renew(&mut self, memory: &mut Memory) -> Result<Granted, Refusal> {
        let unchallenged = || Err(AuthorizeError::Unchallenged.into());
        let Some(mut found) = memory.view.found.clone() else {
            return unchallenged();
        };
        let mut scopes = memory.saved.scopes.clone();
        if memory.view.doubtful {
            let again = Challenge {
                resource_metadata: found.metadata.clone(),
                ..Challenge::default()
            };
            let mut ahead = memory.clone();
            // Who is known may be back though nobody describes it, and nothing shows another.
            if let Ok((now, wanted)) = self.discover(&again, &mut ahead).await {
                *memory = ahead;
                self.bind(&now.server, memory);
                self.keep(memory).await;
                if now.server.issuer != found.server.issuer {
                    scopes = wanted;
                }
                found = now;
            }
        }
        match self.config.way {
            Way::Client | Way::Identity(_) => self.ask(&found, memory, scopes).await,
            Way::User { .. } if memory.saved.refresh.is_none() => unchallenged(),
            Way::User { .. } => match self.refresh(&found, memory).await {
                Err(_) if memory.saved.refresh.is_none() => unchallenged(),
                settled => settled,
            },
        }
    }

    /// What is known, and what a former process knew.
    async fn recall(&self) -> Result<Memory, Refusal> {
        if let Some(mut memory) = self.flow.memory() {
            // Another may have gone on with another issuer, to which what it gave belongs.
            let issuer = &memory.saved.issuer;
            let found = &mut memory.view.found;
            *found = found.take().filter(|it| it.server.issuer == *issuer);
            return Ok(memory);
        }
        let loaded = match &self.config.file {
            Some(file) => file.load().await.map_err(|error| {
                let service = self.config.service();
                tracing::error!(service, %error, "the saved authorization cannot be read");
                AuthorizeError::Store
            })?,
            None => None,
        };
        let resource = self.config.resource.url().as_str();
        let saved = loaded.filter(|saved| saved.resource == resource);
        let saved = saved.unwrap_or_default();
        self.flow.chain.grow(saved.clone());
        let view = self.flow.view.lock().clone();
        Ok(Memory { view, saved })
    }

    /// Remembers what is known; in memory first, where nothing can fail.
    pub(super) async fn keep(&self, memory: &Memory) {
        self.flow.view.lock().clone_from(&memory.view);
        self.flow.chain.grow(memory.saved.clone());
        if let Some(file) = &self.config.file {
            let saved = timeout(Duration::from_secs(5), file.save(&memory.saved)).await;
            let saved = saved.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
            self.flow.unsaved.store(saved.is_err(), Ordering::Relaxed);
            if let Err(error) = saved {
                let service = self.config.service();
                tracing::error!(service, %error, "the authorization could not be saved");
            }
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
            memory.view.refreshed = None;
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
            metadata: challenge.resource_metadata.clone(),
            resource: identifier,
            server,
        });
        memory.view.found = Some(Arc::clone(&found));
        memory.view.doubtful = false;
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
}
