//! The endpoints that change something.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Path, State},
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, request};

use super::shapes::{Deregistered, Registered, Registration, Reloaded, Synced, Totals};
use crate::{
    ReloadError,
    front::detail::{self, Fault, Place},
    manage,
    registries::ChangeError,
    works::Works,
};

/// How many seconds an instance stays without being heard of.
const X_INSTANCE_TTL: HeaderName = HeaderName::from_static("x-instance-ttl");
/// Longer is for good.
const LONGEST_TTL: f64 = 366.0 * 86_400.0;

pub(super) async fn register(
    State(works): State<Arc<Works>>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    if let Some(refused) = refused_page(&works, &head) {
        return refused;
    }
    let shared = works.current().load();
    let body = match shared.collect(body).await {
        Ok(body) => body,
        Err(error) => return detail::error(&error),
    };
    let registration: Registration = match detail::read(&body, &["template_name", "instance"]) {
        Ok(registration) => registration,
        Err(faults) => return detail::invalid(faults),
    };
    let is_admin = shared.is_admin(&head.headers);
    match registered(&works, registration, is_admin).await {
        Ok(registered) => detail::json(StatusCode::OK, &registered),
        Err((status, why)) => detail::refuse(status, format!("Registration failed: {why}")),
    }
}

async fn registered(
    works: &Arc<Works>,
    registration: Registration,
    is_admin: bool,
) -> Result<Registered, (StatusCode, String)> {
    let bad = |why: String| (StatusCode::BAD_REQUEST, why);
    let Registration {
        template_name,
        instance,
        ttl,
    } = registration;
    let kept_for = match ttl {
        None => None,
        Some(seconds) if seconds > 0.0 && seconds <= LONGEST_TTL => {
            Some(Duration::from_secs_f64(seconds))
        }
        Some(_) => {
            let why = "ttl must be a positive number of seconds, of a year at most";
            return Err(bad(why.to_owned()));
        }
    };
    let added = works
        .register_as_written(&template_name, instance.get(), kept_for, is_admin)
        .await;
    let manage::Added {
        id,
        replaced,
        remarks,
    } = added.map_err(|error| match error {
        ChangeError::NotPermitted(error) if error.is_for_others() => {
            (StatusCode::FORBIDDEN, error.to_string())
        }
        error => bad(error.to_string()),
    })?;
    Ok(Registered {
        success: true,
        message: format!("Registered instance {id} for template {template_name}"),
        instance_id: id.to_string(),
        template_name,
        replaced,
        ttl,
        warnings: remarks.iter().map(ToString::to_string).collect(),
    })
}

pub(super) async fn deregister(
    State(works): State<Arc<Works>>,
    Path((template, id)): Path<(String, String)>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, _) = request.into_parts();
    if let Some(refused) = refused_page(&works, &head) {
        return refused;
    }
    match works.deregister(&template, &id).await {
        Ok(_) => {
            let deregistered = Deregistered {
                success: true,
                message: format!("Deregistered instance {id} from template {template}"),
                instance_id: id,
                template_name: template,
            };
            detail::json(StatusCode::OK, &deregistered)
        }
        Err(ChangeError::NotFound { .. }) => {
            detail::refuse(StatusCode::NOT_FOUND, "Instance not found")
        }
        Err(error @ ChangeError::NotOurs { .. }) => {
            detail::refuse(StatusCode::CONFLICT, error.to_string())
        }
        Err(error) => {
            let why = format!("Deregistration failed: {error}");
            detail::refuse(StatusCode::INTERNAL_SERVER_ERROR, why)
        }
    }
}

pub(super) async fn heartbeat(
    State(works): State<Arc<Works>>,
    Path((template, id)): Path<(String, String)>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, _) = request.into_parts();
    if let Some(refused) = refused_page(&works, &head) {
        return refused;
    }
    let Ok(ttl) = works.registries().heartbeat(&template, &id) else {
        return detail::refuse(StatusCode::NOT_FOUND, "Instance not found");
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let ttl = ttl.and_then(|ttl| HeaderValue::try_from(ttl.as_secs_f64().to_string()).ok());
    if let Some(ttl) = ttl {
        response.headers_mut().insert(X_INSTANCE_TTL, ttl);
    }
    response
}

pub(super) async fn sync(
    State(works): State<Arc<Works>>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, _) = request.into_parts();
    if let Some(refused) = refused_page(&works, &head) {
        return refused;
    }
    let synced = works.sync().await;
    let status = match &synced.error {
        Some(_) => StatusCode::INTERNAL_SERVER_ERROR,
        None => StatusCode::OK,
    };
    let totals = |totals: manage::Totals| Totals {
        templates: totals.services,
        instances: totals.instances,
        healthy_instances: totals.healthy,
    };
    let answer = Synced {
        before: totals(synced.before),
        after: totals(synced.after),
        added: synced.added,
        removed: synced.removed,
        detail: synced.error.map(|error| format!("Sync failed: {error}")),
    };
    detail::json(status, &answer)
}

pub(super) async fn reload(
    State(works): State<Arc<Works>>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, _) = request.into_parts();
    if let Some(refused) = refused_page(&works, &head) {
        return refused;
    }
    match works.reload_from_source().await {
        Ok(reloaded) => {
            let answer = Reloaded {
                success: true,
                message: reloaded.to_string(),
                added: reloaded.added,
                removed: reloaded.removed,
                changed: reloaded.changed,
                unchanged: reloaded.unchanged,
                needs_restart: reloaded.needs_restart,
            };
            detail::json(StatusCode::OK, &answer)
        }
        Err(ReloadError::Configuration(errors)) => {
            let problems = errors.problems().iter();
            detail::invalid(problems.map(|it| wrong(it.to_string())).collect())
        }
        Err(ReloadError::Start(error)) => detail::invalid(vec![wrong(error.to_string())]),
        Err(error @ ReloadError::NoSource) => {
            detail::refuse(StatusCode::CONFLICT, error.to_string())
        }
        Err(error) => detail::refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn wrong(problem: String) -> Fault {
    let place = vec![Place::Name("configuration")];
    Fault::new("configuration_error", place, problem)
}

/// Refuses what a page of a browser wants to change that is not of this gateway: without keys,
/// all that protects a gateway on loopback is that only its own machine reaches it.
fn refused_page(works: &Works, head: &request::Parts) -> Option<Response<Body>> {
    let shared = works.current().load();
    let (headers, authority): (&HeaderMap, _) = (&head.headers, head.uri.authority());
    let refused = shared.mcp().origin().check(headers, authority).err()?;
    Some(detail::refuse(StatusCode::FORBIDDEN, refused.to_string()))
}
