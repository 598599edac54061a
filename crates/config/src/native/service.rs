use bartizan_auth::Secret;
use bartizan_document::{Member, Node, Value};

use super::{
    file::File,
    key::Keys,
    registry::{LISTED, kind_of_instances},
    settings::Settings,
    text::{element, texts},
};
use crate::{
    McpTransport, Origin, RegisteredKind, Variable, mcp::Transport, reader::Scope, table,
    value::Value as _,
};

/// The keys of a service that stand for more than a text.
const OWN: [&str; 6] = [
    "endpoint",
    "endpoints",
    "env",
    "headers",
    "kind",
    "instances",
];

/// What says where the instances of a service are, in place of a list of them.
static PLACES: [&Variable; 11] = [
    &table::ENDPOINT,
    &table::COMMAND,
    &table::ARGS,
    &table::DISCOVERY,
    &table::DISCOVERY_INTERVAL,
    &table::KUBERNETES_SERVICE,
    &table::KUBERNETES_NAMESPACE,
    &table::KUBERNETES_PORT,
    &table::DOCKER_SERVICE,
    &table::DOCKER_NETWORK,
    &table::DOCKER_SOCKET,
];

/// What is known of a service besides its variables.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) origin: Origin,
    /// What its instances speak, if they are listed.
    pub(super) listed: Option<RegisteredKind>,
}

/// Reads one service, whose name is sound, into `file`.
pub(super) fn read(file: &mut File<'_>, keys: &Keys, member: &Member<'_>) -> Service {
    let name = &*member.key;
    let root = format!("services.{name}");
    let origin = file.origin(&root, member.place);
    let node = &member.value;
    let is_listed = node
        .member("instances")
        .is_some_and(|it| !it.value.is_null());
    let more: Vec<_> = OWN.into_iter().chain(LISTED).collect();
    let scope = Scope::service(name);
    let settings = Settings {
        keys,
        scope: &scope,
        root,
        more: &more,
        idle: if is_listed {
            (&PLACES, "has no place beside instances: take one out")
        } else {
            (&[], "")
        },
    };
    let before = file.mark();
    for member in file.members(node, &origin) {
        let key = &*member.key;
        let origin = file.origin(settings.shown(&[key]), member.place);
        match key {
            "instances" | "kind" => {}
            _ if LISTED.contains(&key) => {
                if !is_listed && !member.value.is_null() {
                    file.wrong(&origin, "is for a service with instances");
                }
            }
            "endpoint" | "endpoints" => {
                if is_listed {
                    file.wrong(&origin, settings.idle.1);
                } else {
                    endpoints(file, &scope, member, &origin);
                }
            }
            "env" => family(file, &scope, &table::SERVICE_ENV, member, &origin),
            "headers" => family(file, &scope, &table::SERVICE_HEADER, member, &origin),
            _ => settings.read(file, &[], member),
        }
    }
    let transport = file
        .text_since(before, &scope.name(&table::TRANSPORT))
        .and_then(|word| Transport::parse(&table::TRANSPORT, word).ok());
    let spoken = kind(file, &settings, node, transport.map(|it| it.kind()));
    let listed = is_listed.then(|| spoken.unwrap_or_else(|| kind_of_instances(node)));
    if listed.is_none()
        && let (Some(kind), Some(member)) = (spoken, node.member("kind"))
    {
        // A transport says it better; without one, this is what it comes to.
        let is_said = ["transport", "command"]
            .iter()
            .any(|it| node.member(it).is_some_and(|it| !it.value.is_null()));
        let set = file.is_set(&scope, &table::TRANSPORT) || file.is_set(&scope, &table::COMMAND);
        if !is_said && !set {
            let word = match kind {
                RegisteredKind::Rest => "rest",
                RegisteredKind::Mcp => McpTransport::StreamableHttp.as_str(),
            };
            let origin = file.origin(settings.shown(&["kind"]), member.place);
            file.set(scope.name(&table::TRANSPORT), Secret::new(word), origin);
        }
    }
    Service {
        name: name.to_owned(),
        origin,
        listed,
    }
}

