use proptest::prelude::*;

use super::*;

const OLD: &[u8] = b"the quick brown fox jumps over the lazy dog";
const NEW: &[u8] = b"pack my box with five dozen liquor jugs";

fn keys(secrets: &[&[u8]]) -> Keys {
    Keys::from_secrets(secrets).unwrap()
}

fn open(keys: &Keys, token: &str) -> Result<Vec<u8>, InvalidToken> {
    keys.open(Purpose::Session, b"alice", 99, token)
        .map(|opened| opened.payload().to_vec())
}

#[test]
fn any_replica_opens_what_another_sealed() {
    let token = keys(&[NEW]).seal(Purpose::Session, b"alice", 100, b"state");
    assert_eq!(open(&keys(&[NEW]), &token).unwrap(), b"state");
    assert!(token.bytes().all(|byte| byte.is_ascii_graphic()), "{token}");
}

#[test]
fn the_first_key_seals_and_all_open() {
    let by_old = keys(&[OLD]).seal(Purpose::Session, b"alice", 100, b"old");
    let rotated = keys(&[NEW, OLD]);
    let by_new = rotated.seal(Purpose::Session, b"alice", 100, b"new");
    assert_eq!(open(&rotated, &by_old).unwrap(), b"old");
    assert_eq!(open(&keys(&[NEW]), &by_new).unwrap(), b"new");
    assert_eq!(open(&keys(&[OLD]), &by_new), Err(InvalidToken::Forged));
    assert_eq!(open(&keys(&[NEW]), &by_old), Err(InvalidToken::Forged));
}

#[test]
fn a_random_key_is_nobody_elses() {
    let (ours, theirs) = (Keys::random(), Keys::random());
    let token = ours.seal(Purpose::Session, b"alice", 100, b"state");
    assert_eq!(open(&ours.clone(), &token).unwrap(), b"state");
    assert_eq!(open(&theirs, &token), Err(InvalidToken::Forged));
}

/// Lesson 17: a session id must not be usable with another credential.
#[test]
fn a_token_of_one_principal_is_noise_to_another() {
    let keys = keys(&[NEW]);
    let long = vec![b'a'; 300];
    let principals: [&[u8]; 6] = [b"alice", b"alicf", b"alic", b"alice\0", b"", &long];
    for (i, sealed_for) in principals.iter().enumerate() {
        let token = keys.seal(Purpose::Session, sealed_for, 100, b"state");
        for (j, presented_by) in principals.iter().enumerate() {
            let opened = keys.open(Purpose::Session, presented_by, 0, &token);
            assert_eq!(opened.is_ok(), i == j, "{sealed_for:?} {presented_by:?}");
        }
    }
}

#[test]
fn the_hash_of_a_long_principal_is_another_principal() {
    let keys = keys(&[NEW]);
    let long = vec![b'a'; 300];
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &long);
    let token = keys.seal(Purpose::Session, &long, 100, b"");
    let opened = keys.open(Purpose::Session, hash.as_ref(), 0, &token);
    assert_eq!(opened.unwrap_err(), InvalidToken::Forged);
}

#[test]
fn a_token_for_one_purpose_is_noise_to_another() {
    let keys = keys(&[NEW]);
    let token = keys.seal(Purpose::RequestState, b"alice", 100, b"state");
    assert_eq!(open(&keys, &token), Err(InvalidToken::Forged));
}

#[test]
fn only_a_genuine_token_is_told_that_it_expired() {
    let keys = keys(&[NEW]);
    let token = keys.seal(Purpose::Session, b"alice", 100, b"state");
    let at = |now, principal: &[u8]| keys.open(Purpose::Session, principal, now, &token);
    assert_eq!(at(99, b"alice").unwrap().expires(), 100);
    assert_eq!(at(100, b"alice").unwrap_err(), InvalidToken::Expired);
    assert_eq!(at(100, b"mallory").unwrap_err(), InvalidToken::Forged);
}

#[test]
fn every_changed_character_is_noticed() {
    let keys = keys(&[NEW, OLD]);
    let token = keys.seal(Purpose::Session, b"alice", 100, b"state");
    for place in 0..token.len() {
        for other in ["A", "B", "_", "=", " ", "é"] {
            let mut changed = token.clone();
            changed.replace_range(place..=place, other);
            if changed != token {
                assert_eq!(open(&keys, &changed), Err(InvalidToken::Forged), "{place}");
            }
        }
        assert_eq!(open(&keys, &token[..place]), Err(InvalidToken::Forged));
    }
    assert_eq!(open(&keys, &format!("{token}A")), Err(InvalidToken::Forged));
}

#[test]
fn no_two_tokens_are_alike() {
    let keys = Keys::random();
    let seal = || keys.seal(Purpose::Session, b"alice", 100, b"state");
    assert_ne!(seal(), seal());
}

#[test]
fn poor_secrets_are_refused() {
    let refused = |secrets: &[&[u8]]| Keys::from_secrets(secrets).unwrap_err();
    assert_eq!(refused(&[]), InvalidKeys::None);
    assert_eq!(refused(&[NEW; Keys::MAX + 1]), InvalidKeys::TooMany);
    assert_eq!(
        refused(&[NEW, &OLD[..31]]),
        InvalidKeys::TooShort { position: 2 }
    );
    assert_eq!(
        refused(&[b"changemechangemechangemechangeme"]),
        InvalidKeys::Regular { position: 1 }
    );
    assert_eq!(
        refused(&[NEW, OLD, NEW]),
        InvalidKeys::Repeated { position: 3 }
    );
    assert!(refused(&[b"x"]).to_string().contains("32 bytes"));
}

#[test]
fn nothing_prints_keys_or_payloads() {
    let keys = keys(&[NEW]);
    assert_eq!(format!("{keys:?}"), "Keys");
    let token = keys.seal(Purpose::Session, b"alice", 100, b"hush");
    let opened = keys.open(Purpose::Session, b"alice", 0, &token).unwrap();
    assert_eq!(
        format!("{opened:?}"),
        "Opened { payload_bytes: 4, expires: 100 }"
    );
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened(
        payload in prop::collection::vec(any::<u8>(), 0..600),
        principal in prop::collection::vec(any::<u8>(), 0..400),
        expires in 1_u64..,
    ) {
        let keys = keys(&[NEW]);
        let token = keys.seal(Purpose::Task, &principal, expires, &payload);
        let opened = keys.open(Purpose::Task, &principal, expires - 1, &token).unwrap();
        prop_assert_eq!(opened.payload(), &payload[..]);
        prop_assert_eq!(opened.expires(), expires);
    }

    #[test]
    fn garbage_is_refused(token in "\\PC{0,200}", text in "[A-Za-z0-9_-]{0,200}") {
        prop_assert_eq!(open(&keys(&[NEW]), &token), Err(InvalidToken::Forged));
        prop_assert_eq!(open(&keys(&[NEW]), &text), Err(InvalidToken::Forged));
    }
}
