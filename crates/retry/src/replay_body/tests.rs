use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::Wake,
};

use http_body_util::{BodyExt, Full};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use tokio::sync::mpsc;

use super::*;

/// Frames that arrive when the test sends them, and the failure of the body as a frame.
struct Upload(mpsc::UnboundedReceiver<Result<Frame<Bytes>, &'static str>>);

impl Body for Upload {
    type Data = Bytes;
    type Error = Refused;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Refused>>> {
        self.0.poll_recv(cx).map_err(Refused)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct Refused(&'static str);

type Sender = mpsc::UnboundedSender<Result<Frame<Bytes>, &'static str>>;

fn upload(cap: usize) -> (Sender, ReplayBody<Upload>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, ReplayBody::with_cap(Upload(receiver), cap))
}

fn send(sender: &Sender, chunk: &'static str) {
    sender
        .send(Ok(Frame::data(Bytes::from_static(chunk.as_bytes()))))
        .unwrap();
}

async fn next<B>(body: &mut ReplayBody<B>) -> Option<Result<Bytes, ReplayError<B::Error>>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let frame = body.frame().await?;
    Some(frame.map(|frame| frame.into_data().unwrap()))
}

#[tokio::test]
async fn what_one_attempt_read_the_next_reads_again_and_goes_on() {
    let (sender, mut first) = upload(100);
    let mut second = first.clone();
    send(&sender, "one ");
    send(&sender, "two ");
    assert_eq!(next(&mut first).await.unwrap().unwrap(), "one ");
    // An answer came before the body was through.
    drop(first);
    assert!(second.is_replayable());
    let third = second.clone();
    assert_eq!(next(&mut second).await.unwrap().unwrap(), "one ");
    assert_eq!(next(&mut second).await.unwrap().unwrap(), "two ");
    drop(second);
    send(&sender, "three");
    drop(sender);
    assert_eq!(third.collect().await.unwrap().to_bytes(), "one two three");
}

#[tokio::test]
async fn chunks_are_shared_and_not_copied() {
    let whole = Bytes::from(vec![7_u8; 1000]);
    let body = ReplayBody::new(Full::new(whole.clone()));
    for _ in 0..3 {
        let mut again = body.clone();
        assert_eq!(
            next(&mut again).await.unwrap().unwrap().as_ptr(),
            whole.as_ptr()
        );
        assert!(next(&mut again).await.is_none());
        assert!(next(&mut again).await.is_none());
    }
}

#[tokio::test]
async fn past_the_cap_the_attempt_goes_on_and_none_can_follow() {
    let (sender, mut first) = upload(8);
    let mut second = first.clone();
    send(&sender, "12345");
    send(&sender, "678");
    assert!(next(&mut first).await.unwrap().is_ok());
    assert!(next(&mut first).await.unwrap().is_ok());
    assert!(second.is_replayable(), "exactly the cap");
    send(&sender, "9");
    send(&sender, "0");
    drop(sender);
    assert_eq!(next(&mut first).await.unwrap().unwrap(), "9");
    assert!(!second.is_replayable());
    assert_eq!(second.shared().chunks.capacity(), 0, "the memory is free");
    let error = next(&mut second).await.unwrap().unwrap_err();
    assert_eq!(error, ReplayError::NotReplayable);
    assert_eq!(next(&mut first).await.unwrap().unwrap(), "0");
    assert!(next(&mut first).await.is_none());
}

#[tokio::test]
async fn a_body_announced_too_long_is_sent_again_until_it_is_read_and_not_remembered() {
    let chunks = ["1234", "56789"].map(Bytes::from).into();
    let announced = true;
    let first = ReplayBody::with_cap(Chunks { chunks, announced }, 8);
    let mut second = first.clone();
    drop(first);
    let third = second.clone();
    assert!(third.is_replayable(), "nothing has been read");
    assert_eq!(next(&mut second).await.unwrap().unwrap(), "1234");
    assert!(!third.is_replayable());
    assert_eq!(second.shared().chunks.capacity(), 0);
    assert_eq!(second.collect().await.unwrap().to_bytes(), "56789");
    let error = third.collect().await.unwrap_err();
    assert_eq!(error, ReplayError::NotReplayable);
}

#[tokio::test]
async fn tiny_chunks_are_bounded_by_number() {
    let (sender, mut first) = upload(usize::MAX);
    let second = first.clone();
    for count in 1..=ReplayBody::<Upload>::MAX_CHUNKS {
        send(&sender, "x");
        send(&sender, "");
        next(&mut first).await.unwrap().unwrap();
        next(&mut first).await.unwrap().unwrap();
        assert_eq!(
            second.shared().chunks.len(),
            count,
            "empty ones do not count"
        );
    }
    send(&sender, "x");
    next(&mut first).await.unwrap().unwrap();
    assert!(!second.is_replayable());
}

#[tokio::test]
async fn nothing_is_remembered_for_the_only_clone() {
    let (sender, mut only) = upload(100);
    send(&sender, "chunk");
    next(&mut only).await.unwrap().unwrap();
    assert_eq!(only.shared().buffered, 0);
    assert!(!only.clone().is_replayable());
    send(&sender, "more");
    assert_eq!(next(&mut only).await.unwrap().unwrap(), "more");
}

#[tokio::test]
async fn trailers_are_replayed() {
    let (sender, first) = upload(100);
    let second = first.clone();
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", "abc".parse().unwrap());
    send(&sender, "data");
    sender.send(Ok(Frame::trailers(trailers.clone()))).unwrap();
    drop(sender);
    for body in [first, second] {
        let whole = body.collect().await.unwrap();
        assert_eq!(whole.trailers(), Some(&trailers));
        assert_eq!(whole.to_bytes(), "data");
    }
}

#[tokio::test]
async fn a_body_that_failed_cannot_be_sent_again() {
    let (sender, mut first) = upload(100);
    let mut second = first.clone();
    send(&sender, "data");
    sender.send(Err("the client went away")).unwrap();
    next(&mut first).await.unwrap().unwrap();
    let error = next(&mut first).await.unwrap().unwrap_err();
    assert_eq!(error, ReplayError::Body(Refused("the client went away")));
    assert!(next(&mut first).await.is_none());
    assert!(!second.is_replayable());
    let error = next(&mut second).await.unwrap().unwrap_err();
    assert_eq!(error, ReplayError::NotReplayable);
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_later_attempt_stops_an_earlier_one_that_is_still_being_sent() {
    let (sender, mut first) = upload(100);
    let mut second = first.clone();
    send(&sender, "data");
    next(&mut first).await.unwrap().unwrap();
    let woken = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut waiting = pin!(first.frame());
    let mut cx = Context::from_waker(&waker);
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    assert_eq!(next(&mut second).await.unwrap().unwrap(), "data");
    assert!(woken.0.load(Ordering::SeqCst), "it hears of it");
    let Poll::Ready(Some(Err(error))) = waiting.poll(&mut cx) else {
        panic!("still sending");
    };
    assert_eq!(error, ReplayError::Superseded);
    send(&sender, "more");
    assert_eq!(next(&mut second).await.unwrap().unwrap(), "more");
}

#[tokio::test]
async fn what_is_left_is_known() {
    let body = ReplayBody::new(Full::new(Bytes::from_static(b"12345")));
    let (mut first, again) = (body.clone(), body);
    assert_eq!(first.size_hint().exact(), Some(5));
    assert!(!first.is_end_stream());
    next(&mut first).await.unwrap().unwrap();
    assert_eq!(first.size_hint().exact(), Some(0));
    assert!(first.is_end_stream());
    assert_eq!(again.size_hint().exact(), Some(5));
    assert!(!again.is_end_stream());
    assert!(next(&mut first).await.is_none());
    assert_eq!(again.size_hint().exact(), Some(5));
    assert_eq!(again.collect().await.unwrap().to_bytes(), "12345");
    let empty = ReplayBody::new(Full::new(Bytes::new()));
    assert!(empty.is_end_stream());
    assert!(empty.clone().is_end_stream());
}

/// Chunks that are there already, and whether their length is announced.
struct Chunks {
    chunks: VecDeque<Bytes>,
    announced: bool,
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.chunks.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn size_hint(&self) -> SizeHint {
        let length: usize = self.chunks.iter().map(Bytes::len).sum();
        if self.announced {
            SizeHint::with_exact(length as u64)
        } else {
            SizeHint::default()
        }
    }
}

proptest! {
    /// However far each attempt gets, the next sees the whole body or says that it cannot.
    #[test]
    fn every_attempt_sees_the_whole_body(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..12),
        reads in proptest::collection::vec(0_usize..14, 1..5),
        cap in 0_usize..150,
        announced in any::<bool>(),
    ) {
        let whole = chunks.concat();
        let chunks = chunks.into_iter().map(Bytes::from).collect();
        let mut kept = ReplayBody::with_cap(Chunks { chunks, announced }, cap);
        let mut cx = Context::from_waker(Waker::noop());
        for frames in reads {
            if !kept.is_replayable() {
                break;
            }
            let mut attempt = kept.clone();
            let mut seen = Vec::new();
            for _ in 0..frames {
                match Pin::new(&mut attempt).poll_frame(&mut cx) {
                    Poll::Ready(Some(frame)) => seen.extend(frame.unwrap().into_data().unwrap()),
                    Poll::Ready(None) => {
                        prop_assert_eq!(&seen, &whole);
                        prop_assert!(attempt.is_end_stream());
                        break;
                    }
                    Poll::Pending => unreachable!(),
                }
                prop_assert!(whole.starts_with(&seen));
                prop_assert!(kept.shared().buffered <= cap);
            }
        }
        if kept.is_replayable() {
            let mut seen = Vec::new();
            while let Poll::Ready(Some(frame)) = Pin::new(&mut kept).poll_frame(&mut cx) {
                seen.extend(frame.unwrap().into_data().unwrap());
            }
            prop_assert_eq!(seen, whole);
        }
    }
}

#[tokio::test]
async fn a_reader_that_will_fail_does_not_pose_as_complete() {
    let (sender, first) = upload(4);
    let lost = first.clone();
    send(&sender, "more than four");
    drop(sender);
    first.collect().await.unwrap();
    assert!(!lost.is_replayable());
    assert!(!lost.is_end_stream());
    assert_eq!(lost.size_hint().upper(), None);

    let (sender, mut superseded) = upload(100);
    let second = superseded.clone();
    send(&sender, "abc");
    next(&mut superseded).await.unwrap().unwrap();
    send(&sender, "def");
    drop(sender);
    second.collect().await.unwrap();
    assert!(!superseded.is_end_stream());
    assert_eq!(superseded.size_hint().upper(), None);
}
