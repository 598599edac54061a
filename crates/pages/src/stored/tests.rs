use std::io::Read as _;

use flate2::read::GzDecoder;
use http::header::{ACCEPT_ENCODING, IF_NONE_MATCH};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::*;

fn asking(name: HeaderName, value: &HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(name, value.clone())])
}

async fn text(stored: &Stored) -> String {
    let body = stored.respond(&HeaderMap::new()).into_body();
    assert_eq!(body.size_hint().exact(), Some(stored.length as u64));
    let bytes = body.collect().await.unwrap().to_bytes();
    assert_eq!(bytes.len(), stored.length);
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn both_forms_are_the_same() {
    let gzip = HeaderValue::from_static("gzip");
    for (name, stored) in &ASSETS {
        let response = stored.respond(&asking(ACCEPT_ENCODING, &gzip));
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
        let packed = response.into_body().collect().await.unwrap().to_bytes();
        let mut inflated = String::new();
        let mut decoder = GzDecoder::new(&*packed);
        decoder.read_to_string(&mut inflated).unwrap();
        assert_eq!(inflated, text(stored).await, "{name}");
        assert!(packed.len() < inflated.len(), "{name}");
    }
}

#[tokio::test]
async fn pages_name_only_what_there_is() {
    for page in [swagger_ui(), redoc()] {
        let html = text(page).await;
        let mut links = 0;
        for attribute in ["href=\"", "src=\""] {
            for part in html.split(attribute).skip(1) {
                let link = &part[..part.find('"').unwrap()];
                match link.strip_prefix("docs/") {
                    Some(name) => assert!(asset(name).is_some(), "{link}"),
                    None => assert!(
                        ["docs", "redoc", "openapi.json"].contains(&link)
                            || link.starts_with("data:"),
                        "{link}"
                    ),
                }
                links += 1;
            }
        }
        assert!(links >= 8, "{html}");
        assert!(!html.contains("<style") && !html.contains("<script>"));
    }
}

#[tokio::test]
async fn licences_go_with_what_they_are_for() {
    let (_, licenses) = ASSETS
        .iter()
        .find(|(name, _)| name.starts_with("licenses."))
        .unwrap();
    let text = text(licenses).await;
    for words in ["SmartBear", "Apache License", "Rebilly", "MIT License"] {
        assert!(text.contains(words), "{words}");
    }
}

#[test]
fn a_page_says_what_it_may_do() {
    for page in [swagger_ui(), redoc()] {
        let response = page.respond(&HeaderMap::new());
        let headers = response.headers();
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "));
        assert!(!policy.contains("http") && !policy.contains("unsafe-eval"));
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[CACHE_CONTROL], "no-cache");
    }
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    let page = swagger_ui();
    let tag = page.respond(&HeaderMap::new()).headers()[ETAG].clone();
    let response = page.respond(&asking(IF_NONE_MATCH, &tag));
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert!(response.body().is_end_stream());
    assert_eq!(response.headers()[ETAG], tag);
    let other = HeaderValue::from_static("\"other\"");
    let response = page.respond(&asking(IF_NONE_MATCH, &other));
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn other_content_has_another_tag() {
    let json = HeaderValue::from_static("application/json");
    let [one, two] = ["{\"a\":1}", "{\"a\":2}"].map(|text| {
        let stored = Stored::new(text.as_bytes(), json.clone()).unwrap();
        assert_eq!(
            stored.respond(&HeaderMap::new()).headers()[CONTENT_TYPE],
            json
        );
        stored
    });
    assert_ne!(one.tag, two.tag);
    assert_eq!(text(&two).await, "{\"a\":2}");
}
