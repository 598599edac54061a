//! The table of variables.

use crate::{
    ApiKeyPlace, AuthType, AuthorizeGrant, BackoffStrategy, ClientAuthentication, Dialect,
    Discovery, KeyAlgorithm, LogFormat, OAuth2Grant, Strategy, Variable,
    mcp::Transport,
    variable::{
        Fallback::{Inherit, Required, Unset, Value},
        Kind::{
            Address, Choice, Flag, Hidden, List, Milliseconds, Number, Path, Ratio, Seconds,
            Secret, SecretList, Text, Url,
        },
        Section,
    },
};

/// Defines a static for each row, and the table of all of them.
macro_rules! variables {
    ($(
        $key:ident = $name:literal, $section:ident, $kind:expr, $fallback:expr, $rule:literal,
            $description:literal;
    )+) => {
        $(
            pub(crate) static $key: Variable = Variable {
                name: $name,
                section: Section::$section,
                kind: $kind,
                fallback: $fallback,
                rule: $rule,
                description: $description,
            };
        )+

        static TABLE: &[&Variable] = &[$(&$key),+];
    };
}

/// Every variable that is understood, in the order of the reference.
#[must_use]
pub fn variables() -> &'static [&'static Variable] {
    TABLE
}

const COUNT: crate::variable::Kind = Number {
    min: 1,
    max: u32::MAX as u64,
    unit: "",
};
const POSITIVE: crate::variable::Kind = Milliseconds { zero: false };
const DOCUMENTED: &str = "the documented default";

