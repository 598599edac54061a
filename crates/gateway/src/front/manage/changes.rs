//! The endpoints that change something.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Path, State},
};
use bartizan_discovery::StoreError;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};

use super::shapes::{Deregistered, Registered, Registration, Reloaded, Synced, Totals};
use crate::{
    ReloadError, StartError,
    front::{
        detail::{self, Detail, Fault, Faults, Place},
        docs::tag,
    },
    manage,
    registries::ChangeError,
    works::Works,
};

/// How many seconds an instance stays without being heard of.
const X_INSTANCE_TTL: HeaderName = HeaderName::from_static("x-instance-ttl");
/// Longer is for good.
const LONGEST_TTL: f64 = 366.0 * 86_400.0;

/// Add an instance
///
/// One with the same id is replaced. Without a `ttl` it is written to the `registry.json`; with
/// one it is kept in memory for that long after it was last heard of.
#[utoipa::path(
    post,
    path = "/gateway/register",
    tag = tag::REGISTRIES,
    operation_id = "register_instance",
    request_body(
        content = Registration,
        examples(
            ("memory" = (
                summary = "A server for a minute",
                value = json!({
                    "template_name": "demo",
                    "instance": {
                        "id": "demo-1",
                        "endpoint": "http://127.0.0.1:7071",
                        "metadata": { "weight": 3 },
                    },
                    "ttl": 60,
                }),
            )),
            ("file" = (
                summary = "A server for good",
                value = json!({
                    "template_name": "demo",
                    "instance": { "id": "demo-2", "endpoint": "http://127.0.0.1:7072" },
                }),
            )),
            ("program" = (
                summary = "A program, which needs an operator's key",
                value = json!({
                    "template_name": "files",
                    "instance": {
                        "id": "files-1",
                        "transport": "stdio",
                        "command": ["mcp-files", "--root", "/srv/files"],
                    },
                }),
            )),
        ),
    ),
    responses(
        (status = 200, description = "It is registered.", body = Registered, example = json!({
            "success": true,
            "message": "Registered instance demo-1 for template demo",
            "instance_id": "demo-1",
            "template_name": "demo",
            "replaced": false,
            "ttl": 60.0,
            "warnings": [],
        })),
        (status = 400, description = "It cannot be registered: why not.", body = Detail, example = json!({
            "detail": "Registration failed: ttl must be a positive number of seconds, of a year at most",
        })),
        (
            status = 403,
            description = "A program needs an operator's key and a place on the list of \
                programs; a service that sends a credential, and where there are such keys what \
                is kept for good, need one, too; or the request was made by a page of another \
                origin.",
            body = Detail,
        ),
        (status = 408, description = "The body did not arrive in time.", body = Detail),
        (status = 413, description = "The body is too large.", body = Detail),
        (status = 422, description = "The body is no registration.", body = Faults, example = json!({
            "detail": [{
                "type": "missing",
                "loc": ["body", "template_name"],
                "msg": "Field required",
                "input": null,
            }],
        })),
        (status = 500, description = "The file cannot be written.", body = Detail),
        (
            status = 507,
            description = "As many instances or templates, or as much of them, are in memory as may \
                be.",
            body = Detail,
        ),
    ),
)]
pub(super) async fn register(
    State(works): State<Arc<Works>>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
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
    } = added.map_err(|error| {
        let status = status(&error);
        // That there is no room anybody could have the log say without end.
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(service = template_name, %error, "instance not registered");
        }
        (status, error.to_string())
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

/// The status of an instance that cannot be registered.
fn status(error: &ChangeError) -> StatusCode {
    match error {
        ChangeError::NotPermitted(error) if error.is_for_others() => StatusCode::FORBIDDEN,
        ChangeError::Registration(error) if error.is_full() => StatusCode::INSUFFICIENT_STORAGE,
        ChangeError::Store(StoreError::Refused(_)) => StatusCode::BAD_REQUEST,
        ChangeError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// Take an instance out
#[utoipa::path(
    delete,
    path = "/gateway/deregister/{template}/{instance_id}",
    tag = tag::REGISTRIES,
    operation_id = "deregister_instance",
    params(
        ("template" = String, Path, description = "The template.", example = "demo"),
        ("instance_id" = String, Path, description = "The instance.", example = "demo-1"),
    ),
    responses(
        (status = 200, description = "It is taken out.", body = Deregistered),
        (
            status = 403,
            description = "It is an operator's to change; or the request was made by a page of \
                another origin.",
            body = Detail,
        ),
        (status = 404, description = "There is no such instance.", body = Detail, example = json!({
            "detail": "Instance not found",
        })),
        (status = 409, description = "A file lists it that the gateway does not write.", body = Detail),
        (status = 500, description = "The file cannot be written.", body = Detail),
    ),
)]
pub(super) async fn deregister(
    State(works): State<Arc<Works>>,
    Path((template, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    let is_admin = works.current().load().is_admin(&headers);
    match works.deregister(&template, &id, is_admin).await {
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
        Err(ChangeError::NotPermitted(error)) => {
            detail::refuse(StatusCode::FORBIDDEN, error.to_string())
        }
        Err(error @ ChangeError::NotOurs { .. }) => {
            detail::refuse(StatusCode::CONFLICT, error.to_string())
        }
        Err(error) => {
            tracing::error!(service = template, id, %error, "instance not deregistered");
            let why = format!("Deregistration failed: {error}");
            detail::refuse(StatusCode::INTERNAL_SERVER_ERROR, why)
        }
    }
}

/// Say that an instance is still there
///
/// Its time to live begins anew.
#[utoipa::path(
    post,
    path = "/gateway/heartbeat/{template}/{instance_id}",
    tag = tag::REGISTRIES,
    operation_id = "instance_heartbeat",
    params(
        ("template" = String, Path, description = "The template.", example = "demo"),
        ("instance_id" = String, Path, description = "The instance.", example = "demo-1"),
    ),
    responses(
        (
            status = 204,
            description = "It is known.",
            headers(("X-Instance-TTL" = f64, description = "Its time to live in seconds, if any.")),
        ),
        (
            status = 403,
            description = "The request was made by a page of another origin.",
            body = Detail,
        ),
        (status = 404, description = "There is no such instance: register it again.", body = Detail),
    ),
)]
pub(super) async fn heartbeat(
    State(works): State<Arc<Works>>,
    Path((template, id)): Path<(String, String)>,
) -> Response<Body> {
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

/// Look at all registries now
///
/// And wherever else instances are found: by a name, in an engine or in a cluster. These are not
/// among those that are counted, which registries list.
#[utoipa::path(
    post,
    path = "/gateway/sync",
    tag = tag::REGISTRIES,
    operation_id = "sync_registries",
    responses(
        (status = 200, description = "What was found.", body = Synced),
        (
            status = 403,
            description = "The request was made by a page of another origin.",
            body = Detail,
        ),
        (
            status = 500,
            description = "A registry is broken; what it said before stands.",
            body = Synced,
        ),
    ),
)]
pub(super) async fn sync(State(works): State<Arc<Works>>) -> Response<Body> {
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
        warnings: synced.warnings,
        detail: synced.error.map(|error| format!("Sync failed: {error}")),
    };
    detail::json(status, &answer)
}

