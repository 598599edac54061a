use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::LinkError;

/// How dear a message is when there is no room: what is smaller goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Progress and log messages, of which the next says more.
    Passing,
    Notification,
    /// The server waits for an answer.
    Request,
}

/// A message on its way to a reader.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) message: Bytes,
    pub(super) rank: Rank,
}

/// What became of a letter.
#[derive(Debug)]
pub(super) enum Push {
    /// It is in the queue, or it or another was left out for lack of room.
    Taken,
    /// There is no room, and nothing that could be left out.
    Full(Letter),
    /// Nobody reads, and it must not be lost.
    NobodyReads(Letter),
}

/// How much a mailbox holds, and what it may leave out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) letters: usize,
    pub(super) bytes: usize,
    /// Letters up to this rank give way to others.
    pub(super) gives_way: Rank,
}

/// A bounded queue with one reader.
///
/// Not a channel, because what is in it can be left out again. The lock protects the queue; only
/// the link's one reader task and the one reader of the mailbox take it, for a push or a pop.
#[derive(Debug)]
pub(super) struct Mailbox {
    mail: Mutex<Mail>,
    room: Room,
}

#[derive(Debug)]
struct Mail {
    queue: VecDeque<Letter>,
    bytes: usize,
    waker: Option<Waker>,
    /// Somebody will read what is in the queue.
    read: bool,
    /// What comes after the queue.
    last: Option<Result<Bytes, LinkError>>,
    /// Nothing more is taken.
    over: bool,
}

impl Mailbox {
    /// An empty mailbox; `read` says whether it has a reader from the beginning.
    pub(super) fn new(room: Room, read: bool) -> Self {
        let mail = Mail {
            queue: VecDeque::new(),
            bytes: 0,
            waker: None,
            read,
            last: None,
            over: false,
        };
        Self {
            mail: Mutex::new(mail),
            room,
        }
    }

    /// Adds a letter, making room for it if need be.
    pub(super) fn push(&self, letter: Letter) -> Push {
        let mut mail = self.mail.lock();
        if mail.over || (letter.rank == Rank::Request && !mail.read) {
            return if letter.rank == Rank::Request {
                Push::NobodyReads(letter)
            } else {
                Push::Taken
            };
        }
        while !mail.has_room(&letter, self.room) {
            if !mail.leave_out(self.room.gives_way) {
                return if letter.rank <= self.room.gives_way {
                    Push::Taken
                } else {
                    Push::Full(letter)
                };
            }
        }
        mail.bytes += letter.message.len();
        mail.queue.push_back(letter);
        let waker = mail.waker.take();
        drop(mail);
        wake(waker);
        Push::Taken
    }

    /// Ends the mailbox with one more item, or just so. Only the first end counts.
    pub(super) fn finish(&self, last: Option<Result<Bytes, LinkError>>) {
        let mut mail = self.mail.lock();
        if !mail.over {
            mail.over = true;
            mail.last = last;
            let waker = mail.waker.take();
            drop(mail);
            wake(waker);
        }
    }

    /// Ends the mailbox at once, whatever is still in it; that is returned.
    pub(super) fn abandon(&self, last: Option<LinkError>) -> VecDeque<Letter> {
        let mut mail = self.mail.lock();
        let letters = mail.drain();
        mail.over = true;
        mail.last = last.map(Err);
        let waker = mail.waker.take();
        drop(mail);
        wake(waker);
        letters
    }

    /// Becomes the reader; false if there is one.
    pub(super) fn begin_reading(&self) -> bool {
        !std::mem::replace(&mut self.mail.lock().read, true)
    }

    /// Ceases to be the reader; what was not read is returned.
    pub(super) fn end_reading(&self) -> VecDeque<Letter> {
        let mut mail = self.mail.lock();
        mail.read = false;
        mail.waker = None;
        mail.drain()
    }

