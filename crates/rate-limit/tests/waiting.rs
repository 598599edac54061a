//! The queue: order, priorities, bounds, deadlines, and what dropping a waiting call leaves.

use std::{sync::Arc, time::Duration};

use bartizan_clock::{Clock, Instant};
use bartizan_rate_limit::{Acquire, Allowed, Priority, Quota, RateLimited, RateLimiter, Waiting};
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};

const SECOND: Duration = Duration::from_secs(1);

const PATIENT: Waiting = Waiting {
    max_wait: Duration::from_secs(60),
    max_waiting: 100,
};

/// A limiter of a token a second, with this burst.
fn limiter(burst: u32) -> RateLimiter {
    let quota = Quota::per_second(1).burst(burst).build().unwrap();
    RateLimiter::new(quota, Clock::tokio())
}

/// The same, with nothing in its bucket.
fn empty() -> RateLimiter {
    let limiter = limiter(1);
    limiter.check().unwrap();
    limiter
}

fn wait(limiter: &RateLimiter) -> task::Spawn<Acquire> {
    wait_as(limiter, Priority::Normal)
}

fn wait_as(limiter: &RateLimiter, priority: Priority) -> task::Spawn<Acquire> {
    task::spawn(limiter.acquire(&PATIENT, priority, None))
}

fn now() -> Instant {
    Clock::tokio().now()
}

fn refused(acquire: &Acquire) -> RateLimited {
    acquire.decision().unwrap().unwrap_err()
}

/// Nobody waits, and tokens come as if nobody ever had.
async fn assert_untouched(limiter: &RateLimiter) {
    assert_eq!(limiter.snapshot().waiting, 0);
    let before = limiter.snapshot().tokens;
    if before == 0 {
        advance(SECOND).await;
    }
    assert!(limiter.check().is_ok());
}

