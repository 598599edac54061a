//! The balancer as a tower service: tower's contract, cancellation, streams.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bartizan_balance::{
    Affinity, Balance, Balancer, Busy, Endpoint, Error, NoAffinity, Strategy, TrackCompletion,
    Tried, UntilBodyEnd,
};
use bartizan_classify::{ErrorsAreFailures, Fault, FaultKind, HttpClassifier};
use bartizan_clock::Clock;
use bartizan_discovery::{Instance, parse_endpoints};
use bartizan_testkit::Probe;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Response;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

fn three() -> Vec<Instance> {
    parse_endpoints("http://a,http://b,http://c").unwrap()
}

fn balancer<T: Send + Sync + 'static>(
    strategy: Strategy,
    make: impl Fn(&Instance) -> T + Send + Sync + 'static,
) -> Balancer<T> {
    Balancer::builder(strategy, Clock::tokio())
        .build(&three(), make)
        .unwrap()
}

fn in_flight<T>(balancer: &Balancer<T>) -> u64 {
    balancer.snapshot().iter().map(|e| e.in_flight).sum()
}

async fn once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("broken")]
struct Broken;

impl Fault for Broken {
    fn fault(&self) -> FaultKind {
        FaultKind::Interrupted
    }
}

#[tokio::test]
async fn the_clone_that_was_made_ready_is_the_one_that_is_called() {
    let probe = Probe::new(|n: u32| async move { Ok::<_, Infallible>(n) }).ready_after(3);
    let state = probe.state();
    let balancer = balancer(Strategy::RoundRobin, move |_| probe.clone());
    let mut service = Balance::new(balancer, ErrorsAreFailures);
    for n in 0..30 {
        // Calls on fresh clones, on the same service, and with several in flight.
        let cloned = service.clone().oneshot(n);
        let first = service.ready().await.unwrap().call(n);
        let second = service.ready().await.unwrap().call(n);
        let (cloned, first, second) = tokio::join!(cloned, first, second);
        assert_eq!((cloned, first, second), (Ok(n), Ok(n), Ok(n)));
    }
    assert_eq!((state.calls(), state.completed()), (90, 90));
}

#[tokio::test]
async fn an_endpoint_is_busy_while_it_is_made_ready_and_called_and_free_afterwards() {
    let probe = Probe::new(|()| pending::<Result<(), Infallible>>()).ready_after(2);
    let state = probe.state();
    let balancer = balancer(Strategy::RoundRobin, move |_| probe.clone());
    let mut service = Balance::new(balancer.clone(), ErrorsAreFailures);

    // Dropped before the first poll, while waiting for readiness, and while being called.
    for polls in 0..3 {
        let mut call = service.ready().await.unwrap().call(());
        assert_eq!(in_flight(&balancer), 1);
        for _ in 0..polls {
            assert!(once(&mut call).await.is_pending());
            assert_eq!(in_flight(&balancer), 1);
        }
        drop(call);
        assert_eq!(in_flight(&balancer), 0);
    }
    assert_eq!((state.calls(), state.cancelled()), (1, 1));
    assert!(
        balancer
            .snapshot()
            .iter()
            .all(|e| e.failures == 0 && e.requests == 1)
    );
}

#[tokio::test]
async fn errors_pass_through_and_eject() {
    let service = Balance::new(
        balancer(Strategy::RoundRobin, |instance| {
            let broken = &**instance.id() == "http://b";
            Probe::new(move |()| async move { if broken { Err(Broken) } else { Ok(()) } })
        }),
        ErrorsAreFailures,
    );
    let mut errors = 0;
    for _ in 0..100 {
        match service.clone().oneshot(()).await {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error, Error::Inner(Broken));
                assert_eq!(error.fault(), FaultKind::Interrupted);
                errors += 1;
            }
        }
    }
    assert_eq!(errors, 5);
    assert_eq!(in_flight(service.balancer()), 0);
}

#[tokio::test]
async fn an_error_of_readiness_is_the_endpoints() {
    #[derive(Clone)]
    struct Refusing;

    impl Service<()> for Refusing {
        type Response = ();
        type Error = Broken;
        type Future = std::future::Ready<Result<(), Broken>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
            Poll::Ready(Err(Broken))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            unreachable!("never ready")
        }
    }

    let balancer = balancer(Strategy::RoundRobin, |_| Refusing);
    let service = Balance::new(balancer, ErrorsAreFailures);
    assert_eq!(service.clone().oneshot(()).await, Err(Error::Inner(Broken)));
    assert_eq!(service.balancer().snapshot()[0].failures, 1);
    assert_eq!(in_flight(service.balancer()), 0);
}

