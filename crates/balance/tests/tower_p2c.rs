//! The same load on tower's p2c balancer and on ours: four endpoints, one of them slow.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, time::Duration};

use bartizan_balance::{Balance, Balancer, Strategy};
use bartizan_classify::ErrorsAreFailures;
use bartizan_clock::Clock;
use bartizan_discovery::Instance;
use tokio::time::sleep;
use tower::{
    Service, ServiceExt,
    discover::ServiceList,
    load::{CompleteOnResponse, PendingRequests},
    service_fn,
};

const CALLS: usize = 4_000;
const SLOW: usize = 2;

type Reply = Pin<Box<dyn Future<Output = Result<usize, Infallible>> + Send>>;

fn endpoint(
    index: usize,
) -> impl Service<(), Response = usize, Error = Infallible, Future = Reply> + Clone + Send + Sync + 'static
{
    service_fn(move |()| -> Reply {
        let latency = Duration::from_millis(if index == SLOW { 400 } else { 10 });
        Box::pin(async move {
            sleep(latency).await;
            Ok(index)
        })
    })
}

/// One call each millisecond, whether or not earlier ones have ended; the share of each endpoint.
async fn load<S>(mut service: S) -> [f64; 4]
where
    S: Service<(), Response = usize>,
    S::Error: std::fmt::Debug + Send + 'static,
    S::Future: Send + 'static,
{
    let mut calls = Vec::new();
    for _ in 0..CALLS {
        let call = service.ready().await.unwrap().call(());
        calls.push(tokio::spawn(call));
        sleep(Duration::from_millis(1)).await;
    }
    let mut shares = [0.0; 4];
    for call in calls {
        shares[call.await.unwrap().unwrap()] += 1.0 / CALLS as f64;
    }
    shares
}

async fn ours(strategy: Strategy) -> [f64; 4] {
    let instances: Vec<_> = (0..4)
        .map(|n| Instance::new(format!("http://i{n}")).unwrap())
        .collect();
    let indices: Arc<[_]> = instances.iter().map(|i| Arc::clone(i.id())).collect();
    let balancer = Balancer::builder(strategy, Clock::tokio())
        .build(&instances, move |instance| {
            endpoint(indices.iter().position(|id| id == instance.id()).unwrap())
        })
        .unwrap();
    load(Balance::new(balancer, ErrorsAreFailures)).await
}

async fn towers() -> [f64; 4] {
    let services = (0..4).map(|n| PendingRequests::new(endpoint(n), CompleteOnResponse::default()));
    load(tower::balance::p2c::Balance::new(ServiceList::new(
        services,
    )))
    .await
}

#[tokio::test(start_paused = true)]
async fn both_avoid_the_slow_endpoint_alike() {
    fastrand::seed(7);
    let (ours, towers) = (ours(Strategy::P2c).await, towers().await);
    for (n, (ours, towers)) in ours.iter().zip(towers).enumerate() {
        assert!(
            (ours - towers).abs() < 0.03,
            "{n}: ours {ours}, tower's {towers}"
        );
    }
    assert!(ours[SLOW] < 0.05, "{ours:?}");
}

#[tokio::test(start_paused = true)]
async fn where_latency_is_measured_it_is_avoided_even_more() {
    fastrand::seed(7);
    let (counted, measured) = (ours(Strategy::P2c).await, ours(Strategy::P2cPeakEwma).await);
    assert!(measured[SLOW] < counted[SLOW], "{measured:?} {counted:?}");
    let rest = measured.iter().enumerate().filter(|(n, _)| *n != SLOW);
    for (_, share) in rest {
        assert!((share - 1.0 / 3.0).abs() < 0.06, "{measured:?}");
    }
}
