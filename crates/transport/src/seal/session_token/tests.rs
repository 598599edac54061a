use proptest::{option, prelude::*};

use super::*;

fn token() -> SessionToken<'static> {
    SessionToken {
        session: SessionId::from_bytes([7; 16]),
        service: 1,
        instance: "a",
        upstream_session: None,
        protocol_version: "2025-11-25",
        client_capabilities: None,
        client_info: None,
        created: 2,
    }
}

#[test]
fn what_the_client_said_is_carried_up_to_a_kibibyte() {
    let text = "x".repeat(1025);
    let carried = |capabilities: usize, info: usize| {
        let token = SessionToken {
            client_capabilities: Some(&text[..capabilities]),
            client_info: Some(&text[..info]),
            ..token()
        };
        let payload = token.encode().unwrap();
        let token = SessionToken::decode(&payload).unwrap();
        (
            token.client_capabilities.map(str::len),
            token.client_info.map(str::len),
        )
    };
    assert_eq!(carried(1000, 24), (Some(1000), Some(24)));
    assert_eq!(carried(1000, 25), (Some(1000), None));
    assert_eq!(carried(1025, 1024), (None, Some(1024)));
    assert_eq!(carried(0, 0), (Some(0), Some(0)));
}

#[test]
fn other_texts_are_refused_when_too_long() {
    let text = "x".repeat(4097);
    let instance = SessionToken {
        instance: &text[..256],
        ..token()
    };
    let upstream_session = SessionToken {
        upstream_session: Some(&text),
        ..token()
    };
    let protocol_version = SessionToken {
        protocol_version: &text[..33],
        ..token()
    };
    for token in [instance, upstream_session, protocol_version] {
        let error = token.encode().unwrap_err();
        assert!(error.to_string().contains(error.field), "{error}");
    }
}

#[test]
fn the_upstream_session_id_is_not_printed() {
    let token = SessionToken {
        upstream_session: Some("hush"),
        client_info: Some("hush"),
        ..token()
    };
    assert!(!format!("{token:?}").contains("hush"));
}

#[test]
fn another_layout_is_not_read() {
    let mut payload = token().encode().unwrap();
    payload[0] = 2;
    assert_eq!(SessionToken::decode(&payload), Err(InvalidSessionToken));
}

#[test]
fn nothing_may_follow() {
    let mut payload = token().encode().unwrap();
    payload.push(0);
    assert_eq!(SessionToken::decode(&payload), Err(InvalidSessionToken));
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        session: [u8; 16],
        service: u64,
        created: u64,
        instance in "\\PC{0,60}",
        upstream_session in option::of("\\PC{0,300}"),
        protocol_version in "[0-9-]{0,32}",
        client_capabilities in option::of("\\PC{0,100}"),
        client_info in option::of("\\PC{0,100}"),
    ) {
        let token = SessionToken {
            session: SessionId::from_bytes(session),
            service,
            instance: &instance,
            upstream_session: upstream_session.as_deref(),
            protocol_version: &protocol_version,
            client_capabilities: client_capabilities.as_deref(),
            client_info: client_info.as_deref(),
            created,
        };
        let payload = token.encode().unwrap();
        prop_assert_eq!(SessionToken::decode(&payload), Ok(token));
        for end in 0..payload.len() {
            prop_assert!(SessionToken::decode(&payload[..end]).is_err());
        }
    }

    #[test]
    fn garbage_is_refused_or_means_what_it_says(
        start in prop::sample::select(vec![0_usize, 1, 33]),
        garbage in prop::collection::vec(0_u8..4, 0..80),
    ) {
        // Behind a good beginning, so that it is read to its end.
        let mut payload = token().encode().unwrap();
        payload.truncate(start);
        payload.extend(garbage);
        if let Ok(token) = SessionToken::decode(&payload) {
            prop_assert_eq!(token.encode().unwrap(), payload);
        }
    }
}
