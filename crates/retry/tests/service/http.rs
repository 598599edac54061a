//! [`HttpPolicy`] through the layer.

use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Future, ready},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bartizan_classify::{Fault, FaultKind};
use bartizan_clock::Clock;
use bartizan_retry::{
    Attempt, Deadline, HttpPolicy, RETRY_ATTEMPT, ReplayBody, RetryConfig, RetryLayer,
};
use bartizan_testkit::Probe;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt, service_fn};

use crate::script::config;

#[derive(Debug, PartialEq)]
struct Broken(FaultKind);

impl Fault for Broken {
    fn fault(&self) -> FaultKind {
        self.0
    }
}

fn layer(config: RetryConfig) -> RetryLayer<HttpPolicy<Full<Bytes>>> {
    RetryLayer::new(
        HttpPolicy::new(Clock::tokio()),
        config,
        None,
        Clock::tokio(),
    )
}

fn post() -> http::request::Builder {
    Request::post("/orders")
}

fn lamps() -> Full<Bytes> {
    Full::new(Bytes::from_static(b"two lamps"))
}

/// What a service was sent: the number of the attempt, twice, and the key.
type Sent = Arc<Mutex<Vec<(Option<Attempt>, Option<String>, Option<String>)>>>;

type Outcome = Result<Response<()>, Broken>;

