//! What becomes of a call of `/mcp/request`.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use bartizan_classify::{retry_after, retry_after_seconds};
use bartizan_client::ClientError;
use bartizan_clock::Instant;
use bartizan_protocol::error as code;
use bartizan_rate_limit::Priority;
use bytes::Bytes;
use http::{Method, request};
use serde_json::value::RawValue;

use super::{
    envelope::{self, Envelope, Metadata},
    render::{self, About, BackendFailure, Context},
};
use crate::{
    body::Body,
    error::Error,
    ids::{self, MAX_ID_LENGTH},
    mcp::{
        Door,
        tool::{self, Called, Refused},
    },
    service::{Cause, Failure, Form, Outbound, Parts, Payload, Service},
    shared::Shared,
};

/// The answer to a request of which nothing is known but what is wrong with it.
pub(crate) fn refuse(shared: &Shared, error: &Error) -> Response<Body> {
    let now = shared.clock().wall();
    if shared.strict() {
        render::strict_refusal(error, &Context::unknown(now))
    } else {
        render::refusal(error, now)
    }
}

/// The answer to the call that `body` asks for, which came in at `received`.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    head: &request::Parts,
    body: &Bytes,
    received: Instant,
) -> Response<Body> {
    let headers = &head.headers;
    let envelope = match Envelope::parse(body) {
        Ok(envelope) => envelope,
        Err(message) => return refuse(shared, &Error::Invalid(message)),
    };
    let correlation_id = correlation_id(&envelope, headers);
    let dialect = Dialect {
        shared,
        request_id: envelope.id,
        correlation_id: &correlation_id,
        received,
    };
    let Some(service) = shared.catalog().service(&envelope.service) else {
        return dialect.refuse(&Error::UnknownService(envelope.service.into_owned()));
    };
    if service.mcp().is_some() {
        // As at the doors of MCP: what runs on this machine is not every page's to call.
        if shared.is_stranger(headers, head.uri.authority()) {
            return dialect.refuse(&Error::ForeignPage);
        }
        return tool(service, &envelope, headers, &dialect).await;
    }
    let (outbound, timeout) = match outbound(service, &envelope, headers, body, &dialect) {
        Ok(outbound) => outbound,
        Err(error) => return dialect.refuse(&error),
    };
    let result = service.call(outbound).await;
    dialect.log(service, &envelope.operation, &result);
    match result {
        Ok(response) => dialect.answered(service, &response),
        Err(failure) => dialect.failed(service, &failure, timeout),
    }
}

/// A call of a service that speaks MCP: the operation is the tool, the parameters are its
/// arguments, and the data of the answer is its result.
async fn tool(
    service: &Arc<Service>,
    envelope: &Envelope<'_>,
    headers: &HeaderMap,
    dialect: &Dialect<'_>,
) -> Response<Body> {
    let metadata = &envelope.metadata;
    let terms = timeout(metadata.timeout, service.timeout())
        .and_then(|timeout| Ok((timeout, idempotency_key(metadata)?)));
    let (timeout, key) = match terms {
        Ok(terms) => terms,
        Err(error) => return dialect.refuse(&error),
    };
    let shared = dialect.shared;
    let door = Door::new(shared, service, shared.caller(headers), headers);
    let deadline = dialect.received + timeout;
    let witness = Arc::default();
    let door = door.on_terms(priority(metadata.priority), deadline, key);
    let door = door.seen_by(&witness);
    let arguments = envelope.parameters.map_or("{}", RawValue::get);
    let called = tool::call(&door, &envelope.operation, arguments).await;
    let attempts = witness.attempts().max(1);
    let instance = witness.instance();
    let place = instance.map_or_else(|| service.endpoint(), |id| service.place(&id));
    let about = About {
        endpoint: &place,
        attempts,
    };
    let failure = match &called {
        Called::Result(result) => return render::success(&dialect.context(), result, about),
        Called::Failed(result, message) => BackendFailure {
            message: message.clone(),
            details: Some((StatusCode::OK, result)),
            strict_status: StatusCode::BAD_GATEWAY,
            strict_code: "MCP_ERROR",
            retry_after_seconds: None,
        },
        Called::Refused(refused) => {
            let is_late = refused.code == code::TIMED_OUT;
            let failure = witness.take_failure();
            // One that was tried once more, and took too long, is late whatever came before.
            let failure = failure.filter(|failure| failure.is_timeout() == is_late);
            let late = || Failure {
                cause: Cause::Deadline,
                attempts,
            };
            if let Some(mut failure) = failure.or_else(|| is_late.then(late)) {
                failure.attempts = failure.attempts.max(attempts);
                return dialect.failed(service, &failure, timeout);
            }
            refusal(refused)
        }
    };
    dialect.backend_failure(&failure, about)
}