#[tokio::test]
async fn without_endpoints_the_answer_is_immediate() {
    let balancer = Balancer::builder(Strategy::P2c, Clock::tokio())
        .build(&[], |_| Probe::new(|()| pending::<Result<(), Broken>>()))
        .unwrap();
    let mut service = Balance::new(balancer, ErrorsAreFailures);
    let mut call = service.ready().await.unwrap().call(());
    let Poll::Ready(Err(error)) = once(&mut call).await else {
        panic!("not at once")
    };
    let Error::NoEndpoints(none) = &error else {
        panic!("{error}")
    };
    assert_eq!(none.retry_after(), None);
    assert_eq!(error.fault(), FaultKind::Rejected { retry_after: None });
    assert_eq!(error.to_string(), "no endpoint is available");
}

mod streams {
    use super::*;

    type Events = StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, Broken>>>;

    type Streaming = BoxCloneSyncService<(), Response<Events>, Broken>;

    /// Answers with two events and then whatever `last` says.
    fn service(
        last: impl Fn() -> Option<Result<Frame<Bytes>, Broken>> + Clone + Send + Sync + 'static,
    ) -> Balance<Streaming, HttpClassifier, NoAffinity, UntilBodyEnd> {
        Balance::http(balancer(Strategy::LeastConnections, move |_| {
            let last = last.clone();
            Streaming::new(Probe::new(move |()| {
                let last = last();
                let events = stream::iter(["one", "two"])
                    .map(|event| Ok(Frame::data(Bytes::from(event))))
                    .chain(stream::iter(last));
                let body: Events = StreamBody::new(events.boxed());
                async move { Ok(Response::new(body)) }
            }))
        }))
    }

    #[tokio::test]
    async fn an_endpoint_is_busy_until_the_body_ends() {
        let service = service(|| None);
        let balancer = service.balancer();
        let mut body = service.clone().oneshot(()).await.unwrap().into_body();
        for _ in 0..2 {
            assert_eq!(in_flight(balancer), 1);
            body.frame().await.unwrap().unwrap();
        }
        assert_eq!(in_flight(balancer), 1);
        assert!(body.frame().await.is_none());
        assert_eq!(in_flight(balancer), 0);
    }

    #[tokio::test]
    async fn or_until_it_fails() {
        let service = service(|| Some(Err(Broken)));
        let response = service.clone().oneshot(()).await.unwrap();
        let mut body = response.into_body();
        while let Some(Ok(_)) = body.frame().await {
            assert_eq!(in_flight(service.balancer()), 1);
        }
        assert_eq!(in_flight(service.balancer()), 0);
        drop(body);
        assert_eq!(in_flight(service.balancer()), 0);
    }

    #[tokio::test]
    async fn or_until_it_is_dropped() {
        let service = service(|| None);
        let mut response = service.clone().oneshot(()).await.unwrap();
        response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(in_flight(service.balancer()), 1);
        drop(response);
        assert_eq!(in_flight(service.balancer()), 0);
    }

    #[tokio::test]
    async fn others_avoid_the_one_that_streams_even_after_it_left_and_came_back() {
        let service = service(|| None);
        let streaming = service.clone().oneshot(()).await.unwrap();
        let busy = service.balancer().snapshot();
        let busy = busy.iter().position(|e| e.in_flight == 1).unwrap();
        let mut others = Vec::new();
        for _ in 0..2 {
            others.push(service.clone().oneshot(()).await.unwrap());
        }
        let counts = || -> Vec<_> {
            let snapshot = service.balancer().snapshot();
            snapshot.iter().map(|e| e.in_flight).collect()
        };
        assert_eq!(counts(), [1, 1, 1]);
        let mut without = three();
        without.remove(busy);
        service.balancer().update(&without);
        assert_eq!(counts(), [1, 1]);
        drop(streaming);
        assert_eq!(counts(), [1, 1]);
    }