variables! {
    NODE_ENV = "NODE_ENV", Process, Text("the name of an environment"),
        Value("production", "nothing says otherwise"), "",
        "`development` replaces services, retries, gateway URL and default timeout by the fixed \
         development configuration and allows placeholder secrets. Anything else is production.";
    NO_COLOR = "NO_COLOR", Process, Text("anything"),
        Unset("colour on a terminal"), "",
        "Set to anything, turns colour in text logs off (<https://no-color.org>).";
    LOG_LEVEL = "MCP_GATEWAY_LOG_LEVEL", Process, Text("a level, or a tracing filter"),
        Value("info", "transitions and faults, no line a request"), "",
        "Which log lines are written: `error`, `warn`, `info`, `debug`, `trace`, `off`, or a \
         filter such as `info,bartizan_retry=debug`. `warning` and `critical` stand for `warn` and \
         `error`.";
    LOG_FORMAT = "MCP_GATEWAY_LOG_FORMAT", Process, Choice(LogFormat::WORDS),
        Value("text", "readable without tools"), "",
        "The form of log lines, which go to standard error.";
    WORKERS = "MCP_GATEWAY_WORKERS", Process, Number { min: 1, max: 1_024, unit: "" },
        Unset("one for each processor that the process may use"), "",
        "How many threads serve connections. A connection stays on the one it is given, which \
         keeps connections to services of its own.";
    WATCH_FILES = "MCP_GATEWAY_WATCH_FILES", Process, Flag,
        Value("true", "whoever changes a file means it"), "",
        "Whether the configuration is read anew when a file that it came from changes: the \
         environment file, `bartizan.yaml`, and files of servers. What is wrong with it is logged and changes \
         nothing. Without, SIGHUP has it read.";
    DRAIN_DELAY = "MCP_GATEWAY_DRAIN_DELAY", Process, Milliseconds { zero: true },
        Value("0", "nothing in front needs time to look elsewhere"), "",
        "How long after SIGTERM the gateway goes on as before while `/readyz` already says no, so \
         that a load balancer sends its calls elsewhere before the port closes.";
    DRAIN_TIMEOUT = "MCP_GATEWAY_DRAIN_TIMEOUT", Process, Milliseconds { zero: true },
        Value("25000", "leaves 5 s of the 30 s that Kubernetes waits before it kills"), "",
        "How long calls in flight may take after the port has closed before the process ends anyway.";

    GATEWAY_URL = "MCP_GATEWAY_URL", Listening, Url,
        Value("http://localhost:8080", DOCUMENTED), "Gateway URL is required",
        "The base URL under which callers reach the gateway. Its host is one that MCP requests may \
         name, and its origin that of the gateway's own pages, such as `/docs`.";
    HOST = "MCP_GATEWAY_HOST", Listening, Address,
        Inherit("HOST"), "",
        "The address to listen on. One that is not loopback needs `MCP_GATEWAY_API_KEYS` or \
         `MCP_GATEWAY_INSECURE_BIND`. Wins over `HOST`.";
    PLAIN_HOST = "HOST", Listening, Address,
        Value("127.0.0.1", "reachable from this machine only, until told otherwise"), "",
        "The address to listen on. One that is no address, as some shells and build tools set it, \
         is passed over.";
    GATEWAY_PORT = "MCP_GATEWAY_PORT", Listening,
        Number { min: 0, max: 65_535, unit: "" },
        Inherit("PORT"), "",
        "The port to listen on. Wins over `PORT`. A value such as `tcp://10.0.0.1:80`, which \
         Kubernetes sets for a service called `mcp-gateway`, is passed over.";
    PORT = "PORT", Listening, Number { min: 0, max: 65_535, unit: "" },
        Value("8080", DOCUMENTED), "",
        "The port to listen on. 0 lets the operating system choose.";
    API_KEYS = "MCP_GATEWAY_API_KEYS", Listening, SecretList,
        Unset("callers are not asked"), "",
        "The keys that callers must show one of, as `Authorization: Bearer` or `X-API-Key`; \
         others get 401. Separated by commas, in a file also by lines.";
    ADMIN_KEYS = "MCP_GATEWAY_ADMIN_KEYS", Listening, SecretList,
        Unset("nobody may do what needs one"), "",
        "The keys that those must show one of who do over HTTP what an operator does: register a \
         program that the gateway is to start, or an instance of a service that sends a \
         credential; and, once there are such keys, change what is kept for good and have the \
         configuration read anew. In the same headers and separated in the same way.";
    INSECURE_BIND = "MCP_GATEWAY_INSECURE_BIND", Listening, Flag,
        Value("false", "who can reach the port can spend the credentials of every service"), "",
        "Allows an address that is not loopback without inbound authentication, because \
         something in front of the gateway authenticates or the network is trusted.";
    CORS_ORIGINS = "MCP_GATEWAY_CORS_ORIGINS", Listening,
        List("origins, or `*`, or `none`"),
        Value("*", DOCUMENTED), "",
        "The web origins whose pages may read answers, such as `https://app.example.com`. Where \
         they are not all of them, pages of others are refused with 403, and without keys all \
         requests whose `Host` is none of `MCP_ALLOWED_HOSTS`.";
    TLS_CERT_FILE = "MCP_GATEWAY_TLS_CERT_FILE", Listening, Path,
        Unset("plain HTTP"), "",
        "The certificate chain to serve TLS with, in PEM. Needs `MCP_GATEWAY_TLS_KEY_FILE`.";
    TLS_KEY_FILE = "MCP_GATEWAY_TLS_KEY_FILE", Listening, Path,
        Unset("plain HTTP"), "",
        "The private key of the certificate, in PEM.";
    STRICT_STATUS = "MCP_GATEWAY_STRICT_STATUS", Listening, Flag,
        Value("false", "the documented API answers 200 and 500"), "",
        "Answers `POST /mcp/request` with the status that fits (429, 502, 503, 504 and \
         `Retry-After`) instead of the documented 200 and 500.";
    DOCS = "MCP_GATEWAY_DOCS", Listening, Flag,
        Value("true", "they hold no secret and fetch nothing from elsewhere"), "",
        "Whether there are `/openapi.json`, `/docs` (Swagger UI) and `/redoc`, which show to \
         everybody what calls there are. Calls made from there need a key as all others do.";
    DIALECT = "DIALECT", Listening, Choice(Dialect::WORDS),
        Value("both", "each of the two documented answers is a part of it"), "",
        "What `GET /health` answers, which two documented gateways answer differently: `000` how \
         many backends are well, `004` that the gateway is there and its name, `both` all of it.";

    MAX_BODY_BYTES = "MCP_GATEWAY_MAX_BODY_BYTES", Limits,
        Number { min: 1, max: 1 << 32, unit: "bytes" },
        Value("10485760", "the documented 10 MB"), "",
        "The largest body of a request.";
    MAX_HEADER_BYTES = "MCP_GATEWAY_MAX_HEADER_BYTES", Limits,
        Number { min: 8_192, max: 400 * 1024, unit: "bytes" },
        Value("16384", "what Node.js allows, and with it the documented gateway"), "",
        "The largest head of a request: its first line and all headers.";
    MAX_CONNECTIONS = "MCP_GATEWAY_MAX_CONNECTIONS", Limits, COUNT,
        Value("10000", "ample for one process, and still an end"), "",
        "How many connections are open at once; more wait in the listen queue.";
    HEADER_READ_TIMEOUT = "MCP_GATEWAY_HEADER_READ_TIMEOUT", Limits, POSITIVE,
        Value("10000", "ample for a phone, short for a slow-loris attack"), "",
        "How long the head of a request may take to arrive.";
    BODY_READ_TIMEOUT = "MCP_GATEWAY_BODY_READ_TIMEOUT", Limits, POSITIVE,
        Value("30000", "the default timeout of a call"), "",
        "How long the body of a request may take to arrive.";

    DEFAULT_TIMEOUT = "MCP_DEFAULT_TIMEOUT", Upstream, POSITIVE,
        Value("30000", DOCUMENTED), "Default timeout must be positive",
        "How long a call may take in all, retries included, for services without a timeout of \
         their own.";
    CONNECT_TIMEOUT = "MCP_GATEWAY_CONNECT_TIMEOUT", Upstream, POSITIVE,
        Value("5000", "one lost SYN packet costs 1 s, two cost 3 s"), "",
        "How long a connection to a service may take to be established, TLS included. The addresses \
         of a name share it.";
    MAX_RESPONSE_BYTES = "MCP_GATEWAY_MAX_RESPONSE_BYTES", Upstream,
        Number { min: 1, max: 1 << 32, unit: "bytes" },
        Value("10485760", "the limit of requests"), "",
        "The largest answer of a service that is put into an envelope.";
    MAX_WAITING = "MCP_GATEWAY_MAX_WAITING", Upstream,
        Number { min: 0, max: 1_000_000, unit: "" },
        Value("1000", "a queue that drains at the default rate in ten minutes is long enough"), "",
        "How many calls of one service may wait for its rate limit at once, for services that \
         do not set their own. 0 lets none wait.";
    KUBERNETES_API = "MCP_GATEWAY_KUBERNETES_API", Upstream, Url,
        Value("https://kubernetes.default.svc", "the name that it has within every cluster"), "",
        "The API server that services with the discovery `kubernetes` are asked of. In a pod, \
         unless this is set, where `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT` say.";
    UPSTREAM_CA_FILE = "MCP_GATEWAY_UPSTREAM_CA_FILE", Upstream, Path,
        Unset("the operating system's roots"), "",
        "The certificate authorities that services and token endpoints are trusted by, in PEM, \
         instead of those of the operating system.";

    RETRY_MAX_ATTEMPTS = "MCP_RETRY_MAX_ATTEMPTS", Retry,
        Number { min: 0, max: u32::MAX as u64, unit: "" },
        Value("3", DOCUMENTED), "Max retry attempts must be non-negative",
        "How often a failed call is repeated at most, the first attempt not counted. Only calls \
         that suffer it are: see `MCP_SERVICE_<NAME>_IDEMPOTENT_OPERATIONS`.";
    RETRY_STRATEGY = "MCP_RETRY_STRATEGY", Retry, Choice(BackoffStrategy::WORDS),
        Value("exponential", DOCUMENTED), "Backoff strategy must be linear or exponential",
        "How the delay grows.";
    RETRY_INITIAL_DELAY = "MCP_RETRY_INITIAL_DELAY", Retry, POSITIVE,
        Value("1000", DOCUMENTED), "Initial delay must be positive",
        "The delay before the first retry.";
    RETRY_MAX_DELAY = "MCP_RETRY_MAX_DELAY", Retry, POSITIVE,
        Value("30000", DOCUMENTED), "Max delay must be positive",
        "The longest delay before a retry.";
    RETRY_JITTER = "MCP_RETRY_JITTER", Retry, Text("`true`, anything else is false; as a key `true` or `false`"),
        Value("false", DOCUMENTED), "",
        "Whether delays are randomised, so that callers that failed together do not return \
         together. Recommended.";
    RETRY_BUDGET_RATIO = "MCP_RETRY_BUDGET_RATIO", Retry, Ratio,
        Value("0.2", "Finagle's and linkerd's: at most a fifth more load on a service in trouble"),
        "",
        "How many retries each call earns for its service.";
    RETRY_BUDGET_MIN_PER_SECOND = "MCP_RETRY_BUDGET_MIN_PER_SECOND", Retry,
        Number { min: 0, max: 1_000_000, unit: "" },
        Value("10", "Finagle's and linkerd's: a quiet service can retry, too"), "",
        "How many retries a second a service has besides those that calls earn.";

    SERVICES = "MCP_SERVICES", Services, List("names"),
        Required, "At least one service must be configured",
        "The services. The variables of `my-service` begin with `MCP_SERVICE_MY_SERVICE_`: in \
         capitals, with `_` for everything that is neither a letter nor a digit.";
    ENDPOINT = "MCP_SERVICE_<NAME>_ENDPOINT", Services,
        List("URLs, each optionally with `;weight=` and a number from 1 to 1000"),
        Required, "invalid endpoint URL",
        "Where the service is reached. Several instances are balanced over.";
    DISCOVERY = "MCP_SERVICE_<NAME>_DISCOVERY", Services, Choice(Discovery::WORDS),
        Value("static", "an endpoint is where it says"), "",
        "How instances are found: `static` are those of the endpoints, `dns` all addresses of the \
         host of the endpoint, `srv` its SRV records, `kubernetes` the endpoints of a Service, \
         `docker` the containers with the label `bartizan.service`. With the last two there need \
         be no endpoint.";
    DISCOVERY_INTERVAL = "MCP_SERVICE_<NAME>_DISCOVERY_INTERVAL", Services,
        Number { min: 100, max: 86_400_000, unit: "milliseconds" },
        Value("30000", "what name servers usually let answers be kept"), "",
        "How long from one look at a name system, or at an engine that tells of no change, to \
         the next.";
    KUBERNETES_SERVICE = "MCP_SERVICE_<NAME>_KUBERNETES_SERVICE", Services,
        Text("the name of a Service"),
        Unset("the name of the service"), "",
        "For `kubernetes`, the Service. The gateway's service account needs the verbs `list` and \
         `watch` on `endpointslices`.";
    KUBERNETES_NAMESPACE = "MCP_SERVICE_<NAME>_KUBERNETES_NAMESPACE", Services,
        Text("the name of a namespace"),
        Unset("that of the gateway's service account"), "",
        "For `kubernetes`, the namespace of the Service.";
    KUBERNETES_PORT = "MCP_SERVICE_<NAME>_KUBERNETES_PORT", Services,
        Text("the name of a port, or its number at the pods"),
        Unset("the only TCP port there is"), "",
        "For `kubernetes`, the port of the endpoints.";
    DOCKER_SERVICE = "MCP_SERVICE_<NAME>_DOCKER_SERVICE", Services, Text("a text"),
        Unset("the name of the service"), "",
        "For `docker`, what the label `bartizan.service` of the containers says. Their other \
         labels are `bartizan.port`, `bartizan.scheme`, `bartizan.path`, `bartizan.weight` and \
         `bartizan.health_url`.";
    DOCKER_NETWORK = "MCP_SERVICE_<NAME>_DOCKER_NETWORK", Services, Text("the name of a network"),
        Unset("of those of a container the first by name"), "",
        "For `docker`, the network in which containers are reached.";
    DOCKER_SOCKET = "MCP_SERVICE_<NAME>_DOCKER_SOCKET", Services, Path,
        Value("/var/run/docker.sock", "where engines have it"), "",
        "For `docker`, the socket of the engine. Whoever may use it has all rights of the engine.";
    STRATEGY = "MCP_SERVICE_<NAME>_STRATEGY", Services, Choice(Strategy::WORDS),
        Value("round-robin", "fair, and what people expect"), "",
        "How an endpoint is chosen among several.";
    PATH_PREFIX = "MCP_SERVICE_<NAME>_PATH_PREFIX", Services, Text("a path from `/` to `/`"),
        Value("/api/", DOCUMENTED), "",
        "For a plain service, the path below that of its endpoint under which its operations \
         are. For one that `registry.yaml` lists, it is `/tools/` unless this says otherwise.";
    IDEMPOTENT_OPERATIONS = "MCP_SERVICE_<NAME>_IDEMPOTENT_OPERATIONS", Services,
        List("operations, with `*` for any text and `?` for any character"),
        Unset("only failures that prove that nothing was sent are retried"), "",
        "The operations that may be sent twice, such as `get*`. Others are retried only if the \
         failed attempt never left the gateway.";

    AUTH_TYPE = "MCP_SERVICE_<NAME>_AUTH_TYPE", Authentication, Choice(AuthType::WORDS),
        Required, "invalid auth type",
        "How the gateway proves itself.";
    TOKEN = "MCP_SERVICE_<NAME>_TOKEN", Authentication, Secret,
        Unset("required for `bearer`"), "bearer token",
        "The bearer token.";
    API_KEY = "MCP_SERVICE_<NAME>_API_KEY", Authentication, Secret,
        Unset("required for `api-key`"), "API key",
        "The API key.";
    API_KEY_IN = "MCP_SERVICE_<NAME>_API_KEY_IN", Authentication, Choice(ApiKeyPlace::WORDS),
        Value("header", "queries end up in logs"), "",
        "Where in a request the key goes.";
    API_KEY_NAME = "MCP_SERVICE_<NAME>_API_KEY_NAME", Authentication,
        Text("a header, parameter or cookie"),
        Value("X-API-Key", DOCUMENTED), "",
        "The name that the key goes under.";
    USERNAME = "MCP_SERVICE_<NAME>_USERNAME", Authentication, Text("a name without `:`"),
        Unset("required for `basic`"), "user name is required",
        "The user's name.";
    PASSWORD = "MCP_SERVICE_<NAME>_PASSWORD", Authentication, Secret,
        Unset("required for `basic`"), "password",
        "The user's password.";
    ACCESS_TOKEN = "MCP_SERVICE_<NAME>_ACCESS_TOKEN", Authentication, Secret,
        Unset("required for `oauth2` unless the token endpoint can issue one"),
        "OAuth2 access token",
        "The access token to begin with.";
    REFRESH_TOKEN = "MCP_SERVICE_<NAME>_REFRESH_TOKEN", Authentication, Secret,
        Unset("the access token is not renewed by it"), "OAuth2 refresh token",
        "The refresh token.";
    REFRESH_TOKEN_STORE = "MCP_SERVICE_<NAME>_REFRESH_TOKEN_STORE", Authentication, Path,
        Unset("a refresh token that the issuer replaced is lost with the process"), "",
        "A file that keeps the latest refresh token, for issuers that replace it at every use. It \
         is written by the gateway, readable by its user alone, and wins over the refresh token \
         above for as long as that stays the same.";
    TOKEN_URL = "MCP_SERVICE_<NAME>_TOKEN_URL", Authentication, Url,
        Unset("the access token is never renewed"), "invalid token URL",
        "The token endpoint that issues new access tokens.";
    TOKEN_URL_ALLOW_HTTP = "MCP_SERVICE_<NAME>_TOKEN_URL_ALLOW_HTTP", Authentication, Flag,
        Value("false", "client secrets and tokens would cross the network in the clear"), "",
        "Allows a token endpoint over plain `http` that is not on this machine.";
    CLIENT_ID = "MCP_SERVICE_<NAME>_CLIENT_ID", Authentication, Text("a name"),
        Unset("required for `client-credentials`"), "OAuth2 client id is required",
        "The gateway's name at the token endpoint.";
    CLIENT_SECRET = "MCP_SERVICE_<NAME>_CLIENT_SECRET", Authentication, Secret,
        Unset("a public client"), "OAuth2 client secret",
        "The gateway's secret at the token endpoint.";
    CLIENT_AUTHENTICATION = "MCP_SERVICE_<NAME>_CLIENT_AUTH", Authentication,
        Choice(ClientAuthentication::WORDS),
        Value("basic", "every issuer must understand it (RFC 6749, section 2.3.1)"), "",
        "How the client proves itself to the token endpoint.";
    GRANT = "MCP_SERVICE_<NAME>_GRANT", Authentication, Choice(OAuth2Grant::WORDS),
        Unset("with a token URL `refresh-token` if there is one, else `client-credentials`; \
               without it `static`"), "",
        "What new access tokens are asked for on the strength of.";
    SCOPES = "MCP_SERVICE_<NAME>_SCOPES", Authentication,
        List("scopes"),
        Unset("the issuer chooses"), "",
        "The scopes to ask for. Spaces separate them as well.";
    AUDIENCE = "MCP_SERVICE_<NAME>_AUDIENCE", Authentication, Text("a name or URL"),
        Unset("not sent"), "",
        "The `audience` to ask a token for, which some issuers need.";
    AUTHORIZE_GRANT = "MCP_SERVICE_<NAME>_AUTHORIZE_GRANT", Authentication,
        Choice(AuthorizeGrant::WORDS),
        Value("authorization-code", "what most services that ask for authorization offer"), "",
        "For `authorize`, for whom authorization is asked: a user, in a browser; the gateway \
         itself, which needs a client id and a secret or private key; or whoever the identity \
         token says.";
    AUTHORIZE_COMMAND = "MCP_SERVICE_<NAME>_AUTHORIZE_COMMAND", Authentication,
        Text("a program and its arguments"),
        Unset("the address to open is a line in the log"), "",
        "For `authorize`, what opens a page in the user's browser, such as `xdg-open`. The \
         address is added as the last argument. No shell is involved.";
    AUTHORIZE_CALLBACK_PORT = "MCP_SERVICE_<NAME>_AUTHORIZE_CALLBACK_PORT", Authentication,
        Number { min: 1, max: 65_535, unit: "" },
        Unset("one that is free"), "",
        "For `authorize`, the port of 127.0.0.1 that the browser brings the answer to, at \
         `/callback`. A client that is registered beforehand needs a fixed one.";
    AUTHORIZE_STORE = "MCP_SERVICE_<NAME>_AUTHORIZE_STORE", Authentication, Path,
        Unset("after a restart the user is asked again"), "",
        "For `authorize`, a file that keeps the client that was registered and the latest \
         refresh token. It is written by the gateway and readable by its user alone.";
    AUTHORIZE_ISSUER = "MCP_SERVICE_<NAME>_AUTHORIZE_ISSUER", Authentication,
        Text("a URL, exactly as the authorization server writes it"),
        Unset("whichever the service names; a client id or identity token is shown to the first only"), "",
        "For `authorize`, the only authorization server to deal with.";
    CLIENT_METADATA_URL = "MCP_SERVICE_<NAME>_CLIENT_METADATA_URL", Authentication,
        Text("an `https` URL with a path"),
        Unset("the gateway registers itself where it is not known"), "",
        "For `authorize`, where the gateway is described as a client, for authorization servers \
         that know clients by such a document (CIMD). It has to list the callback's address.";
    PRIVATE_KEY = "MCP_SERVICE_<NAME>_PRIVATE_KEY", Authentication, Secret,
        Unset("the client secret proves who the gateway is"), "private key",
        "For `authorize`, the key that signs what proves who the gateway is \
         (`private_key_jwt`): PKCS #8 in PEM.";
    PRIVATE_KEY_ALGORITHM = "MCP_SERVICE_<NAME>_PRIVATE_KEY_ALGORITHM", Authentication,
        Choice(KeyAlgorithm::WORDS),
        Value("es256", "the one that issuers are most likely to take"), "",
        "How that key signs.";
    PRIVATE_KEY_ID = "MCP_SERVICE_<NAME>_PRIVATE_KEY_ID", Authentication, Text("a name"),
        Unset("not sent"), "",
        "The name (`kid`) of that key at the authorization server.";
    IDENTITY_TOKEN_FILE = "MCP_SERVICE_<NAME>_IDENTITY_TOKEN_FILE", Authentication, Path,
        Unset("required for `jwt-bearer`"), "identity token file is required",
        "A file with a JWT by which an identity provider says who the gateway is, or acts for. \
         It is read anew for each access token, so that it can be replaced.";
    IDENTITY_PROVIDER_URL = "MCP_SERVICE_<NAME>_IDENTITY_PROVIDER_URL", Authentication, Url,
        Unset("the identity token is shown to the authorization server as it is"),
        "invalid identity provider URL",
        "The token endpoint of an enterprise's identity provider, which exchanges the user's ID \
         token in that file for a grant to the authorization server (ID-JAG).";
    IDENTITY_PROVIDER_CLIENT_ID = "MCP_SERVICE_<NAME>_IDENTITY_PROVIDER_CLIENT_ID",
        Authentication, Text("a name"),
        Unset("required with an identity provider"), "identity provider client id is required",
        "The gateway's name at the identity provider.";
    IDENTITY_PROVIDER_CLIENT_SECRET = "MCP_SERVICE_<NAME>_IDENTITY_PROVIDER_CLIENT_SECRET",
        Authentication, Secret,
        Unset("a public client"), "identity provider client secret",
        "The gateway's secret at the identity provider.";

    RATE_LIMIT_RPM = "MCP_SERVICE_<NAME>_RATE_LIMIT_RPM", Resilience,
        Number { min: 1, max: 60_000_000, unit: "" },
        Value("100", DOCUMENTED), "requests per minute must be positive",
        "How many calls a minute the service gets in the long run. A service of MCP has no limit \
         where neither this nor the burst is set.";
    RATE_LIMIT_BURST = "MCP_SERVICE_<NAME>_RATE_LIMIT_BURST", Resilience, COUNT,
        Value("20", DOCUMENTED), "burst limit must be positive",
        "How many calls it gets at once after a pause.";
    RATE_LIMIT_MAX_WAIT = "MCP_SERVICE_<NAME>_RATE_LIMIT_MAX_WAIT", Resilience,
        Milliseconds { zero: true },
        Value("30000", "the documented limit of the queue"), "",
        "How long a call above the rate waits for its turn. One that would wait longer is \
         refused at once; 0 refuses all.";
    RATE_LIMIT_MAX_WAITING = "MCP_SERVICE_<NAME>_RATE_LIMIT_MAX_WAITING", Resilience,
        Number { min: 0, max: 1_000_000, unit: "" },
        Inherit("MCP_GATEWAY_MAX_WAITING"), "",
        "How many calls may wait at once.";
    TIMEOUT = "MCP_SERVICE_<NAME>_TIMEOUT", Resilience, POSITIVE,
        Inherit("MCP_DEFAULT_TIMEOUT"), "timeout must be positive",
        "How long a call may take in all, retries included, unless its caller says otherwise.";
    ATTEMPT_TIMEOUT = "MCP_SERVICE_<NAME>_ATTEMPT_TIMEOUT", Resilience, POSITIVE,
        Inherit("MCP_SERVICE_<NAME>_TIMEOUT"), "",
        "How long one attempt may take; of an MCP service, until the first byte of its answer. \
         Shorter than the timeout, it leaves time to retry after an attempt that hangs.";
    CB_FAILURE_THRESHOLD = "MCP_SERVICE_<NAME>_CB_FAILURE_THRESHOLD", Resilience, COUNT,
        Value("5", DOCUMENTED), "failure threshold must be positive",
        "How many failures in a row open the circuit. Among several endpoints, failures of one \
         that is set aside, or can be, do not count.";
    CB_RECOVERY_TIMEOUT = "MCP_SERVICE_<NAME>_CB_RECOVERY_TIMEOUT", Resilience, POSITIVE,
        Value("30000", DOCUMENTED), "recovery timeout must be positive",
        "How long an open circuit stays open before calls try it again.";
    CB_HALF_OPEN_MAX_CALLS = "MCP_SERVICE_<NAME>_CB_HALF_OPEN_MAX_CALLS", Resilience,
        Number { min: 1, max: 65_535, unit: "" },
        Value("3", DOCUMENTED), "half open max calls must be positive",
        "How many calls may try a half-open circuit at once, and must succeed to close it.";
    CB_FAILURE_RATIO = "MCP_SERVICE_<NAME>_CB_FAILURE_RATIO", Resilience, Ratio,
        Unset("only failures in a row count"), "",
        "Also opens the circuit when this part of the calls of the window failed.";
    CB_WINDOW = "MCP_SERVICE_<NAME>_CB_WINDOW", Resilience,
        Number { min: 10, max: 86_400_000, unit: "milliseconds" },
        Value("30000", "Polly's and failsafe's window"), "",
        "The window that the failure ratio is taken over.";
    CB_MIN_CALLS = "MCP_SERVICE_<NAME>_CB_MIN_CALLS", Resilience,
        Number { min: 1, max: 500_000, unit: "" },
        Value("20", "below it, one failure is more than 5 %"), "",
        "How many calls the window must hold for the ratio to count.";
    SERVICE_RETRY_MAX_ATTEMPTS = "MCP_SERVICE_<NAME>_RETRY_MAX_ATTEMPTS", Resilience,
        Number { min: 0, max: u32::MAX as u64, unit: "" },
        Inherit("MCP_RETRY_MAX_ATTEMPTS"), "max retry attempts must be non-negative",
        "How often a failed call of this service is repeated at most.";
    SERVICE_RETRY_STRATEGY = "MCP_SERVICE_<NAME>_RETRY_STRATEGY", Resilience,
        Choice(BackoffStrategy::WORDS),
        Inherit("MCP_RETRY_STRATEGY"), "backoff strategy must be linear or exponential",
        "How the delay grows for this service.";
    SERVICE_RETRY_INITIAL_DELAY = "MCP_SERVICE_<NAME>_RETRY_INITIAL_DELAY", Resilience, POSITIVE,
        Inherit("MCP_RETRY_INITIAL_DELAY"), "initial delay must be positive",
        "The delay before the first retry of this service.";
    SERVICE_RETRY_MAX_DELAY = "MCP_SERVICE_<NAME>_RETRY_MAX_DELAY", Resilience, POSITIVE,
        Inherit("MCP_RETRY_MAX_DELAY"), "max delay must be positive",
        "The longest delay before a retry of this service.";
    SERVICE_RETRY_JITTER = "MCP_SERVICE_<NAME>_RETRY_JITTER", Resilience,
        Text("`true`, anything else is false; as a key `true` or `false`"),
        Inherit("MCP_RETRY_JITTER"), "",
        "Whether delays are randomised for this service.";

    HEALTH_PATH = "MCP_SERVICE_<NAME>_HEALTH_PATH", Health, Text("a path"),
        Unset("the service is not probed"), "",
        "The path that each endpoint is asked for to see whether it is well, such as `/health`.";
    HEALTH_INTERVAL = "MCP_SERVICE_<NAME>_HEALTH_INTERVAL", Health, POSITIVE,
        Value("30000", "what comparable gateways document"), "",
        "How long from one probe to the next, moved a little at random.";
    HEALTH_TIMEOUT = "MCP_SERVICE_<NAME>_HEALTH_TIMEOUT", Health, POSITIVE,
        Value("5000", "well below the interval"), "",
        "How long a probe may take.";
    HEALTHY_THRESHOLD = "MCP_SERVICE_<NAME>_HEALTHY_THRESHOLD", Health, COUNT,
        Value("2", "one success may be luck"), "",
        "How many good probes in a row bring an endpoint back.";
    UNHEALTHY_THRESHOLD = "MCP_SERVICE_<NAME>_UNHEALTHY_THRESHOLD", Health, COUNT,
        Value("3", "one failure may be bad luck"), "",
        "How many bad probes in a row take an endpoint out.";

    REGISTRY_PATH = "REGISTRY_PATH", Registries, Path,
        Unset("`/app/config/registry.yaml`, where the process has such a file"), "",
        "A `registry.yaml`: servers by their namespaces, with host, port and tools. The file must \
         exist. It is read anew when it changes.";
    POLL_INTERVAL = "POLL_INTERVAL", Registries, Seconds,
        Value("60", DOCUMENTED), "",
        "How long from one look at a registry to the next, where nothing tells that it changed.";
    REGISTRY_FILE = "MCP_GATEWAY_REGISTRY_FILE", Registries, Path,
        Unset("there is none"), "",
        "A `registry.json`: templates and their instances. The gateway writes it when an instance \
         is registered, so it need not exist.";
    REST_HEALTH_INTERVAL = "HEALTH_CHECK_INTERVAL", Registries, Seconds,
        Value("60", DOCUMENTED), "",
        "How long from one probe to the next of the servers of `registry.yaml`.";
    INSTANCE_HEALTH_INTERVAL = "MCP_GATEWAY_HEALTH_INTERVAL", Registries, Seconds,
        Value("30", DOCUMENTED), "",
        "How long from one probe to the next of the instances of `registry.json`, for templates \
         that do not say otherwise.";
    INSTANCE_HEALTH_TIMEOUT = "MCP_GATEWAY_HEALTH_TIMEOUT", Registries, Seconds,
        Value("10", DOCUMENTED), "",
        "How long a probe of an instance may take. For servers of `registry.yaml`, 5 unless this \
         is set.";
    MAX_CONCURRENT_CHECKS = "MCP_GATEWAY_MAX_CONCURRENT_CHECKS", Registries,
        Number { min: 1, max: 10_000, unit: "" },
        Value("10", DOCUMENTED), "",
        "How many probes are under way at once, of all services together.";
    DEFAULT_STRATEGY = "MCP_GATEWAY_DEFAULT_STRATEGY", Registries, Choice(Strategy::WORDS),
        Value("round-robin", DOCUMENTED), "",
        "How an instance is chosen, for templates that do not say otherwise.";
    INSTANCE_MAX_RETRIES = "MCP_GATEWAY_MAX_RETRIES", Registries,
        Number { min: 0, max: 100, unit: "" },
        Value("3", DOCUMENTED), "",
        "How many more instances a failed call is sent to, for templates that do not say \
         otherwise. Only calls that suffer it are.";
    REQUEST_TIMEOUT = "MCP_GATEWAY_REQUEST_TIMEOUT", Registries, Seconds,
        Value("60", DOCUMENTED), "",
        "How long a call may take in all, for templates that do not say otherwise. For servers \
         of `registry.yaml`, 5 unless this is set.";
    ALLOWED_COMMANDS = "MCP_GATEWAY_ALLOWED_COMMANDS", Registries,
        List("names of programs, or absolute paths to them"),
        Unset("none"), "",
        "The programs that may be registered over HTTP as instances, which needs one of \
         `MCP_GATEWAY_ADMIN_KEYS` besides.";

    TRANSPORT = "MCP_SERVICE_<NAME>_TRANSPORT", McpService, Choice(Transport::WORDS),
        Unset("`stdio` with a command, else `rest`"), "",
        "How the service is spoken to: `rest` is plain HTTP, all others are MCP. `http` is \
         another word for `streamable-http`, `sse` is the HTTP+SSE of 2024-11-05, and `stdio` \
         starts a process. An MCP service needs no `MCP_SERVICE_<NAME>_AUTH_TYPE`.";
    COMMAND = "MCP_SERVICE_<NAME>_COMMAND", McpService, Text("a program"),
        Unset("required for `stdio`"), "command is required",
        "The program that is the MCP server: a path, or a name that `PATH` leads to. A service \
         with a command has no endpoint.";
    ARGS = "MCP_SERVICE_<NAME>_ARGS", McpService,
        Text("words as a shell splits them, or a JSON array of strings"),
        Unset("none"), "",
        "The arguments of the command. Quotes and backslashes work as in a shell, which is not \
         involved: nothing is expanded.";
    SERVICE_ENV = "MCP_SERVICE_<NAME>_ENV_<VARIABLE>", McpService, Hidden("a text"),
        Unset("the process gets a few harmless variables of the gateway's, such as `PATH`"), "",
        "A variable of the process's environment, of this name to the letter. Nothing else of \
         the gateway's environment reaches it.";
    WORKING_DIR = "MCP_SERVICE_<NAME>_WORKING_DIR", McpService, Path,
        Unset("that of the gateway"), "",
        "The directory that the process is started in.";
    IDLE_TIMEOUT = "MCP_SERVICE_<NAME>_IDLE_TIMEOUT", McpService, POSITIVE,
        Value("600000", "long enough for a pause in a conversation, short enough to free a laptop"),
        "",
        "How long a process is kept that nobody talks to.";
    MAX_LIFETIME = "MCP_SERVICE_<NAME>_MAX_LIFETIME", McpService, POSITIVE,
        Value("86400000", "a daily restart bounds what a server leaks"), "",
        "How long a process lives at most before a new one takes its place.";
    SERVICE_HEADER = "MCP_SERVICE_<NAME>_HEADER_<HEADER>", McpService, Hidden("a text"),
        Unset("only the headers of the protocol are sent"), "",
        "A header of every request to the MCP server, `_` standing for `-`: \
         `MCP_SERVICE_A_HEADER_X_TENANT` sends `X-Tenant`. Headers of the protocol and of the \
         connection are refused.";
    SERVICE_QUERY = "MCP_SERVICE_<NAME>_QUERY", McpService, Secret,
        Unset("requests have none"), "query",
        "What stands behind the `?` of the MCP server's URL, encoded as it is sent, such as \
         `project=7&read_only=true`. Kept secret, as some servers want their keys there.";
    TRUST_ANNOTATIONS = "MCP_SERVICE_<NAME>_TRUST_ANNOTATIONS", McpService, Flag,
        Value("false", "a server that calls a tool harmless need not be right"), "",
        "Believes the server's word that a tool is read-only or idempotent, so that its calls \
         may be sent twice.";
    STREAM_IDLE_TIMEOUT = "MCP_SERVICE_<NAME>_STREAM_IDLE_TIMEOUT", McpService, POSITIVE,
        Value("300000", "where comparable gateways give up a silent stream"), "",
        "How long a streamed answer may say nothing. How long the first byte may take is \
         `MCP_SERVICE_<NAME>_ATTEMPT_TIMEOUT`.";

    TOOL_SEPARATOR = "MCP_TOOL_SEPARATOR", Mcp,
        Text("1 to 4 letters, digits, or any of `_` `.` `-`"),
        Value("__", "what most gateways and clients use"), "",
        "What stands between a service and its tool in the names of `/mcp`.";
    SESSION_KEYS = "MCP_SESSION_KEYS", Mcp, SecretList,
        Unset("a random key: sessions end with the process, and no replica knows them"), "",
        "The keys that sessions are sealed with, of at least 32 characters each. The first \
         seals, all open: to replace a key, put the new one first and take the old one out a \
         session's lifetime later. All replicas need the same.";
    SESSION_IDLE_TIMEOUT = "MCP_SESSION_IDLE_TIMEOUT", Mcp, POSITIVE,
        Value("3600000", "a client that paused for lunch finds its session"), "",
        "How long a session is kept that its client does not use.";
    MAX_SESSIONS = "MCP_MAX_SESSIONS", Mcp, COUNT,
        Value("10000", "as many as connections"), "",
        "How many sessions are open at once.";
    MAX_SESSIONS_PER_CALLER = "MCP_MAX_SESSIONS_PER_CALLER", Mcp, COUNT,
        Inherit("MCP_MAX_SESSIONS"), "",
        "How many sessions of one caller are open at once. All callers who are not asked who \
         they are count as one.";
    ALLOWED_HOSTS = "MCP_ALLOWED_HOSTS", Mcp, List("hosts, each optionally with a port, or `*`"),
        Unset("on loopback, the names of loopback and of `MCP_GATEWAY_URL`; elsewhere any"), "",
        "What the `Host` of an MCP request may be, against web pages that reach the gateway by a \
         name of their own (DNS rebinding), and that of every request where such pages may not \
         read answers: without keys and with `MCP_GATEWAY_CORS_ORIGINS`.";
    ALLOWED_ORIGINS = "MCP_ALLOWED_ORIGINS", Mcp, List("origins, or `*`, or `none`"),
        Unset("those of this machine"), "",
        "The web origins whose pages may send MCP requests. Clients that are no browsers send no \
         origin and are not concerned.";
    KEEP_ALIVE = "MCP_KEEP_ALIVE_INTERVAL", Mcp,
        Number { min: 100, max: 25_000, unit: "milliseconds" },
        Value("15000", "below every idle timeout of proxies and clients that we know"), "",
        "How long a stream to a client is silent before a comment keeps it open.";
    LIST_TIMEOUT = "MCP_LIST_TIMEOUT", Mcp, POSITIVE,
        Value("5000", "a client that starts waits for its tools"), "",
        "How long a slow service may delay the lists of `/mcp`, which go out without it then.";
    MAX_CHILDREN = "MCP_MAX_CHILDREN", Mcp, COUNT,
        Value("64", "ample for one machine, and still an end"), "",
        "How many processes of `stdio` services run at once.";
    MAX_STREAM_BYTES = "MCP_MAX_STREAM_BYTES", Mcp,
        Number { min: 1, max: 1 << 40, unit: "bytes" },
        Value("268435456", "256 MiB: far beyond what a model can read"), "",
        "The most bytes that one streamed answer may have.";
}