/// Read the configuration anew
///
/// What `SIGHUP` does.
#[utoipa::path(
    post,
    path = "/gateway/reload",
    tag = tag::REGISTRIES,
    operation_id = "reload_configuration",
    responses(
        (status = 200, description = "It counts now.", body = Reloaded),
        (
            status = 403,
            description = "It is an operator's to change; or the request was made by a page of \
                another origin.",
            body = Detail,
        ),
        (
            status = 409,
            description = "The gateway was given its configuration by a program.",
            body = Detail,
        ),
        (
            status = 422,
            description = "It is wrong in these ways, and nothing has changed.",
            body = Faults,
        ),
        (status = 500, description = "It cannot be used, and nothing has changed.", body = Detail),
    ),
)]
pub(super) async fn reload(State(works): State<Arc<Works>>, headers: HeaderMap) -> Response<Body> {
    if !works.current().load().is_admin(&headers)
        && let Err(refused) = works.leave_to_operators()
    {
        return detail::refuse(StatusCode::FORBIDDEN, refused.to_string());
    }
    match works.reload_from_source().await {
        Ok(reloaded) => {
            let answer = Reloaded {
                success: true,
                message: reloaded.to_string(),
                added: reloaded.added,
                removed: reloaded.removed,
                changed: reloaded.changed,
                moved: reloaded.moved,
                unchanged: reloaded.unchanged,
                other_certificate: reloaded.other_certificate,
                needs_restart: reloaded.needs_restart,
            };
            detail::json(StatusCode::OK, &answer)
        }
        Err(ReloadError::Configuration(errors)) => {
            let problems = errors.problems().iter();
            let problems = problems.map(|it| wrong(it.to_string()));
            let warnings = errors.warnings().iter().map(|it| odd(it.to_string()));
            detail::invalid(problems.chain(warnings).collect())
        }
        Err(ReloadError::Start(StartError::Several(errors))) => {
            let errors = errors.iter().map(|it| wrong(it.to_string()));
            detail::invalid(errors.collect())
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

/// What may say why something is wrong.
fn odd(warning: String) -> Fault {
    let place = vec![Place::Name("configuration")];
    Fault::new("configuration_warning", place, warning)
}

#[cfg(test)]
mod tests {
    use bartizan_discovery::RegistrationError;

    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_no_fault_of_the_request() {
        for full in [
            RegistrationError::Full { capacity: 1 },
            RegistrationError::TooManyServices { most: 1 },
            RegistrationError::TooManyBytes { most: 1 },
        ] {
            let status = status(&full.into());
            assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE);
        }
        let wrong = RegistrationError::NoService.into();
        assert_eq!(status(&wrong), StatusCode::BAD_REQUEST);
    }
}
