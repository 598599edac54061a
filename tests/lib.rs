//! What the whole-gateway tests share: a gateway on a loopback port, configured as a user would
//! configure it, and an HTTP client that keeps everything it was answered.

mod files;
mod pace;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use bartizan_config::{Configuration, Errors, Source};
use bartizan_gateway::{Gateway, Reloaded, StartError};
use bartizan_server::Drained;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::{sync::Notify, task::JoinHandle};

pub use self::{files::Files, pace::paced};

/// Environment variables for a gateway.
#[derive(Clone, Debug, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// One service, `user-service`, at `endpoint`, with a bearer token.
    pub fn user_service(endpoint: &str) -> Self {
        Self::default()
            .set("MCP_SERVICES", "user-service")
            .set("MCP_SERVICE_USER_SERVICE_ENDPOINT", endpoint)
            .set("MCP_SERVICE_USER_SERVICE_AUTH_TYPE", "bearer")
            .set("MCP_SERVICE_USER_SERVICE_TOKEN", "s3cr3t-token")
            .set("MCP_RETRY_INITIAL_DELAY", "10")
            .set("MCP_RETRY_MAX_DELAY", "2000")
    }

    /// Sets a variable.
    #[must_use]
    #[allow(
        clippy::needless_pass_by_value,
        reason = "numbers read better without a reference"
    )]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.0.insert(name.to_owned(), value.to_string());
        self
    }

    /// Sets a variable of `user-service`, named without its prefix.
    #[must_use]
    pub fn user(self, name: &str, value: impl ToString) -> Self {
        self.set(&format!("MCP_SERVICE_USER_SERVICE_{name}"), value)
    }

    /// The configuration that they make.
    ///
    /// # Panics
    ///
    /// When they make none.
    pub fn configuration(&self) -> Configuration {
        self.parse().unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// The configuration that they make, if they make one.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them.
    pub fn parse(&self) -> Result<Configuration, Errors> {
        Configuration::parse(&Source::from_iter(self.0.clone()))
    }

    /// Starts a gateway on a loopback port.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub async fn start(&self) -> Running {
        let configuration = self.configuration();
        Running::serve(Gateway::new(&configuration).expect("a gateway that can be built"))
    }
}

/// A gateway that serves until it is stopped or dropped.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    gateway: Gateway,
    client: Client<HttpConnector, Full<Bytes>>,
    stopper: Stopper,
    task: JoinHandle<Drained>,
}

impl Running {
    /// Serves a gateway on a loopback port.
    ///
    /// # Panics
    ///
    /// When there is no such port.
    pub fn serve(gateway: Gateway) -> Self {
        let bound = gateway
            .bind_to(SocketAddr::from(([127, 0, 0, 1], 0)))
            .expect("a free loopback port");
        let address = bound.local_addr();
        let stopper = Stopper::default();
        let stopped = stopper.clone();
        let serve = gateway
            .clone()
            .serve(bound, async move { stopped.0.notified().await });
        let task = tokio::spawn(serve);
        Self {
            address,
            gateway,
            client: Client::builder(TokioExecutor::new()).build_http(),
            stopper,
            task,
        }
    }
}

/// Tells a gateway to stop.
#[derive(Clone, Debug, Default)]
pub struct Stopper(Arc<Notify>);

impl Stopper {
    /// Tells it, now or when it begins to listen for that.
    pub fn stop(&self) {
        self.0.notify_one();
    }
}

/// Waits until something is so.
///
/// # Panics
///
/// When it is not for twenty seconds.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
    assert!(waited.is_ok(), "never {what}");
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is not.
    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The text of a header, or nothing.
    ///
    /// # Panics
    ///
    /// When the header is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name)?;
        Some(value.to_str().expect("a header of text"))
    }

    /// The message of an error answer.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn message(&self) -> String {
        let json = self.json();
        let message = json["error"]["message"].as_str();
        message
            .unwrap_or_else(|| panic!("no error.message: {json}"))
            .to_owned()
    }
}

impl Running {
    /// Sends a request and reads its answer.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let response = self.client.request(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.expect("a whole body").to_bytes(),
        }
    }

    /// Sends a request whose answer is a stream.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    pub async fn open(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        self.client.request(request).await.expect("an answer")
    }

    /// A request to a path of the gateway.
    ///
    /// # Panics
    ///
    /// When method, path or headers are not valid.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request
            .body(Full::new(body.into()))
            .expect("a valid request")
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path, &[], "")).await
    }

    /// `POST path` with `body` as JSON.
    pub async fn post_to(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        let headers = [("content-type", "application/json")];
        self.send(self.request(Method::POST, path, &headers, body))
            .await
    }

    /// `DELETE path`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path, &[], "")).await
    }

    /// `POST /mcp/request` with `body`.
    pub async fn post(&self, body: impl Into<Bytes>) -> Answer {
        self.post_with(&[], body).await
    }

    /// `POST /mcp/request` with `body` and more headers.
    pub async fn post_with(&self, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let headers = [&[("content-type", "application/json")], headers].concat();
        self.send(self.request(Method::POST, "/mcp/request", &headers, body))
            .await
    }

    /// Calls an operation of `user-service` with nothing but what must be there.
    pub async fn call(&self, operation: &str) -> Answer {
        self.post(format!(
            r#"{{"service":"user-service","operation":"{operation}"}}"#
        ))
        .await
    }

    /// Calls an operation of any service; `id` is the request's own, and its parameter.
    pub async fn call_of(&self, service: &str, operation: &str, id: usize) -> Answer {
        self.post(format!(
            r#"{{"id":{id},"service":"{service}","operation":"{operation}","parameters":{{"id":{id}}}}}"#
        ))
        .await
    }

    /// Goes on under these variables.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn reload(&self, variables: &Variables) -> Reloaded {
        let reloaded = self.try_reload(variables);
        reloaded.expect("a configuration to go on under")
    }

    /// The same, if it can.
    ///
    /// # Errors
    ///
    /// When it cannot.
    pub fn try_reload(&self, variables: &Variables) -> Result<Reloaded, StartError> {
        self.gateway.reload(&variables.configuration())
    }

    /// The value of a metric of a service, which may have labels after that of the service.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub async fn metric(&self, name: &str, service: &str, labels: &str) -> u64 {
        let page = self.get("/metrics").await;
        let page = String::from_utf8_lossy(&page.body);
        let metric = format!("{name}{{service=\"{service}\"{labels}}} ");
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix(&metric)?.parse().ok());
        value.unwrap_or_else(|| panic!("no {metric} in\n{page}"))
    }

    /// Waits until a metric of a service has this value.
    ///
    /// # Panics
    ///
    /// When it has not for twenty seconds.
    pub async fn until_metric(&self, name: &str, service: &str, value: u64) {
        until(&format!("{name} of {service} is {value}"), async || {
            self.metric(name, service, "").await == value
        })
        .await;
    }

    /// Asks for `path` again and again until the answer is so.
    ///
    /// # Panics
    ///
    /// When it never is.
    pub async fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut json = Value::Null;
        for _ in 0..500 {
            json = self.get(path).await.json();
            if is_so(&json) {
                return json;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never: {json}");
    }

    /// What stops it without waiting for the end.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Stops serving and says how the drain went.
    ///
    /// # Panics
    ///
    /// When the gateway panicked.
    pub async fn stop(self) -> Drained {
        self.stopper.stop();
        self.task.await.expect("a gateway that did not panic")
    }
}
