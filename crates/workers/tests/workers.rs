//! Where tasks run, what they share, and how they end.

use std::{
    collections::HashSet,
    num::NonZeroUsize,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use bartizan_workers::{PerWorker, Workers};
use tokio::sync::oneshot;

fn workers(count: usize) -> Workers {
    Workers::start(NonZeroUsize::new(count).unwrap()).unwrap()
}

fn here() -> String {
    thread::current().name().unwrap_or("nameless").to_owned()
}

#[test]
fn tasks_go_where_the_fewest_are_still_running() {
    let workers = workers(2);
    let (tell, told) = mpsc::channel();
    let start = || {
        let (end, ended) = oneshot::channel::<()>();
        let tell = tell.clone();
        workers.spawner().spawn(async move {
            tell.send(here()).unwrap();
            let _ = ended.await;
        });
        (told.recv().unwrap(), end)
    };
    let running: Vec<_> = (0..6).map(|_| start()).collect();
    let (first, second): (Vec<_>, Vec<_>) =
        running.into_iter().partition(|(it, _)| it == "worker-0");
    assert_eq!((first.len(), second.len()), (3, 3));

    // Two places are free once the worker has noticed, and the next two tasks get them.
    drop(second.into_iter().skip(1).collect::<Vec<_>>());
    let mut more = Vec::new();
    while more.len() < 2 {
        let (worker, end) = start();
        if worker == "worker-1" {
            more.push(end);
        }
    }
}

#[test]
fn what_a_task_spawns_stays_on_its_worker() {
    let workers = workers(3);
    let (tell, told) = mpsc::channel();
    for _ in 0..30 {
        let tell = tell.clone();
        workers.spawner().spawn(async move {
            let mine = here();
            let spawned = tokio::spawn(async { here() }).await.unwrap();
            tell.send((mine, spawned)).unwrap();
        });
    }
    drop(tell);
    let places: Vec<_> = told.iter().collect();
    assert_eq!(places.len(), 30);
    for (mine, spawned) in places {
        assert_eq!(mine, spawned);
    }
}

#[test]
fn each_worker_has_a_value_of_its_own_and_all_other_threads_share_one() {
    let workers = workers(2);
    let values = Arc::new(PerWorker::new("elsewhere".to_owned()));
    let (tell, told) = mpsc::channel();
    for _ in 0..4 {
        let (values, tell) = (Arc::clone(&values), tell.clone());
        workers.spawner().spawn(async move {
            let value = values.get(|count| format!("{} of {count}", here())).clone();
            tell.send((here(), value)).unwrap();
            // So that the next goes to the other.
            std::future::pending::<()>().await;
        });
    }
    drop(tell);
    let seen: HashSet<_> = told.iter().take(4).collect();
    let each = |name: &str| (name.to_owned(), format!("{name} of 2"));
    assert_eq!(seen, HashSet::from([each("worker-0"), each("worker-1")]));

    assert_eq!(values.get(|_| unreachable!()), "elsewhere");
    let other = Arc::clone(&values);
    let other = thread::spawn(move || other.get(|_| unreachable!()).clone());
    assert_eq!(other.join().unwrap(), "elsewhere");
}

#[test]
fn dropping_them_ends_their_tasks_and_waits_for_blocking_calls() {
    let workers = workers(2);
    let spawner = workers.spawner();
    let (tell, told) = mpsc::channel();
    let (begun, has_begun) = mpsc::channel();
    let (wait, waited) = mpsc::channel::<()>();
    {
        let tell = tell.clone();
        spawner.spawn(async move {
            let work = tokio::task::spawn_blocking(move || {
                begun.send(()).unwrap();
                let _ = waited.recv();
                tell.send("blocking call ended").unwrap();
            });
            work.await.unwrap();
        });
    }
    struct OnDrop(mpsc::Sender<&'static str>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }
    let dropped = OnDrop(tell.clone());
    spawner.spawn(async move {
        let _dropped = dropped;
        std::future::pending::<()>().await;
    });
    has_begun.recv().unwrap();
    let ending = thread::spawn(move || drop(workers));
    assert_eq!(told.recv().unwrap(), "dropped");
    drop(wait);
    ending.join().unwrap();
    assert_eq!(told.try_recv(), Ok("blocking call ended"));

    let late = OnDrop(tell);
    spawner.spawn(async move {
        let _late = late;
        unreachable!("there is no worker");
    });
    assert_eq!(told.recv(), Ok("dropped"));
}

#[test]
fn a_blocking_call_that_never_ends_is_left_behind() {
    let workers = workers(2);
    let (begun, has_begun) = mpsc::channel();
    let (_wait, waited) = mpsc::channel::<()>();
    workers.spawner().spawn(async move {
        let work = tokio::task::spawn_blocking(move || {
            begun.send(()).unwrap();
            let _ = waited.recv();
        });
        work.await.unwrap();
    });
    has_begun.recv().unwrap();
    let (end, ended) = mpsc::channel();
    thread::spawn(move || {
        drop(workers);
        end.send(()).unwrap();
    });
    let ended = ended.recv_timeout(Duration::from_secs(20));
    assert_eq!(ended, Ok(()), "it waits for the blocking call");
}