    /// The next item; `None` after the last.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, LinkError>>> {
        let mut mail = self.mail.lock();
        if let Some(letter) = mail.queue.pop_front() {
            mail.bytes -= letter.message.len();
            return Poll::Ready(Some(Ok(letter.message)));
        }
        if mail.over {
            return Poll::Ready(mail.last.take());
        }
        match &mut mail.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Mail {
    fn has_room(&self, letter: &Letter, room: Room) -> bool {
        self.queue.is_empty()
            || (self.queue.len() < room.letters && self.bytes + letter.message.len() <= room.bytes)
    }

    /// Leaves out the oldest letter that gives way; false if there is none.
    fn leave_out(&mut self, gives_way: Rank) -> bool {
        let oldest = self
            .queue
            .iter()
            .position(|letter| letter.rank <= gives_way);
        match oldest.and_then(|at| self.queue.remove(at)) {
            Some(letter) => {
                self.bytes -= letter.message.len();
                true
            }
            None => false,
        }
    }

    fn drain(&mut self) -> VecDeque<Letter> {
        self.bytes = 0;
        std::mem::take(&mut self.queue)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use proptest::{
        collection::vec,
        prelude::{Just, Strategy, prop_assert, prop_oneof, proptest},
    };

    use super::{Bytes, Letter, Mailbox, Push, Rank, Room};

    fn mailbox(letters: usize, bytes: usize) -> Mailbox {
        let gives_way = Rank::Passing;
        let room = Room {
            letters,
            bytes,
            gives_way,
        };
        Mailbox::new(room, true)
    }

    fn letter(rank: Rank, text: &'static str) -> Letter {
        let message = Bytes::from_static(text.as_bytes());
        Letter { message, rank }
    }

    fn read(mailbox: &Mailbox) -> Option<Bytes> {
        match mailbox.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(item) => item.map(Result::unwrap),
            Poll::Pending => None,
        }
    }

    #[test]
    fn what_passes_gives_way_oldest_first() {
        let mailbox = mailbox(3, 99);
        for (rank, text) in [
            (Rank::Notification, "a"),
            (Rank::Passing, "b"),
            (Rank::Passing, "c"),
            (Rank::Passing, "d"),
            (Rank::Request, "e"),
            (Rank::Request, "f"),
        ] {
            assert!(matches!(mailbox.push(letter(rank, text)), Push::Taken));
        }
        assert!(matches!(
            mailbox.push(letter(Rank::Passing, "g")),
            Push::Taken
        ));
        assert!(matches!(
            mailbox.push(letter(Rank::Notification, "h")),
            Push::Full(_)
        ));
        for text in ["a", "e", "f"] {
            assert_eq!(read(&mailbox).unwrap(), text);
        }
        assert_eq!(read(&mailbox), None);
    }

    #[test]
    fn bytes_are_bounded_but_one_letter_always_fits() {
        let mailbox = mailbox(9, 4);
        assert!(matches!(
            mailbox.push(letter(Rank::Request, "12345")),
            Push::Taken
        ));
        assert!(matches!(
            mailbox.push(letter(Rank::Request, "1")),
            Push::Full(_)
        ));
        assert_eq!(read(&mailbox).unwrap(), "12345");
        assert!(matches!(
            mailbox.push(letter(Rank::Request, "1234")),
            Push::Taken
        ));
        assert!(matches!(
            mailbox.push(letter(Rank::Request, "5")),
            Push::Full(_)
        ));
    }

    fn rank() -> impl Strategy<Value = Rank> {
        prop_oneof![
            Just(Rank::Passing),
            Just(Rank::Notification),
            Just(Rank::Request)
        ]
    }

    proptest! {
        #[test]
        fn no_bound_is_exceeded(ops in vec((rank(), 0_usize..8, proptest::bool::ANY), 0..60)) {
            let mailbox = mailbox(4, 12);
            for (rank, len, read_one) in ops {
                let message = Bytes::from(vec![b'x'; len]);
                mailbox.push(Letter { message, rank });
                {
                    let mail = mailbox.mail.lock();
                    let held: usize = mail.queue.iter().map(|letter| letter.message.len()).sum();
                    prop_assert!(held == mail.bytes && held <= 12 && mail.queue.len() <= 4);
                }
                if read_one {
                    read(&mailbox);
                }
            }
        }
    }
}
