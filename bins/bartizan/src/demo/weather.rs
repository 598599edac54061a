use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::{
    rest::{Operation, Rest},
    server::json as answer,
};

/// A service that fails every third call it sees, and only those, so that one repetition
/// always helps and three calls always show one.
#[derive(Default)]
pub(super) struct Weather {
    calls: AtomicU64,
}

impl Rest for Weather {
    const NAME: &'static str = "weather";
    const DESCRIPTION: &'static str = "Forecasts, with bad luck every third time";
    const OPERATIONS: &'static [Operation] = &[Operation {
        name: "getForecast",
        method: "GET",
        path: "/forecasts/:city",
        description: "The forecast for a city",
    }];

    fn perform(&self, _: &str, parameters: &Value, _: &HeaderMap) -> Response<Full<Bytes>> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if call.is_multiple_of(3) {
            let error = json!({ "error": "the barometer is being read, try again" });
            return answer(StatusCode::SERVICE_UNAVAILABLE, &error);
        }
        let city = parameters["city"].as_str().unwrap_or("here");
        answer(
            StatusCode::OK,
            &json!({ "city": city, "sky": "clear", "celsius": 21 }),
        )
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{super::rest::tests::call, *};

    #[test]
    fn every_third_call_fails_and_definitions_do_not_count() {
        let weather = Weather::default();
        let statuses: Vec<_> = (0..7)
            .map(|_| {
                assert_eq!(
                    call(&weather, Method::GET, "/api/definition", None, "").0,
                    200
                );
                call(&weather, Method::POST, "/api/getForecast", None, "{}").0
            })
            .collect();
        assert_eq!(statuses, [200, 200, 503, 200, 200, 503, 200]);
    }
}