/// What a service said instead of a result, or what became of its answer.
fn refusal(refused: &Refused) -> BackendFailure<'static> {
    let (strict_status, strict_code) = match refused.code {
        code::RATE_LIMITED => (StatusCode::TOO_MANY_REQUESTS, "MCP_ERROR"),
        code::OVERLOADED => (StatusCode::SERVICE_UNAVAILABLE, "MCP_ERROR"),
        code::UNREACHABLE | code::TOO_LARGE => (StatusCode::BAD_GATEWAY, "NETWORK_ERROR"),
        _ => (StatusCode::BAD_GATEWAY, "MCP_ERROR"),
    };
    BackendFailure {
        message: refused.message.clone(),
        details: None,
        strict_status,
        strict_code,
        retry_after_seconds: refused.retry_after,
    }
}

fn priority(asked: Option<envelope::Priority>) -> Priority {
    match asked {
        Some(envelope::Priority::Low) => Priority::Low,
        Some(envelope::Priority::High) => Priority::High,
        Some(envelope::Priority::Normal) | None => Priority::Normal,
    }
}

fn correlation_id<'a>(envelope: &Envelope<'a>, headers: &'a HeaderMap) -> Cow<'a, str> {
    let given = envelope.metadata.correlation_id.clone();
    let given = given.filter(|id| !id.is_empty());
    given
        .or_else(|| Some(ids::correlation(headers)?.to_str().ok()?.into()))
        .unwrap_or_else(|| ids::text(headers).to_owned().into())
}

/// The key that an envelope has, which goes before that of the headers.
fn idempotency_key(metadata: &Metadata<'_>) -> Result<Option<HeaderValue>, Error> {
    let key = metadata.idempotency_key.as_deref();
    let key = key.filter(|key| !key.trim().is_empty());
    key.map(|key| header("metadata.idempotencyKey", key))
        .transpose()
}

/// The call that an envelope asks for, and the time it may take.
fn outbound(
    service: &Service,
    envelope: &Envelope<'_>,
    headers: &HeaderMap,
    body: &Bytes,
    dialect: &Dialect<'_>,
) -> Result<(Outbound, Duration), Error> {
    let metadata = &envelope.metadata;
    let path = service.path(&envelope.operation)?;
    let timeout = timeout(metadata.timeout, service.timeout())?;
    let idempotency_key = idempotency_key(metadata)?.or_else(|| ids::idempotency_key(headers));
    let agent_id = metadata.agent_id.as_deref().filter(|id| !id.is_empty());
    let trace = ids::trace(headers);
    let parts = Parts {
        method: Method::POST,
        path,
        body: parameters(envelope.parameters, body),
        class: service.class(&envelope.operation, idempotency_key.is_some()),
        priority: priority(metadata.priority),
        deadline: dialect.received + timeout,
        request_id: ids::header(headers),
        correlation_id: header("metadata.correlationId", dialect.correlation_id)?,
        agent_id: agent_id
            .map(|id| header("metadata.agentId", id))
            .transpose()?,
        session: None,
        idempotency_key,
        trace,
        form: Form::Operation,
    };
    Ok((Outbound::new(parts), timeout))
}

/// The parameters as the caller wrote them, sharing the request's memory.
fn parameters(parameters: Option<&RawValue>, body: &Bytes) -> Bytes {
    parameters.map_or_else(
        || Bytes::from_static(b"{}"),
        |raw| body.slice_ref(raw.get().as_bytes()),
    )
}

/// What the caller asks for, never above what the service allows; zero asks for nothing.
fn timeout(asked: Option<f64>, allowed: Duration) -> Result<Duration, Error> {
    let Some(millis) = asked.filter(|millis| *millis != 0.0) else {
        return Ok(allowed);
    };
    let asked = Duration::try_from_secs_f64(millis / 1000.0);
    match asked {
        Ok(asked) => Ok(asked.min(allowed)),
        Err(_) if millis > 0.0 => Ok(allowed),
        Err(_) => Err(Error::Invalid(
            "metadata.timeout must not be negative".to_owned(),
        )),
    }
}

/// `value` as a header, so that nothing in it can start another one.
fn header(name: &str, value: &str) -> Result<HeaderValue, Error> {
    if value.len() > MAX_ID_LENGTH {
        return Err(Error::Invalid(format!(
            "{name} must not exceed {MAX_ID_LENGTH} bytes"
        )));
    }
    HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| Error::Invalid(format!("{name} must not contain control characters")))
}

/// One request's way of being answered.
struct Dialect<'a> {
    shared: &'a Arc<Shared>,
    request_id: Option<&'a RawValue>,
    correlation_id: &'a str,
    received: Instant,
}

