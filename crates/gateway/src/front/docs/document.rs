//! The OpenAPI document: what stands beside the routes, and what holds for all of them.

use std::sync::OnceLock;

use bartizan_pages::Stored;
use http::HeaderValue;
use utoipa::openapi::{
    Content, InfoBuilder, License, OpenApi, PathItem, Ref, RefOr, ResponseBuilder,
    path::Operation,
    security::{
        ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
    },
};

use super::tag;
use crate::{front, shared::Asks};

const ABOUT: &str = "\
The HTTP API of a gateway between AI agents and what they use. The examples of \
services and REST tools work against `bartizan demo`.

**MCP itself** is at `/mcp`, all services as one, and at `/mcp/{service}`, each alone: Streamable \
HTTP of every revision of the protocol, with HTTP+SSE below `/mcp/{service}/sse`. What stands \
there is JSON-RPC, which a document such as this one does not describe.

**Every answer** has an `X-Request-ID`: the caller's own, or a new one.";

const KEYS: &str = "

**Every call** needs one of the gateway's keys, as a bearer token or in `X-API-Key`, except where \
its description says otherwise.";

const OPERATORS: &str = "

**An operator's key** is needed by some calls, as a bearer token or in `X-API-Key`.";

/// The document, for gateways that ask for keys and for others.
///
/// Made and compressed when it is asked for the first time, and kept, because it is the same for
/// every gateway of the process.
pub(super) fn stored(asks: Asks) -> Option<&'static Stored> {
    static NOBODY: OnceLock<Option<Stored>> = OnceLock::new();
    static OPERATORS: OnceLock<Option<Stored>> = OnceLock::new();
    static EVERYBODY: OnceLock<Option<Stored>> = OnceLock::new();

    let place = match asks {
        Asks::Nobody => &NOBODY,
        Asks::Operators => &OPERATORS,
        Asks::Everybody => &EVERYBODY,
    };
    let make = || {
        let json = serde_json::to_vec(&document(asks)).ok()?;
        Stored::new(&json, HeaderValue::from_static("application/json")).ok()
    };
    place.get_or_init(make).as_ref()
}

pub(super) fn document(asks: Asks) -> OpenApi {
    let mut document = front::description();
    let keys = match asks {
        Asks::Nobody => "",
        Asks::Operators => OPERATORS,
        Asks::Everybody => KEYS,
    };
    document.info = InfoBuilder::new()
        .title("Bartizan")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some([ABOUT, keys].concat()))
        .license(Some(License::new("MIT OR Apache-2.0")))
        .build();
    document.tags = Some(tag::all());
    refuse_pages_and_coded_bodies(&mut document);
    if asks != Asks::Nobody {
        let mut ways = ways_to_show_keys(&mut document);
        if asks == Asks::Operators {
            ways.insert(0, SecurityRequirement::default());
        } else {
            refuse_others(&mut document);
        }
        document.security = Some(ways);
    }
    document
}

/// Says in what ways a key is shown, and gives each as something to ask for.
fn ways_to_show_keys(document: &mut OpenApi) -> Vec<SecurityRequirement> {
    const BEARER: &str = "bearer";
    const HEADER: &str = "x-api-key";
    const KEY: &str = "One of the gateway's keys.";

    let mut bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    bearer.description = Some(KEY.to_owned());
    let header = ApiKeyValue::with_description("X-API-Key", KEY);
    let components = document.components.get_or_insert_default();
    let schemes = &mut components.security_schemes;
    schemes.insert(BEARER.to_owned(), SecurityScheme::Http(bearer).into());
    let header = SecurityScheme::ApiKey(ApiKey::Header(header));
    schemes.insert(HEADER.to_owned(), header.into());
    let ask = |way| SecurityRequirement::new(way, [""; 0]);
    [BEARER, HEADER].map(ask).into()
}

/// Says what comes of it if no key is shown.
fn refuse_others(document: &mut OpenApi) {
    refuse(document, "401", "None of the keys was shown.", |it| {
        it.security.is_none()
    });
}

/// Says what every request may come to before anybody looks at what it asks for.
fn refuse_pages_and_coded_bodies(document: &mut OpenApi) {
    let page = "A page of another origin made the request, where origins are listed \
                (`MCP_GATEWAY_CORS_ORIGINS`), or it names a host that is not this gateway's.";
    refuse(document, "403", page, |_| true);
    let coded = "The body is compressed; `Accept-Encoding` says that it must not be.";
    refuse(document, "415", coded, |it| it.request_body.is_some());
}

/// Adds a status to the operations that may answer with it and do not say so themselves.
fn refuse(
    document: &mut OpenApi,
    status: &str,
    description: &str,
    may: impl Fn(&Operation) -> bool,
) {
    let refused = |kinds: &[(&str, &str)]| {
        let mut response = ResponseBuilder::new().description(description);
        for (kind, schema) in kinds {
            let schema = RefOr::Ref(Ref::from_schema_name(*schema));
            response = response.content(*kind, Content::new(Some(schema)));
        }
        RefOr::T(response.build())
    };
    let detail = refused(&[("application/json", "Detail")]);
    let others = refused(&[
        ("application/json", "Refused"),
        ("application/problem+json", "Problem"),
    ]);
    for (path, item) in &mut document.paths.paths {
        let refused = if front::says_detail(path) || front::templates::has(path) {
            &detail
        } else {
            &others
        };
        for operation in operations(item).filter(|it| may(it)) {
            let responses = &mut operation.responses.responses;
            responses
                .entry(status.to_owned())
                .or_insert_with(|| refused.clone());
        }
    }
}

/// What can be done at a path, by the methods that these routes have.
fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        put,
        post,
        delete,
        patch,
        ..
    } = path;
    [get, put, post, delete, patch].into_iter().flatten()
}