/// Whether a variable of this name is any of the gateway's business.
pub(crate) fn concerns_us(name: &str) -> bool {
    // Kubernetes sets these in every pod.
    const OF_PODS: [&str; 2] = ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"];

    begins(name, "MCP_")
        || OF_PODS.contains(&name)
        || TABLE.iter().any(|variable| variable.name == name)
}

/// Whether a text begins so, in capitals or not.
pub(crate) fn begins(text: &str, with: &str) -> bool {
    let start = text.as_bytes().get(..with.len());
    start.is_some_and(|it| it.eq_ignore_ascii_case(with.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_well_formed() {
        let mut names = HashSet::new();
        for variable in TABLE {
            assert!(names.insert(variable.name), "{} twice", variable.name);
            let plain = variable.name.replace("<NAME>", "X");
            let plain = variable.family().map_or(plain.as_str(), |_| {
                plain.rsplit_once('<').map_or("", |(family, _)| family)
            });
            assert!(
                plain.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'),
                "{plain}"
            );
            assert!(variable.description.ends_with('.'), "{}", variable.name);
            assert!(!variable.description.contains("  "), "{}", variable.name);
        }
    }

    #[test]
    fn what_is_inherited_exists() {
        for variable in TABLE {
            if let Inherit(parent) = variable.fallback {
                assert!(TABLE.iter().any(|other| other.name == parent), "{parent}");
            }
        }
    }
}