/// What the service speaks, as far as `kind`, its transport or its command say.
fn kind(
    file: &mut File<'_>,
    settings: &Settings<'_>,
    node: &Node<'_>,
    by_transport: Option<RegisteredKind>,
) -> Option<RegisteredKind> {
    let command = node.member("command").filter(|it| !it.value.is_null());
    let likely = by_transport.or(command.map(|_| RegisteredKind::Mcp));
    let Some(member) = node.member("kind").filter(|it| !it.value.is_null()) else {
        return likely;
    };
    let said = match member.value.scalar().as_deref() {
        Some("rest") => Some(RegisteredKind::Rest),
        Some("mcp") => Some(RegisteredKind::Mcp),
        _ => None,
    };
    let origin = file.origin(settings.shown(&["kind"]), member.place);
    match (said, likely) {
        (None, _) => file.wrong(&origin, "must be rest or mcp"),
        (Some(said), Some(likely)) if said != likely => {
            file.wrong(
                &origin,
                "says something else than the transport or the command",
            );
        }
        _ => {}
    }
    said.or(likely)
}

/// A text, or a list of texts and of mappings with `url` and `weight`.
fn endpoints(file: &mut File<'_>, scope: &Scope, member: &Member<'_>, origin: &Origin) {
    let name = scope.name(&table::ENDPOINT);
    if !file.say(&name, origin, member.place) || file.is_set(scope, &table::ENDPOINT) {
        return;
    }
    let texts = match &member.value.value {
        Value::Null => return,
        Value::List(list) => {
            let endpoints: Vec<_> = list
                .iter()
                .map(|node| endpoint(file, node, origin, &name))
                .collect();
            endpoints.into_iter().collect::<Option<Vec<_>>>()
        }
        _ => member.value.scalar().and_then(|text| {
            let text = file.expand(&text, origin, Some(&name))?;
            Some(vec![text.expose().to_owned()])
        }),
    };
    match texts {
        Some(texts) => file.set(name, Secret::new(texts.join(",")), origin.clone()),
        None if matches!(member.value.value, Value::Map(_)) => {
            file.wrong(origin, "must be a URL or a list of URLs");
        }
        None => {}
    }
}

/// One endpoint as the variable has it.
fn endpoint(file: &mut File<'_>, node: &Node<'_>, list: &Origin, name: &str) -> Option<String> {
    let origin = element(list, node);
    let Value::Map(_) = node.value else {
        let text = texts(file, std::slice::from_ref(node), list, name)?;
        let text = text.first()?.expose();
        if text.contains(',') {
            file.wrong(&origin, "must hold one URL each, without a comma");
            return None;
        }
        return Some(text.to_owned());
    };
    let (mut url, mut weight) = (None, None);
    for member in file.members(node, &origin) {
        let slot = match &*member.key {
            "url" => &mut url,
            "weight" => &mut weight,
            _ => {
                file.wrong(&origin, "must hold url and weight only");
                return None;
            }
        };
        let Some(text) = member.value.scalar() else {
            file.wrong(&origin, "must hold texts");
            return None;
        };
        *slot = Some(file.expand(&text, &origin, Some(name))?);
    }
    let Some(url) = url else {
        file.wrong(&origin, "has no url");
        return None;
    };
    let url = url.expose();
    if url.contains([',', ';']) {
        // Both mean something in the variable that holds several endpoints.
        file.wrong(&origin, "must not hold a comma or a semicolon");
        return None;
    }
    Some(match weight {
        Some(weight) => format!("{url};weight={}", weight.expose()),
        None => url.to_owned(),
    })
}

/// The variables of a family: a mapping of their names to texts.
fn family(
    file: &mut File<'_>,
    scope: &Scope,
    variable: &Variable,
    member: &Member<'_>,
    origin: &Origin,
) {
    if member.value.is_null() {
        return;
    }
    let stem = variable.family().unwrap_or(variable.name);
    let stem = stem.replace("<NAME>", scope.prefix());
    let is_header = variable.name == table::SERVICE_HEADER.name;
    for each in file.members(&member.value, origin) {
        // What is null is not set.
        if each.value.is_null() {
            continue;
        }
        let name = format!("{stem}{}", each.key);
        // What the environment would have to call it.
        let settable = if is_header {
            format!("{stem}{}", each.key.to_ascii_uppercase().replace('-', "_"))
        } else {
            name.clone()
        };
        let key = origin.member().unwrap_or_default();
        let origin = file.origin(format!("{key}.{}", each.key), each.place);
        // Headers are the same in capitals.
        if !file.say(&settable, &origin, each.place) || file.is_named(&settable) {
            continue;
        }
        let Some(text) = each.value.scalar() else {
            file.wrong(&origin, "must be a text");
            continue;
        };
        if let Some(text) = file.expand(&text, &origin, Some(&settable)) {
            file.set(name, text, origin);
        }
    }
}
