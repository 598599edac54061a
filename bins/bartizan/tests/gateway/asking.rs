//! `cleanup` asks before it removes, if there is somebody to ask.

use std::{fs::File, io::Write, os::fd::OwnedFd};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use crate::{Home, REGISTRY, failed};

/// The two ends of a terminal: the keyboard, and what a program reads from.
fn terminal() -> (File, OwnedFd) {
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&keyboard).unwrap();
    unlockpt(&keyboard).unwrap();
    let name = ptsname(&keyboard, Vec::new()).unwrap();
    let input = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (keyboard.into(), input)
}

#[tokio::test]
async fn without_a_terminal_it_refuses_and_says_how_not_to_be_asked() {
    let home = Home::with(REGISTRY);
    let complaint = home.fails(2, &["cleanup"]).await;
    assert!(complaint.contains("say --yes"), "{complaint}");
    assert_eq!(home.text(), REGISTRY);
}

#[tokio::test]
async fn whatever_is_not_yes_is_no() {
    for answer in ["n\n", "\n", "yess\n", "\u{4}"] {
        let home = Home::with(REGISTRY);
        let (mut keyboard, input) = terminal();
        keyboard.write_all(answer.as_bytes()).unwrap();
        let complaint = failed(1, home.command(&["cleanup"]).stdin(input).run().await);
        assert!(
            complaint.contains("Remove 1 instance with the file"),
            "{complaint}"
        );
        assert!(complaint.contains("fs-2"), "{complaint}");
        assert!(complaint.ends_with("nothing was removed\n"), "{complaint}");
        assert_eq!(home.text(), REGISTRY);
    }
}

#[tokio::test]
async fn yes_is_yes() {
    for answer in ["y\n", "YES\n"] {
        let home = Home::with(REGISTRY);
        let (mut keyboard, input) = terminal();
        keyboard.write_all(answer.as_bytes()).unwrap();
        let finished = home.command(&["cleanup"]).stdin(input).run().await;
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
        assert!(
            finished.stdout.contains("removed instance fs-2"),
            "{finished:?}"
        );
        assert!(!home.text().contains("fs-2"));
    }
}
