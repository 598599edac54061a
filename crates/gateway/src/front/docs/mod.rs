//! For people: what there is to call, at `/openapi.json`, and two pages over it: Swagger UI at
//! `/docs`, where it can be tried, and ReDoc at `/redoc`.

mod document;
pub(crate) mod tag;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use bartizan_pages::Stored;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header::LOCATION};
use utoipa::openapi::{ObjectBuilder, schema};

use super::request::not_found;
use crate::{current::Current, shared::Shared};

pub(crate) fn routes() -> Router<Current> {
    Router::new()
        .route("/openapi.json", get(openapi))
        .route("/docs", get(swagger_ui))
        .route("/redoc", get(redoc))
        .route("/docs/{file}", get(file))
}

/// Whether a path is one of these pages, or something that they load: open to all, because a
/// browser shows no key when it loads a page, and nothing here is a secret.
pub(crate) fn is_open(path: &str) -> bool {
    match path {
        "/openapi.json" | "/docs" | "/redoc" => true,
        _ => path
            .strip_prefix("/docs/")
            .is_some_and(|name| bartizan_pages::asset(name).is_some()),
    }
}

/// Leads from the address of a page with slashes at its end to that without: below the other, what
/// the page loads is nowhere.
pub(crate) fn without_slash(path: &str) -> Option<Response> {
    let page = path.trim_end_matches('/');
    let name = page.strip_prefix('/')?;
    if page.len() == path.len() || !matches!(name, "docs" | "redoc") {
        return None;
    }
    let up = "../".repeat(path.len() - page.len());
    let place = HeaderValue::try_from(format!("{up}{name}")).ok()?;
    let mut response = StatusCode::PERMANENT_REDIRECT.into_response();
    response.headers_mut().insert(LOCATION, place);
    Some(response)
}

/// The schema of a string that is one of `words`.
pub(crate) fn words<const N: usize>(words: [&'static str; N]) -> schema::Object {
    ObjectBuilder::new()
        .schema_type(schema::Type::String)
        .enum_values(Some(words))
        .build()
}

async fn openapi(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    method: Method,
    uri: Uri,
) -> Response {
    let document = document::stored(shared.asks());
    answer(shared, document, &headers, method, uri).await
}

async fn swagger_ui(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    method: Method,
    uri: Uri,
) -> Response {
    let page = Some(bartizan_pages::swagger_ui());
    answer(shared, page, &headers, method, uri).await
}

async fn redoc(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    method: Method,
    uri: Uri,
) -> Response {
    let page = Some(bartizan_pages::redoc());
    answer(shared, page, &headers, method, uri).await
}

async fn file(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    method: Method,
    uri: Uri,
) -> Response {
    let file = bartizan_pages::asset(&name);
    answer(shared, file, &headers, method, uri).await
}

async fn answer(
    shared: Arc<Shared>,
    stored: Option<&'static Stored>,
    headers: &HeaderMap,
    method: Method,
    uri: Uri,
) -> Response {
    match stored.filter(|_| shared.shows_docs()) {
        Some(stored) => stored.respond(headers).map(Body::new),
        None => not_found(State(shared), method, uri).await,
    }
}

#[cfg(test)]
mod tests;
