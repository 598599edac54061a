use axum::body::Body;
use bartizan_protocol::error as code;
use http::{
    HeaderValue, Response, StatusCode,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::value::RawValue;

use super::{
    VERSION, X_GATEWAY_VERSION,
    types::{Detail, ErrorBody, ErrorObject},
};
use crate::{
    error::Error,
    front::detail::{self, Fault},
    mcp::{ListError, Refusal, direct::RpcError},
    service::Failure,
    shared::Shared,
};

/// Seconds to wait for an instance where nothing says when there will be one.
const WAIT_FOR_INSTANCE: u64 = 5;

/// Why a request has no result, in the dialect of this door.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    kind: &'static str,
    detail: Detail,
    /// JSON.
    details: Option<String>,
    retry_after: Option<u64>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind: match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "AuthenticationError",
                StatusCode::NOT_FOUND => "NotFound",
                StatusCode::TOO_MANY_REQUESTS => "RateLimited",
                StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => "RequestTimeout",
                StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => "InstanceUnavailable",
                StatusCode::NOT_IMPLEMENTED => "NotSupported",
                status if status.is_client_error() => "ValidationError",
                _ => "InternalError",
            },
            detail: Detail::Text(detail.into()),
            details: None,
            retry_after: None,
        }
    }

    pub(super) fn no_template(name: &str) -> Self {
        Self {
            kind: "TemplateNotFound",
            ..Self::new(
                StatusCode::NOT_FOUND,
                format!("Template '{name}' not found"),
            )
        }
    }

    pub(super) fn invalid(fault: Fault) -> Self {
        Self {
            detail: Detail::Invalid(vec![fault]),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "")
        }
    }

    /// All instances that were asked failed.
    pub(super) fn all_failed(template: &str, reason: &str) -> Self {
        let detail = format!("All attempts failed for template '{template}': {reason}");
        Self::new(StatusCode::BAD_GATEWAY, detail)
    }

    /// What the gateway itself refuses, to a caller of `template`.
    pub(super) fn of(template: Option<&str>, error: &Error) -> Self {
        let template = template.unwrap_or_default();
        let problem = match error {
            Error::NoInstances { .. } => Self {
                kind: "NoHealthyInstances",
                retry_after: Some(WAIT_FOR_INSTANCE),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("No instances available for template '{template}'"),
                )
            },
            Error::UnknownService(name) => Self::no_template(name),
            Error::Credential { .. } => Self::all_failed(template, &error.to_string()),
            error => Self::new(error.status(), error.to_string()),
        };
        Self {
            retry_after: error.retry_after_seconds().or(problem.retry_after),
            ..problem
        }
    }

    /// A message of MCP that got no answer.
    pub(super) fn of_refusal(template: &str, refusal: &Refusal) -> Self {
        let text = refusal.message();
        let status = match refusal.code() {
            code::TIMED_OUT => StatusCode::GATEWAY_TIMEOUT,
            code::RATE_LIMITED => StatusCode::TOO_MANY_REQUESTS,
            code::CIRCUIT_OPEN | code::OVERLOADED => StatusCode::SERVICE_UNAVAILABLE,
            code::NOT_BRIDGED => StatusCode::NOT_IMPLEMENTED,
            code::INTERNAL => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_GATEWAY,
        };
        let problem = if status == StatusCode::BAD_GATEWAY {
            Self::all_failed(template, text)
        } else {
            Self::new(status, text)
        };
        Self {
            retry_after: refusal.retry_after(),
            ..problem
        }
    }

    /// An operation of a REST service that got no answer.
    pub(super) fn of_failure(template: &std::sync::Arc<str>, failure: &Failure) -> Self {
        match Error::of_failure(template, failure) {
            Some(error) => Self::of(Some(template), &error),
            None if failure.is_timeout() => {
                let detail = format!("Request timeout for template '{template}': {failure}");
                Self::new(StatusCode::GATEWAY_TIMEOUT, detail)
            }
            None => Self::all_failed(template, &failure.to_string()),
        }
    }

    /// An error of an MCP server: what it says about the request is the caller's to know, the
    /// rest is the server's own trouble.
    pub(super) fn of_rpc(error: &RpcError) -> Self {
        let says_unknown = || {
            let text = error.message.to_ascii_lowercase();
            text.contains("unknown") || text.contains("not found")
        };
        let status = match error.code {
            code::RESOURCE_NOT_FOUND | code::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
            // The protocol gives a tool that is not there the code of arguments that are wrong.
            code::INVALID_PARAMS if says_unknown() => StatusCode::NOT_FOUND,
            code::INVALID_PARAMS => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        };
        let data = error.data.as_ref();
        let data = data.map_or_else(String::new, |data| format!(r#","data":{data}"#));
        Self {
            kind: "McpError",
            details: Some(format!(r#"{{"code":{}{data}}}"#, error.code)),
            ..Self::new(status, error.message.clone())
        }
    }

    pub(super) fn of_list(template: &str, error: &ListError) -> Self {
        match error {
            ListError::Unasked(error) => Self::of(Some(template), error),
            ListError::Refused(refusal) => Self::of_refusal(template, refusal),
            ListError::Answered(message) => Self::of_rpc(&RpcError::read(message)),
            ListError::Unreadable(reason) => Self::all_failed(template, reason),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    #[cfg(test)]
    pub(super) fn detail(&self) -> &Detail {
        &self.detail
    }

    pub(super) fn response(&self, shared: &Shared, request_id: &str) -> Response<Body> {
        let details = self.details.as_deref();
        let details = details.and_then(|it| serde_json::from_str::<&RawValue>(it).ok());
        let body = ErrorBody {
            detail: &self.detail,
            error: ErrorObject {
                kind: self.kind,
                message: match &self.detail {
                    Detail::Text(text) => text,
                    Detail::Invalid(faults) => faults.first().map_or("", |it| &it.msg),
                },
                details,
                timestamp: humantime::format_rfc3339_millis(shared.clock().wall()).to_string(),
                request_id: Some(request_id).filter(|id| !id.is_empty()),
            },
        };
        let mut response = detail::json(self.status, &body);
        let headers = response.headers_mut();
        headers.insert(X_GATEWAY_VERSION, VERSION);
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_servers_have_a_status() {
        for (code, message, status) in [
            (-32602, "Invalid arguments for tool x", 400),
            (-32602, "Unknown tool: x", 404),
            (-32602, "MCP error -32602: Tool x not found", 404),
            (-32002, "Resource", 404),
            (-32601, "Method not found", 404),
            (-32603, "disk full", 502),
            (7, "whatever", 502),
        ] {
            let problem = Problem::of_rpc(&RpcError {
                code,
                message: message.to_owned(),
                data: None,
            });
            assert_eq!(problem.status().as_u16(), status, "{message}");
        }
    }
}