impl Dialect<'_> {
    fn context(&self) -> Context<'_> {
        let clock = self.shared.clock();
        Context {
            request_id: self.request_id,
            correlation_id: self.correlation_id,
            now: clock.wall(),
            elapsed: clock.now() - self.received,
        }
    }

    /// One line a call, for whoever turns debug on.
    fn log(&self, service: &Service, operation: &str, result: &Result<Response<Payload>, Failure>) {
        let elapsed_ms = || (self.shared.clock().now() - self.received).as_millis() as u64;
        match result {
            Ok(response) => tracing::debug!(
                service = &**service.name(),
                operation,
                correlation_id = self.correlation_id,
                status = response.status().as_u16(),
                attempts = response.body().attempts,
                elapsed_ms = elapsed_ms(),
                "call answered"
            ),
            Err(failure) => tracing::debug!(
                service = &**service.name(),
                operation,
                correlation_id = self.correlation_id,
                reason = %failure,
                attempts = failure.attempts,
                elapsed_ms = elapsed_ms(),
                "call failed"
            ),
        }
    }

    fn refuse(&self, error: &Error) -> Response<Body> {
        let context = self.context();
        if self.shared.strict() {
            render::strict_refusal(error, &context)
        } else {
            render::refusal(error, context.now)
        }
    }

    fn answered(&self, service: &Service, response: &Response<Payload>) -> Response<Body> {
        let payload = response.body();
        let about = About {
            endpoint: &service.place(&payload.endpoint),
            attempts: payload.attempts,
        };
        let status = response.status();
        if status.is_success() {
            return render::success(&self.context(), &payload.bytes, about);
        }
        let wait = retry_after(response.headers(), || self.shared.clock().wall());
        let failure = BackendFailure {
            message: format!("Request failed with status code {}", status.as_u16()),
            details: Some((status, &payload.bytes)),
            strict_status: strict_status(status),
            strict_code: "MCP_ERROR",
            retry_after_seconds: wait.map(retry_after_seconds),
        };
        self.backend_failure(&failure, about)
    }

    fn failed(&self, service: &Service, failure: &Failure, timeout: Duration) -> Response<Body> {
        if let Some(error) = Error::of_failure(service.name(), failure) {
            return self.refuse(&error);
        }
        let instance = failure.cause.endpoint();
        let about = About {
            endpoint: &instance.map_or_else(|| service.endpoint(), |id| service.place(id)),
            attempts: failure.attempts,
        };
        let (message, strict_status, strict_code) = match &failure.cause {
            Cause::Deadline => (
                timed_out(timeout),
                StatusCode::GATEWAY_TIMEOUT,
                "TIMEOUT_ERROR",
            ),
            Cause::TimedOut { limit, .. } => {
                let message = timed_out(limit.unwrap_or(timeout));
                (message, StatusCode::GATEWAY_TIMEOUT, "TIMEOUT_ERROR")
            }
            Cause::Exchange { error, .. } => (
                exchange_message(error),
                StatusCode::BAD_GATEWAY,
                "NETWORK_ERROR",
            ),
            Cause::Host { error, .. } => {
                (error.to_string(), StatusCode::BAD_GATEWAY, "NETWORK_ERROR")
            }
            other => (other.to_string(), StatusCode::BAD_GATEWAY, "MCP_ERROR"),
        };
        let failure = BackendFailure {
            message,
            details: None,
            strict_status,
            strict_code,
            retry_after_seconds: None,
        };
        self.backend_failure(&failure, about)
    }

    fn backend_failure(&self, failure: &BackendFailure<'_>, about: About<'_>) -> Response<Body> {
        let context = self.context();
        if self.shared.strict() {
            render::strict_backend_failure(&context, failure, about)
        } else {
            render::backend_failure(&context, failure, about)
        }
    }
}

/// A backend's own failure is a bad gateway to our caller; what it says about the request, and
/// about when to come back, passes.
fn strict_status(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => status,
        // The backend refused our credential, not the caller's.
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            StatusCode::BAD_GATEWAY
        }
        status if status.is_client_error() => status,
        _ => StatusCode::BAD_GATEWAY,
    }
}

fn timed_out(after: Duration) -> String {
    format!("timeout of {}ms exceeded", after.as_micros().div_ceil(1000))
}

/// What happened, in the words that the documented gateway's clients know.
fn exchange_message(error: &ClientError) -> String {
    match error {
        ClientError::Connect(connect) if is_refused(connect) => connect.authority().map_or_else(
            || error.to_string(),
            |authority| format!("connect ECONNREFUSED {authority}"),
        ),
        _ => error.to_string(),
    }
}

fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        next = error.source();
    }
    false
}
