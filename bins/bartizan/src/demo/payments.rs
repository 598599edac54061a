use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::WWW_AUTHENTICATE};
use http_body_util::Full;
use serde_json::{Value, json};

use super::{
    issuer::Issuer,
    rest::{Operation, Rest},
    server::json as answer,
};

/// A service that lets nobody in without a fresh token of the demo's issuer, and says which
/// one it saw by its number.
pub(super) struct Payments {
    issuer: Arc<Issuer>,
    charges: AtomicU64,
}

impl Payments {
    pub(super) fn new(issuer: Arc<Issuer>) -> Self {
        Self {
            issuer,
            charges: AtomicU64::new(0),
        }
    }
}

impl Rest for Payments {
    const NAME: &'static str = "payments";
    const DESCRIPTION: &'static str = "Charges, for those who are known";
    const OPERATIONS: &'static [Operation] = &[Operation {
        name: "charge",
        method: "POST",
        path: "/charges",
        description: "Charges an amount",
    }];

    fn refuse(&self, headers: &HeaderMap) -> Option<Response<Full<Bytes>>> {
        if self.issuer.token_number(headers).is_some() {
            return None;
        }
        let mut refusal = answer(
            StatusCode::UNAUTHORIZED,
            &json!({ "error": "invalid_token" }),
        );
        let challenge = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
        refusal.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        Some(refusal)
    }

    fn perform(&self, _: &str, parameters: &Value, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let receipt = self.charges.fetch_add(1, Ordering::Relaxed) + 1;
        let charge = json!({
            "receipt": receipt,
            "amount": parameters["amount"],
            "token": self.issuer.token_number(headers),
        });
        answer(StatusCode::OK, &charge)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bartizan_clock::Clock;
    use http::Method;

    use super::{
        super::{issuer::CLIENT_ID, rest::tests::call},
        *,
    };

    #[tokio::test(start_paused = true)]
    async fn only_a_fresh_token_opens_the_door() {
        let issuer = Arc::new(Issuer::new(Duration::from_secs(5), Clock::tokio()).unwrap());
        let payments = Payments::new(Arc::clone(&issuer));
        let charge = |authorization| {
            call(
                &payments,
                Method::POST,
                "/api/charge",
                authorization,
                r#"{"amount":12.5}"#,
            )
        };
        assert_eq!(charge(None).0, 401);
        assert_eq!(charge(Some("Bearer guessed")).0, 401);
        let secret = issuer.client_secret();
        let form =
            format!("grant_type=client_credentials&client_id={CLIENT_ID}&client_secret={secret}");
        let (_, token) = call(&*issuer, Method::POST, "/token", None, &form);
        let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
        let receipt = json!({ "receipt": 1, "amount": 12.5, "token": 1 });
        assert_eq!(charge(Some(&bearer)), (200, receipt));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(charge(Some(&bearer)).0, 401);
    }
}
