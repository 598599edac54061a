use std::{
    error::Error as StdError,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use thiserror::Error;

/// How much of each body is not counted: a connection has buffers of about that size, too.
const FREE: u64 = 64 * 1024;

/// How many bytes of large request bodies are in memory at once.
///
/// Each is bounded, and connections are, but over HTTP/2 one connection carries hundreds.
#[derive(Debug, Default)]
pub(crate) struct Room(AtomicU64);

/// There is no room for so much.
#[derive(Debug, Error)]
#[error("the bodies of requests under way take up all the room for them")]
pub(crate) struct NoRoom;

impl Room {
    fn take(self: &Arc<Self>, bytes: u64, most: u64) -> Result<(), NoRoom> {
        let more = |taken: u64| taken.checked_add(bytes).filter(|taken| *taken <= most);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.map(drop).map_err(|_| NoRoom)
    }
}

/// The room that one body takes up, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    room: Arc<Room>,
    bytes: u64,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Taken {
    /// The bytes of a body, which take up their room for as long as anybody has them.
    pub(crate) fn by(taken: Option<Self>, bytes: Bytes) -> Bytes {
        struct Owner {
            bytes: Bytes,
            _taken: Taken,
        }

        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                &self.bytes
            }
        }

        match taken {
            Some(_taken) => Bytes::from_owner(Owner { bytes, _taken }),
            None => bytes,
        }
    }
}

/// A body that takes up room as it comes.
#[pin_project]
pub(crate) struct Taking<'a, B> {
    #[pin]
    body: B,
    room: &'a Arc<Room>,
    /// The most bytes for all bodies together.
    most: u64,
    came: u64,
    taken: &'a mut Option<Taken>,
}

impl<'a, B> Taking<'a, B> {
    pub(crate) fn new(
        body: B,
        room: &'a Arc<Room>,
        most: u64,
        taken: &'a mut Option<Taken>,
    ) -> Self {
        Self {
            body,
            room,
            most,
            came: 0,
            taken,
        }
    }
}

impl<B> Body for Taking<'_, B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        let polled = this.body.poll_frame(cx).map_err(Into::into);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            *this.came += data.len() as u64;
            let counted = this.came.saturating_sub(FREE);
            let before = this.taken.as_ref().map_or(0, |taken| taken.bytes);
            if counted > before {
                if let Err(no_room) = this.room.take(counted - before, *this.most) {
                    return Poll::Ready(Some(Err(no_room.into())));
                }
                let taken = this.taken.get_or_insert_with(|| Taken {
                    room: Arc::clone(this.room),
                    bytes: 0,
                });
                taken.bytes = counted;
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bartizan_server::{CollectError, collect};
    use http_body_util::Full;

    use super::*;

    const MOST: u64 = 1024 * 1024;

    async fn collected(room: &Arc<Room>, length: usize) -> Result<Bytes, CollectError> {
        let mut taken = None;
        let body = Full::new(Bytes::from(vec![7; length]));
        let body = Taking::new(body, room, MOST, &mut taken);
        let bytes = collect(body, length, Duration::from_secs(1)).await?;
        Ok(Taken::by(taken, bytes))
    }

    #[tokio::test]
    async fn large_bodies_take_up_room_for_as_long_as_they_are_held() {
        let room = Arc::default();
        let small = collected(&room, 64 * 1024).await.unwrap();
        assert_eq!(room.0.load(Ordering::Relaxed), 0);
        let large = collected(&room, 1024 * 1024).await.unwrap();
        let part = large.slice(3..9);
        drop(large);
        assert_eq!(room.0.load(Ordering::Relaxed), MOST - FREE);
        match collected(&room, 1024 * 1024).await {
            Err(CollectError::Disconnected { cause }) => assert!(cause.is::<NoRoom>()),
            other => panic!("{other:?}"),
        }
        assert!(collected(&room, 128 * 1024).await.is_ok());
        assert_eq!(&part[..], [7; 6]);
        drop((part, small));
        assert_eq!(room.0.load(Ordering::Relaxed), 0);
    }
}