type Answering = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A service that reads the whole body and fails in one way until the attempt of that number.
fn failing_until<B>(
    last: u32,
    sent: &Sent,
    failure: impl Clone + Fn() -> Outcome,
) -> Probe<impl Clone + FnMut(Request<B>) -> Answering>
where
    B: Body<Error: Debug, Data: Send> + Send + 'static,
{
    let sent = Arc::clone(sent);
    Probe::new(move |request: Request<B>| -> Answering {
        let header = |name| {
            let value = request.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let attempt = request.extensions().get::<Attempt>().copied();
        let seen = (
            attempt,
            header(RETRY_ATTEMPT.as_str()),
            header("idempotency-key"),
        );
        sent.lock().unwrap().push(seen);
        let outcome = if attempt.unwrap_or(Attempt(1)) < Attempt(last) {
            failure()
        } else {
            Ok(Response::new(()))
        };
        Box::pin(async move {
            let whole = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(whole, "two lamps");
            outcome
        })
    })
}

fn status(status: u16, after: Option<u64>) -> Outcome {
    let mut response = Response::builder().status(status);
    if let Some(seconds) = after {
        response = response.header("retry-after", seconds);
    }
    Ok(response.body(()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_order_is_not_placed_twice() {
    for (failure, times) in [
        (Err(FaultKind::NotSent), 3),
        (Err(FaultKind::Interrupted), 1),
        (Err(FaultKind::TimedOut), 1),
        (Ok((500, None)), 1),
        (Ok((502, None)), 1),
        (Ok((502, Some(1))), 1),
        (Ok((503, None)), 1),
        (Ok((503, Some(1))), 3),
        (Ok((429, None)), 1),
        (Ok((429, Some(1))), 3),
        (Ok((504, None)), 1),
    ] {
        let sent = Sent::default();
        let service = failing_until(9, &sent, move || match failure {
            Ok((code, after)) => status(code, after),
            Err(kind) => Err(Broken(kind)),
        });
        let request = post().body(lamps()).unwrap();
        let result = layer(config(3)).layer(service).oneshot(request).await;
        assert_eq!(sent.lock().unwrap().len(), times, "{failure:?}");
        match (result, failure) {
            (Ok(response), Ok((code, _))) => assert_eq!(response.status(), code),
            (Err(error), Err(kind)) => assert_eq!(error, Broken(kind)),
            (result, _) => panic!("{result:?}"),
        }
    }
}

/// Why it failed says more than that a limit inside had no room for a second try. Of an answer nothing
/// is kept: its connection may serve the second.
#[tokio::test(start_paused = true)]
async fn a_retry_that_is_refused_inside_leaves_the_error_before_it() {
    const REFUSED: FaultKind = FaultKind::Rejected { retry_after: None };
    for (first, last) in [
        (Err(FaultKind::NotSent), Err(FaultKind::NotSent)),
        (Ok(503), Err(REFUSED)),
        (Err(REFUSED), Err(REFUSED)),
    ] {
        let refused = move |request: Request<Full<Bytes>>| {
            let outcome = match (request.extensions().get::<Attempt>(), first) {
                (None, Ok(code)) => status(code, Some(1)),
                (None, Err(kind)) => Err(Broken(kind)),
                (Some(_), _) => Err(Broken(REFUSED)),
            };
            ready(outcome)
        };
        let service = layer(config(3)).layer(service_fn(refused));
        let outcome = service.oneshot(post().body(lamps()).unwrap()).await;
        assert_eq!(outcome.map(|it| it.status().as_u16()), last.map_err(Broken));
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_key_it_is_placed_again_under_the_same_key() {
    let sent = Sent::default();
    let service = failing_until(3, &sent, || Err(Broken(FaultKind::TimedOut)));
    let request = post()
        .header("idempotency-key", "8e03978e")
        .body(lamps())
        .unwrap();
    let response = layer(config(3))
        .layer(service)
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(response.extensions().get(), Some(&Attempt(3)));
    let key = || Some("8e03978e".to_owned());
    let number = |n: u32| (Some(Attempt(n)), Some(n.to_string()), key());
    let expected = [(None, None, key()), number(2), number(3)];
    assert_eq!(*sent.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_request_holds() {
    let sent = Sent::default();
    let service = failing_until(9, &sent, || Err(Broken(FaultKind::NotSent)));
    let deadline = Clock::tokio().now() + Duration::from_secs(2);
    let request = post().extension(Deadline(deadline)).body(lamps()).unwrap();
    layer(config(9))
        .layer(service)
        .oneshot(request)
        .await
        .unwrap_err();
    assert_eq!(sent.lock().unwrap().len(), 2);
    assert!(Clock::tokio().now() < deadline);
}

#[tokio::test(start_paused = true)]
async fn a_streaming_body_is_sent_again_if_it_fits() {
    for (cap, times) in [(9, 3), (8, 1)] {
        let sent = Sent::default();
        let service = failing_until(9, &sent, || Err(Broken(FaultKind::NotSent)));
        let policy = HttpPolicy::streaming(Clock::tokio());
        let layer = RetryLayer::new(policy, config(3), None, Clock::tokio());
        let request = post().body(ReplayBody::with_cap(lamps(), cap)).unwrap();
        layer.layer(service).oneshot(request).await.unwrap_err();
        assert_eq!(sent.lock().unwrap().len(), times, "{cap}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_which_nothing_was_read_is_sent_again_however_long() {
    let sent = AtomicUsize::new(0);
    let refusing = service_fn(|_: Request<ReplayBody<Full<Bytes>>>| {
        sent.fetch_add(1, Ordering::SeqCst);
        ready(Err::<Response<()>, _>(Broken(FaultKind::NotSent)))
    });
    let policy = HttpPolicy::streaming(Clock::tokio());
    let layer = RetryLayer::new(policy, config(3), None, Clock::tokio());
    let request = post().body(ReplayBody::with_cap(lamps(), 1)).unwrap();
    layer.layer(refusing).oneshot(request).await.unwrap_err();
    assert_eq!(sent.load(Ordering::SeqCst), 3);
}

/// A body that another task writes.
struct Upload(mpsc::UnboundedReceiver<Bytes>);

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|chunk| chunk.map(Frame::data).map(Ok))
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_outgrows_its_cap_during_the_delay_is_not_sent_again() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    // Answers before the body has ended, and goes on reading it, as a connection does.
    let early = service_fn(move |request: Request<ReplayBody<Upload>>| {
        count.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(request.into_body().collect());
        ready(Ok::<_, Broken>(
            Response::builder().status(502).body(()).unwrap(),
        ))
    });
    let policy = HttpPolicy::streaming(Clock::tokio());
    let layer = RetryLayer::new(policy, config(3), None, Clock::tokio());
    let (upload, body) = mpsc::unbounded_channel();
    upload.send(Bytes::from_static(b"little")).unwrap();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        upload.send(Bytes::from_static(b"and much")).unwrap();
    });
    let body = ReplayBody::with_cap(Upload(body), 8);
    let request = Request::put("/").body(body).unwrap();
    let response = layer.layer(early).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 502);
    assert_eq!(sent.load(Ordering::SeqCst), 1);
}