#[tokio::test(start_paused = true)]
async fn eight_at_once_on_a_burst_of_three_pass_in_the_time_the_rate_allows() {
    let quota = Quota::per_minute(120).burst(3).build().unwrap();
    let limiter = RateLimiter::new(quota, Clock::tokio());
    let start = now();
    let calls = (0..8).map(|_| async {
        limiter
            .acquire(&PATIENT, Priority::Normal, None)
            .await
            .unwrap();
        now() - start
    });
    let done = join_all(calls).await;
    let half_seconds = [0, 0, 0, 1, 2, 3, 4, 5].map(|n| Duration::from_millis(500) * n);
    assert_eq!(done, half_seconds);
    assert_eq!(limiter.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_there_is_had_without_waiting() {
    let limiter = limiter(2);
    let acquire = limiter.acquire(&PATIENT, Priority::Low, Some(now()));
    let (limit, remaining) = (2, 1);
    assert_eq!(acquire.decision(), Some(&Ok(Allowed { limit, remaining })));
    assert_eq!(limiter.snapshot().tokens, 1);
    assert_eq!(acquire.await, Ok(Allowed { limit, remaining }));
}

#[tokio::test(start_paused = true)]
async fn first_come_first_served_whatever_the_order_of_polls() {
    let limiter = empty();
    let [mut first, mut second, mut third] = [(); 3].map(|()| wait(&limiter));
    assert_eq!(limiter.snapshot().waiting, 3);
    assert_pending!(third.poll());
    assert_pending!(second.poll());
    advance(SECOND * 5).await;
    // The bucket holds one token, and it is not for these two.
    assert_pending!(third.poll());
    assert_pending!(second.poll());
    assert_ready_ok!(first.poll());
    assert!(second.is_woken());
    assert!(!third.is_woken());
    assert_pending!(second.poll());
    advance(SECOND).await;
    assert!(second.is_woken());
    assert_ready_ok!(second.poll());
    assert_pending!(third.poll());
    advance(SECOND).await;
    assert_ready_ok!(third.poll());
    assert_untouched(&limiter).await;
}

#[tokio::test(start_paused = true)]
async fn higher_priorities_go_first_and_each_keeps_its_order() {
    let limiter = empty();
    let order = Arc::new(Mutex::new(Vec::new()));
    let calls = [
        (Priority::Low, "low 1"),
        (Priority::Normal, "normal 1"),
        (Priority::High, "high 1"),
        (Priority::Low, "low 2"),
        (Priority::High, "high 2"),
        (Priority::Normal, "normal 2"),
    ];
    let calls = calls.map(|(priority, name)| {
        let acquire = limiter.acquire(&PATIENT, priority, None);
        let order = Arc::clone(&order);
        async move {
            acquire.await.unwrap();
            order.lock().push(name);
        }
    });
    join_all(calls).await;
    let expected = ["high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2"];
    assert_eq!(*order.lock(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_takes_no_token_that_others_wait_for() {
    let limiter = limiter(3);
    while limiter.check().is_ok() {}
    let mut waiting = wait(&limiter);
    assert_pending!(waiting.poll());
    advance(SECOND * 2).await;
    // Two tokens are there; the one who waits has not been polled since.
    let limited = limiter.check().unwrap_err();
    assert!(limited.retry_after > Duration::ZERO);
    assert_eq!(limited.remaining, 0);
    let mut newcomer = wait(&limiter);
    let mut low = wait_as(&limiter, Priority::Low);
    assert_pending!(newcomer.poll());
    assert_pending!(low.poll());
    // A higher priority goes before all of them.
    let high = limiter.acquire(&PATIENT, Priority::High, None);
    assert!(matches!(high.decision(), Some(Ok(_))));
    assert_ready_ok!(waiting.poll());
    assert_pending!(newcomer.poll());
    assert_pending!(low.poll());
    // And a normal one before one that waits with low priority.
    drop(newcomer);
    advance(SECOND).await;
    assert!(limiter.check().is_ok());
    assert_pending!(low.poll());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_take_too_long_is_refused_at_once() {
    let limiter = empty();
    let waiting = Waiting {
        max_wait: SECOND * 3,
        ..PATIENT
    };
    let acquire = || limiter.acquire(&waiting, Priority::Normal, None);
    let queued: Vec<_> = (0..3).map(|_| acquire()).collect();
    assert!(queued.iter().all(|acquire| acquire.decision().is_none()));
    advance(Duration::from_millis(1)).await;
    // Its turn would come in 3.999 s.
    let limited = refused(&acquire());
    assert_eq!(limited.retry_after, Duration::from_millis(3_999));
    assert_eq!(limited.to_string(), "rate limited, retry in 4 s");
    assert_eq!(limiter.snapshot().waiting, 3);
    // High priority has nobody before it.
    let high = limiter.acquire(&waiting, Priority::High, None);
    assert!(high.decision().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_announced_wait_is_true() {
    let limiter = empty();
    let mut queued: Vec<_> = (0..5).map(|_| wait(&limiter)).collect();
    let impatient = Waiting {
        max_wait: Duration::ZERO,
        ..PATIENT
    };
    let limited = refused(&limiter.acquire(&impatient, Priority::Normal, None));
    assert_eq!(limited.retry_after, SECOND * 6);
    assert_eq!(limiter.check().unwrap_err(), limited);
    // Whoever comes back then, and not a moment earlier, finds a token.
    for waiting in &mut queued {
        assert_pending!(waiting.poll());
    }
    for waiting in &mut queued {
        advance(SECOND).await;
        assert_ready_ok!(waiting.poll());
    }
    advance(SECOND - Duration::from_nanos(1)).await;
    assert!(limiter.check().is_err());
    advance(Duration::from_nanos(1)).await;
    assert!(limiter.check().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_counts_like_the_longest_wait() {
    let limiter = empty();
    let by = |deadline| limiter.acquire(&PATIENT, Priority::Normal, Some(deadline));
    let limited = refused(&by(now() + Duration::from_millis(999)));
    assert_eq!(limited.retry_after, SECOND);
    let in_time = by(now() + SECOND);
    assert!(in_time.decision().is_none());
    let past = by(now() - SECOND);
    assert_eq!(refused(&past).retry_after, SECOND * 2);
    in_time.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_pushed_back_beyond_its_time_is_refused_then() {
    let limiter = empty();
    let waiting = Waiting {
        max_wait: SECOND * 2,
        ..PATIENT
    };
    let start = now();
    let low = limiter.acquire(&waiting, Priority::Low, None);
    let high = join_all((0..3).map(|_| limiter.acquire(&PATIENT, Priority::High, None)));
    let ended = async {
        let limited = low.await.unwrap_err();
        (now() - start, limited)
    };
    let ((after, limited), high) = tokio::join!(ended, high);
    assert!(high.iter().all(Result::is_ok));
    assert_eq!(after, SECOND * 2);
    // One of high priority was still before it.
    assert_eq!(limited.retry_after, SECOND * 2);
    assert_eq!(limiter.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_cannot_make_it_any_more_does_not_wait_for_its_end() {
    let limiter = empty();
    let waiting = Waiting {
        max_wait: Duration::from_millis(1_500),
        ..PATIENT
    };
    let mut low = task::spawn(limiter.acquire(&waiting, Priority::Low, None));
    assert_pending!(low.poll());
    advance(SECOND).await;
    assert!(limiter.check().is_ok());
    // The next token comes at 2 s, and its time is up at 1.5 s.
    let limited = assert_ready_err!(low.poll());
    assert_eq!(limited.retry_after, SECOND);
    assert_untouched(&limiter).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_sheds_the_newest_of_the_lowest_priority() {
    let limiter = empty();
    let small = Waiting {
        max_waiting: 3,
        ..PATIENT
    };
    let join = |priority| task::spawn(limiter.acquire(&small, priority, None));
    let mut old = join(Priority::Low);
    let mut new = join(Priority::Low);
    let mut normal = join(Priority::Normal);
    for waiting in [&mut old, &mut new, &mut normal] {
        assert_pending!(waiting.poll());
    }
    let same = limiter.acquire(&small, Priority::Low, None);
    assert_eq!(refused(&same).retry_after, SECOND * 4);

    let mut first_high = join(Priority::High);
    assert!(new.is_woken());
    assert!(!old.is_woken());
    assert_eq!(limiter.snapshot().waiting, 3);
    let limited = assert_ready_err!(new.poll());
    // Three wait that it would come after.
    assert_eq!(limited.retry_after, SECOND * 4);

    let mut second_high = join(Priority::High);
    assert_ready_err!(old.poll());
    let third_high = join(Priority::High);
    assert_ready_err!(normal.poll());
    // Now there is nobody left to shed.
    let fourth = limiter.acquire(&small, Priority::High, None);
    assert_eq!(refused(&fourth).retry_after, SECOND * 4);

    drop(third_high);
    assert_pending!(first_high.poll());
    advance(SECOND).await;
    assert_ready_ok!(first_high.poll());
    advance(SECOND).await;
    assert_ready_ok!(second_high.poll());
    assert_untouched(&limiter).await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_no_length_is_a_refusal() {
    let limiter = empty();
    let none = Waiting {
        max_waiting: 0,
        ..PATIENT
    };
    let high = limiter.acquire(&none, Priority::High, None);
    assert_eq!(refused(&high).retry_after, SECOND);
    let waiting = wait_as(&limiter, Priority::Low);
    let high = limiter.acquire(&none, Priority::High, None);
    assert_eq!(refused(&high).retry_after, SECOND);
    assert_eq!(limiter.snapshot().waiting, 1);
    drop(waiting);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_head_hands_on_before_it_was_polled() {
    let limiter = empty();
    let head = wait(&limiter);
    let mut next = wait(&limiter);
    assert_pending!(next.poll());
    drop(head);
    assert!(next.is_woken());
    assert_pending!(next.poll());
    advance(SECOND).await;
    assert!(next.is_woken());
    assert_ready_ok!(next.poll());
    assert_untouched(&limiter).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_a_head_hands_on_while_it_sleeps() {
    let limiter = empty();
    let [mut head, mut next] = [(); 2].map(|()| wait(&limiter));
    assert_pending!(head.poll());
    assert_pending!(next.poll());
    advance(SECOND / 2).await;
    drop(head);
    assert!(next.is_woken());
    assert_pending!(next.poll());
    advance(SECOND / 2).await;
    // The token that the head slept for is now the next one's.
    assert!(next.is_woken());
    assert_ready_ok!(next.poll());
    assert_untouched(&limiter).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_a_head_hands_on_after_its_token_came() {
    let limiter = empty();
    let [mut head, mut next] = [(); 2].map(|()| wait(&limiter));
    assert_pending!(head.poll());
    assert_pending!(next.poll());
    advance(SECOND).await;
    assert!(head.is_woken());
    drop(head);
    assert!(next.is_woken());
    assert_ready_ok!(next.poll());
    assert_untouched(&limiter).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_one_that_was_woken_to_lead_hands_on_again() {
    let limiter = empty();
    let [mut head, mut next, mut last] = [(); 3].map(|()| wait(&limiter));
    for waiting in [&mut head, &mut next, &mut last] {
        assert_pending!(waiting.poll());
    }
    advance(SECOND).await;
    assert_ready_ok!(head.poll());
    assert!(next.is_woken());
    drop(next);
    assert!(last.is_woken());
    assert_pending!(last.poll());
    advance(SECOND).await;
    assert_ready_ok!(last.poll());
    assert_untouched(&limiter).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_one_in_the_middle_or_at_the_end_moves_up_the_rest() {
    let limiter = empty();
    let mut calls: Vec<_> = (0..4).map(|_| wait(&limiter)).collect();
    for waiting in &mut calls {
        assert_pending!(waiting.poll());
    }
    let mut last = calls.pop().unwrap();
    let (middle, mut head) = (calls.remove(1), calls.remove(0));
    let mut third = calls.pop().unwrap();
    drop(middle);
    assert!(
        ![&head, &third, &last]
            .iter()
            .any(|waiting| waiting.is_woken())
    );
    assert_eq!(limiter.check().unwrap_err().retry_after, SECOND * 4);
    advance(SECOND).await;
    assert_ready_ok!(head.poll());
    assert_pending!(third.poll());
    assert_pending!(last.poll());
    drop(last);
    assert_eq!(limiter.snapshot().waiting, 1);
    advance(SECOND).await;
    assert_ready_ok!(third.poll());
    assert_untouched(&limiter).await;
}

#[tokio::test(start_paused = true)]
async fn leadership_goes_to_the_highest_priority_that_waits() {
    let limiter = empty();
    let mut low = wait_as(&limiter, Priority::Low);
    let mut normal = wait_as(&limiter, Priority::Normal);
    let [mut high, mut higher] = [(); 2].map(|()| wait_as(&limiter, Priority::High));
    for waiting in [&mut higher, &mut high, &mut normal, &mut low] {
        assert_pending!(waiting.poll());
    }
    drop(high);
    assert!(higher.is_woken());
    assert!(!normal.is_woken());
    drop(higher);
    assert!(normal.is_woken());
    assert!(!low.is_woken());
    drop(normal);
    assert!(low.is_woken());
}

#[tokio::test(start_paused = true)]
async fn a_deposed_head_leads_again_when_the_usurper_is_gone() {
    let limiter = empty();
    let mut normal = wait(&limiter);
    assert_pending!(normal.poll());
    let mut high = wait_as(&limiter, Priority::High);
    assert_pending!(high.poll());
    advance(SECOND).await;
    assert!(normal.is_woken());
    // Its alarm rings, but it does not lead any more, and goes back to sleep.
    assert_pending!(normal.poll());
    drop(high);
    assert!(normal.is_woken());
    assert_ready_ok!(normal.poll());
    assert_untouched(&limiter).await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_kept_and_not_polled_holds_others_up_no_longer_than_they_wait() {
    let limiter = empty();
    let stuck = wait(&limiter);
    let waiting = Waiting {
        max_wait: SECOND * 4,
        ..PATIENT
    };
    let start = now();
    let limited = limiter
        .acquire(&waiting, Priority::Normal, None)
        .await
        .unwrap_err();
    assert_eq!(now() - start, SECOND * 4);
    assert!(limited.retry_after > Duration::ZERO);
    drop(stuck);
    assert_untouched(&limiter).await;
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_may_move_to_another_task() {
    let limiter = empty();
    let [mut head, mut next] = [(); 2].map(|()| wait(&limiter));
    assert_pending!(head.poll());
    assert_pending!(next.poll());
    let moved = tokio::spawn(next.into_inner());
    tokio::task::yield_now().await;
    drop(head);
    assert!(moved.await.unwrap().is_ok());
    assert_eq!(limiter.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn clones_share_the_bucket_and_the_queue() {
    let limiter = empty();
    let clone = limiter.clone();
    assert!(clone.check().is_err());
    let waiting = wait(&limiter);
    assert_eq!(clone.snapshot().waiting, 1);
    assert_eq!(clone.check().unwrap_err().retry_after, SECOND * 2);
    drop(waiting);
    assert_eq!(clone.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "polled after it completed")]
async fn polling_on_after_the_end_is_a_mistake() {
    let mut acquire = wait(&limiter(1));
    assert_ready_ok!(acquire.poll());
    let _ = assert_ready!(acquire.poll());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_will_not_wait_sheds_nobody() {
    let limiter = limiter(2);
    limiter.check().unwrap();
    limiter.check().unwrap();
    let two = Waiting {
        max_waiting: 2,
        ..PATIENT
    };
    let mut first = task::spawn(limiter.acquire(&two, Priority::Normal, None));
    let mut low = task::spawn(limiter.acquire(&two, Priority::Low, None));
    assert_pending!(first.poll());
    assert_pending!(low.poll());
    // There is a token for each of them.
    advance(SECOND * 2).await;
    let hasty = Waiting {
        max_wait: Duration::ZERO,
        ..two
    };
    let decision = limiter.acquire(&hasty, Priority::Normal, None);
    assert!(matches!(decision.decision(), Some(Err(_))));
    let late = limiter.acquire(&two, Priority::Normal, Some(now()));
    assert!(matches!(late.decision(), Some(Err(_))));
    assert_ready_ok!(first.poll());
    assert_ready_ok!(low.poll());
}
