use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::server::{Answer, json as answer};

/// A microservice the way the gateway meets them: `POST /api/{operation}` with parameters as
/// JSON, and `GET /api/definition` that says what there is.
pub(super) trait Rest: Send + Sync + 'static {
    /// Its name and what it is for.
    const NAME: &'static str;
    const DESCRIPTION: &'static str;
    /// All operations.
    const OPERATIONS: &'static [Operation];

    /// An answer to a request that may not come in.
    fn refuse(&self, _headers: &HeaderMap) -> Option<Response<Full<Bytes>>> {
        None
    }

    /// Does what `operation` stands for; it is one of [`OPERATIONS`](Self::OPERATIONS).
    fn perform(
        &self,
        operation: &str,
        parameters: &Value,
        headers: &HeaderMap,
    ) -> Response<Full<Bytes>>;
}

/// An operation as a definition lists it. The gateway sends every call as a POST; the method
/// here tells it what may be repeated: a GET may, a POST may not.
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) description: &'static str,
}

impl<R: Rest> Answer for R {
    fn answer(&self, request: &Request<Bytes>) -> Response<Full<Bytes>> {
        if request.uri().path() == "/health" {
            return answer(StatusCode::OK, &json!({ "status": "ok" }));
        }
        if let Some(refusal) = self.refuse(request.headers()) {
            return refusal;
        }
        let path = request.uri().path().strip_prefix("/api/");
        if path == Some("definition") && request.method() == Method::GET {
            return answer(StatusCode::OK, &definition::<R>());
        }
        let known = |name: &&str| {
            R::OPERATIONS
                .iter()
                .any(|operation| operation.name == *name)
        };
        let Some(operation) = path.filter(known) else {
            return answer(
                StatusCode::NOT_FOUND,
                &json!({ "error": "no such operation" }),
            );
        };
        if request.method() != Method::POST {
            let error = json!({ "error": "operations are called by POST" });
            return answer(StatusCode::METHOD_NOT_ALLOWED, &error);
        }
        match serde_json::from_slice(request.body()) {
            Ok(parameters) => self.perform(operation, &parameters, request.headers()),
            Err(_) => answer(
                StatusCode::BAD_REQUEST,
                &json!({ "error": "the body is not JSON" }),
            ),
        }
    }
}

fn definition<R: Rest>() -> Value {
    let operations: Vec<_> = R::OPERATIONS
        .iter()
        .map(|operation| {
            json!({
                "name": operation.name,
                "description": operation.description,
                "method": operation.method,
                "path": operation.path,
            })
        })
        .collect();
    json!({
        "name": R::NAME,
        "version": "1.0.0",
        "description": R::DESCRIPTION,
        "operations": operations,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The status and JSON of an answer, as the gateway would see them.
    pub(in super::super) fn call(
        backend: &impl Answer,
        method: Method,
        path: &str,
        authorization: Option<&str>,
        body: &str,
    ) -> (u16, Value) {
        use http_body_util::BodyExt;

        let mut request = Request::builder().method(method).uri(path);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        let (head, body) = backend.answer(&request).into_parts();
        let mut body = std::pin::pin!(body.collect());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(Ok(body)) = body.as_mut().poll(&mut context) else {
            unreachable!("a body in memory is there at once");
        };
        (
            head.status.as_u16(),
            serde_json::from_slice(&body.to_bytes()).unwrap(),
        )
    }

    struct Echo;

    impl Rest for Echo {
        const NAME: &'static str = "echo";
        const DESCRIPTION: &'static str = "Says what it hears";
        const OPERATIONS: &'static [Operation] = &[Operation {
            name: "echo",
            method: "GET",
            path: "/echo",
            description: "Says it",
        }];

        fn perform(&self, _: &str, parameters: &Value, _: &HeaderMap) -> Response<Full<Bytes>> {
            answer(StatusCode::OK, parameters)
        }
    }

    #[test]
    fn operations_are_posted_and_defined() {
        let post = |path, body| call(&Echo, Method::POST, path, None, body);
        assert_eq!(post("/api/echo", r#"{"a":1}"#), (200, json!({ "a": 1 })));
        assert_eq!(post("/api/echo", "{").0, 400);
        assert_eq!(post("/api/other", "{}").0, 404);
        assert_eq!(post("/echo", "{}").0, 404);
        assert_eq!(call(&Echo, Method::GET, "/api/echo", None, "").0, 405);
        let (status, definition) = call(&Echo, Method::GET, "/api/definition", None, "");
        assert_eq!(status, 200);
        assert_eq!(definition["operations"][0]["method"], "GET");
    }
}