    #[tokio::test]
    async fn a_body_of_known_length_ends_with_its_last_frame() {
        for text in ["", "hello"] {
            let service = Balance::http(balancer(Strategy::RoundRobin, move |_| {
                Probe::new(move |()| async move {
                    Ok::<_, Broken>(Response::new(Full::new(Bytes::from(text))))
                })
            }));
            let mut body = service.clone().oneshot(()).await.unwrap().into_body();
            assert_eq!(body.size_hint().exact(), Some(text.len() as u64));
            if !text.is_empty() {
                assert_eq!(in_flight(service.balancer()), 1);
                body.frame().await.unwrap().unwrap();
            }
            // Nobody asks for another frame: the length is known.
            assert!(body.is_end_stream());
            assert_eq!(in_flight(service.balancer()), 0);
        }
    }
}

#[tokio::test]
async fn a_response_can_say_who_answered() {
    #[derive(Clone)]
    struct Signed;

    impl TrackCompletion<Busy, u32> for Signed {
        type Output = (Arc<str>, u32);

        fn track(&self, busy: Busy, response: u32) -> Self::Output {
            (Arc::clone(busy.endpoint().id()), response)
        }
    }

    let probe = Probe::new(|n: u32| async move { Ok::<_, Infallible>(n) });
    let balancer = balancer(Strategy::RoundRobin, move |_| probe.clone());
    let service = Balance::new(balancer, ErrorsAreFailures).track(Signed);
    for name in ["http://a", "http://b", "http://c"] {
        assert_eq!(service.clone().oneshot(7).await, Ok((name.into(), 7)));
    }
}

/// A request that remembers where it went.
#[derive(Clone, Debug, Default)]
struct Call {
    session: Option<u64>,
    tried: Tried,
    chosen: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct Failover;

impl Affinity<Call> for Failover {
    fn key(&self, call: &Call) -> Option<u64> {
        call.session
    }

    fn tried(&self, call: &Call) -> Option<Tried> {
        Some(call.tried)
    }

    fn chosen(&self, call: &mut Call, endpoint: &Endpoint) {
        call.chosen.lock().unwrap().push(endpoint.id().to_string());
        call.tried.insert(endpoint);
    }
}

#[tokio::test]
async fn a_request_can_name_its_session_and_avoid_where_it_failed() {
    let probe = Probe::new(|call: Call| async move { Ok::<_, Broken>(call.tried) });
    let balancer = balancer(Strategy::ConsistentHash, move |_| probe.clone());
    let service = Balance::new(balancer, ErrorsAreFailures).affinity(Failover);
    let mut call = Call {
        session: Some(7),
        ..Call::default()
    };
    for _ in 0..3 {
        call.tried = service.clone().oneshot(call.clone()).await.unwrap();
    }
    let mut chosen = call.chosen.lock().unwrap().clone();
    let first = chosen[0].clone();
    chosen.sort();
    assert_eq!(chosen, ["http://a", "http://b", "http://c"]);

    let by_key = service.clone().affinity(|call: &Call| call.session);
    by_key.oneshot(call.clone()).await.unwrap();
    let owner = service.balancer().pick(Some(7)).unwrap();
    assert_eq!(**owner.id(), first);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_a_slow_endpoint_does_not_hold_up_others() {
    let open = Arc::new(AtomicBool::new(false));

    #[derive(Clone)]
    struct Gate(Option<Arc<AtomicBool>>);

    impl Service<()> for Gate {
        type Response = ();
        type Error = Infallible;
        type Future = std::future::Ready<Result<(), Infallible>>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            match &self.0 {
                Some(open) if !open.load(Ordering::SeqCst) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                _ => Poll::Ready(Ok(())),
            }
        }

        fn call(&mut self, (): ()) -> Self::Future {
            std::future::ready(Ok(()))
        }
    }

    let gate = Arc::clone(&open);
    let balancer = balancer(Strategy::LeastConnections, move |instance| {
        Gate((&**instance.id() == "http://a").then(|| Arc::clone(&gate)))
    });
    let mut service = Balance::new(balancer.clone(), ErrorsAreFailures);
    let mut stuck = Vec::new();
    for _ in 0..100 {
        poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
        let mut call = service.call(());
        if once(&mut call).await.is_pending() {
            stuck.push(call);
        }
    }
    assert_eq!(
        stuck.len(),
        1,
        "least connections never returns to the one that is stuck"
    );
    open.store(true, Ordering::SeqCst);
    tokio::time::timeout(Duration::from_secs(1), stuck.remove(0))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(in_flight(&balancer), 0);
}
