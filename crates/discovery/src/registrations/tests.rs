use super::*;
use crate::Instance;

fn instance(id: &str) -> Instance {
    Instance::new("http://10.0.0.1:80")
        .unwrap()
        .with_id(id)
        .unwrap()
}

fn registrations() -> Registrations {
    Registrations::builder().clock(Clock::tokio()).spawn()
}

fn ids(watch: &Watch) -> Vec<String> {
    watch
        .current()
        .instances
        .iter()
        .map(|it| it.id().to_string())
        .collect()
}

const TTL: Option<Duration> = Some(Duration::from_secs(10));

#[tokio::test(start_paused = true)]
async fn instances_come_and_go() {
    let it = registrations();
    let a = it.service("a");
    assert!(!a.current().stale);
    assert!(!it.register("a", instance("1"), None).unwrap());
    assert!(!it.register("a", instance("2"), None).unwrap());
    assert!(
        it.register("a", instance("1").with_weight(4).unwrap(), None)
            .unwrap()
    );
    assert_eq!(ids(&a), ["1", "2"]);
    assert_eq!(a.current().instances[0].weight(), 4);
    assert_eq!(it.deregister("a", "1").unwrap().instance.weight(), 4);
    assert_eq!(ids(&a), ["2"]);
    assert!(it.deregister("a", "1").is_err() && it.deregister("b", "1").is_err());
    it.deregister("a", "2").unwrap();
    assert!(a.current().instances.is_empty() && !a.current().stale);
    assert!(it.current().registry.services.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_not_heard_of_leaves() {
    let it = registrations();
    let mut a = it.service("a");
    let clock = Clock::tokio();
    let start = clock.now();
    it.register("a", instance("stays"), None).unwrap();
    it.register("a", instance("late"), Some(Duration::from_secs(20)))
        .unwrap();
    it.register("a", instance("early"), TTL).unwrap();
    a.changed().await.unwrap();
    assert_eq!(ids(&a), ["stays", "late", "early"]);
    a.changed().await.unwrap();
    assert_eq!((clock.now() - start).as_secs(), 10);
    assert_eq!(ids(&a), ["stays", "late"]);
    a.changed().await.unwrap();
    assert_eq!((clock.now() - start).as_secs(), 20);
    assert_eq!(ids(&a), ["stays"]);
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_keeps_it_and_a_late_one_says_so() {
    let it = registrations();
    let a = it.service("a");
    it.register("a", instance("1"), TTL).unwrap();
    it.register("a", instance("2"), None).unwrap();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(it.heartbeat("a", "1").unwrap(), TTL);
        assert_eq!(it.heartbeat("a", "2").unwrap(), None);
    }
    assert_eq!(ids(&a), ["1", "2"]);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(ids(&a), ["2"]);
    let late = it.heartbeat("a", "1").unwrap_err();
    assert!(late.to_string().ends_with("register it again"), "{late}");
    it.register("a", instance("1"), TTL).unwrap();
    assert_eq!(ids(&a), ["2", "1"]);
}

#[tokio::test(start_paused = true)]
async fn registering_again_sets_a_new_time() {
    let it = registrations();
    it.register("a", instance("1"), TTL).unwrap();
    it.register("a", instance("1"), TTL).unwrap();
    it.register("a", instance("1"), None).unwrap();
    it.register("a", instance("2"), None).unwrap();
    it.register("a", instance("2"), TTL).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(ids(&it.service("a")), ["1"]);
    assert!(it.shared.known().deadlines.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_wakes_nobody() {
    let it = registrations();
    it.register("a", instance("1"), TTL).unwrap();
    let (service, all) = (it.service("a").current(), it.current());
    it.heartbeat("a", "1").unwrap();
    assert_eq!((it.service("a").current(), it.current()), (service, all));
}

#[tokio::test(start_paused = true)]
async fn services_do_not_touch_each_other() {
    let it = registrations();
    for service in ["a", "b", "c"] {
        it.register(service, instance("1"), None).unwrap();
    }
    let c = it.service("c").current();
    it.deregister("a", "1").unwrap();
    it.register("b", instance("2"), None).unwrap();
    assert_eq!(it.service("c").current(), c);
    assert_eq!(ids(&it.service("b")), ["1", "2"]);
    let names: Vec<_> = it
        .current()
        .registry
        .services
        .iter()
        .map(|it| it.name.clone())
        .collect();
    assert_eq!(names, ["b".into(), "c".into()]);
}

#[tokio::test(start_paused = true)]
async fn there_is_a_bound_and_expired_ones_do_not_count() {
    let it = Registrations::builder()
        .capacity(2)
        .clock(Clock::tokio())
        .spawn();
    it.register("a", instance("1"), TTL).unwrap();
    it.register("b", instance("1"), None).unwrap();
    let full = it.register("c", instance("1"), None).unwrap_err();
    assert_eq!(full, RegistrationError::Full { capacity: 2 });
    assert!(it.register("b", instance("1"), None).unwrap());
    tokio::time::sleep(Duration::from_secs(11)).await;
    it.register("c", instance("1"), None).unwrap();
    let zero = it
        .register("c", instance("1"), Some(Duration::ZERO))
        .unwrap_err();
    assert_eq!(zero, RegistrationError::ZeroTtl);
    let nameless = it.register("", instance("1"), None).unwrap_err();
    assert_eq!(nameless, RegistrationError::NoService);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_services_have_instances() {
    let it = Registrations::builder()
        .services(2)
        .clock(Clock::tokio())
        .spawn();
    for service in ["a", "b"] {
        it.register(service, instance("1"), TTL).unwrap();
    }
    let refused = it.register("c", instance("1"), None).unwrap_err();
    assert_eq!(refused, RegistrationError::TooManyServices { most: 2 });
    assert!(refused.is_full());
    it.register("a", instance("2"), TTL).unwrap();
    it.deregister("b", "1").unwrap();
    it.register("c", instance("1"), TTL).unwrap();
    it.register("b", instance("1"), TTL).unwrap_err();
    // Nobody has looked since their time ran out.
    tokio::time::sleep(TTL.unwrap()).await;
    for service in ["d", "e"] {
        it.register(service, instance("1"), None).unwrap();
    }
}

#[cfg(feature = "registry")]
#[tokio::test(start_paused = true)]
async fn what_is_said_of_all_has_a_bound() {
    let said = |id: &str, more: usize| {
        let text = format!(r#"{{"endpoint":"http://a","note":"{}"}}"#, "x".repeat(more));
        Entry::from_json(&text, Some(id)).unwrap().0
    };
    let length = said("1", 0).raw.unwrap().len();
    let it = Registrations::builder()
        .bytes(2 * length + 10)
        .clock(Clock::tokio())
        .spawn();
    it.register("a", said("1", 10), TTL).unwrap();
    it.register("b", said("1", 0), None).unwrap();
    let most = 2 * length + 10;
    let full = RegistrationError::TooManyBytes { most };
    assert_eq!(it.register("b", said("2", 0), None), Err(full.clone()));
    // In the place of another it is that much longer only.
    assert_eq!(it.register("b", said("1", 1), None), Err(full.clone()));
    assert_eq!(it.register("a", said("1", 9), TTL), Ok(true));
    assert_eq!(it.register("b", said("1", 1), None), Ok(true));
    it.deregister("b", "1").unwrap();
    it.register("b", said("2", 1), None).unwrap();
    tokio::time::advance(TTL.unwrap()).await;
    // The one that has expired is gone, although the other does not come.
    assert_eq!(it.register("c", said("1", 999), None), Err(full));
    assert!(ids(&it.service("a")).is_empty());
    it.register("c", said("1", 9), None).unwrap();
}

#[tokio::test(start_paused = true)]
async fn dropping_the_source_ends_its_watches() {
    let it = registrations();
    it.register("a", instance("1"), TTL).unwrap();
    let mut a = it.service("a");
    drop(it);
    assert_eq!(a.changed().await, None);
    assert_eq!(ids(&a), ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_threads_register_and_lose_nothing() {
    let it = Arc::new(registrations());
    let threads: Vec<_> = (0..2)
        .map(|thread| {
            let it = Arc::clone(&it);
            tokio::spawn(async move {
                for n in 0..200 {
                    let id = format!("{thread}-{n}");
                    it.register("a", instance(&id), TTL).unwrap();
                    it.heartbeat("a", &id).unwrap();
                    if n % 2 == 1 {
                        it.deregister("a", &id).unwrap();
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.await.unwrap();
    }
    assert_eq!(ids(&it.service("a")).len(), 200);
    assert_eq!(it.shared.known().deadlines.len(), 200);
}
