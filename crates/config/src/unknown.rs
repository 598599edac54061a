//! What is set and means nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{
    AuthType, Origin, Problem, Source, Variable, Warning,
    reader::{Reader, Scope, file_twin},
    registered::Later,
    suggest::{closest, containing},
    table::{self, variables},
    value::Value as _,
    variable_prefix,
};

/// Names that the documented Kubernetes manifests set and that never had a meaning.
const UNREAD: [&str; 5] = [
    "MCP_RATE_LIMIT",
    "MCP_RATE_LIMIT_BURST",
    "MCP_CIRCUIT_BREAKER_THRESHOLD",
    "MCP_CIRCUIT_BREAKER_TIMEOUT",
    "MCP_LOG_LEVEL",
];

/// What the names of the gateway's variables begin with.
const OURS: [&str; 4] = ["MCP_GATEWAY_", "MCP_SERVICE_", "MCP_RETRY_", "MCP_DEFAULT_"];

/// What others call what the second ending of a name stands for.
const SYNONYMS: [(&str, &str); 7] = [
    ("_KEY", "_API_KEY"),
    ("_KEYS", "_API_KEYS"),
    ("_MAX_RETRIES", "_RETRY_MAX_ATTEMPTS"),
    ("_RATE_LIMIT", "_RATE_LIMIT_RPM"),
    ("_REQUESTS_PER_MINUTE", "_RATE_LIMIT_RPM"),
    ("_RETRIES", "_RETRY_MAX_ATTEMPTS"),
    ("_URL", "_ENDPOINT"),
];

/// Looks at every variable that nothing has asked for.
///
/// One that two services could mean is a problem; one that is misspelt, or has no effect beside
/// the others, is a warning; one that is known to be somebody else's, or may be a service's that a
/// registry lists, is a note.
pub(crate) fn check(reader: &mut Reader<'_>, services: &[&str], has_registry: bool) {
    let source = reader.source();
    let named = with_listed(source, services);
    let names = Names {
        known: known(&named),
        services: &named,
        whose: if has_registry {
            "belongs to no service of MCP_SERVICES, and is no variable of one of a registry"
        } else {
            "belongs to no service of MCP_SERVICES, unless one registers itself"
        },
    };
    let known = known(services);
    let prefixes = prefixes(services);
    for name in source.variables() {
        if source.find(name).is_none() {
            continue;
        }
        let mut owners = known.get(name).cloned().unwrap_or_default();
        owners.extend(reader.families_of(name).filter_map(|it| prefixes.get(it)));
        match owners[..] {
            [first, second, ..] => reader.problem(shared(name, first, second)),
            _ if reader.has_used(name) => {}
            [""] => reader.warn(format!("{} has no effect", reader.place(name))),
            [service] => without_effect(reader, name, service),
            [] => match family_of(name, &prefixes) {
                Some(service) => without_effect(reader, name, service),
                // What a member of a file is called is judged where it is read.
                None if is_of_a_file(source, name) => {}
                // Judged when the settings of that service are read.
                None if is_of_a_listed(source, name) && may_be_of_a_service(name) => {}
                None if has_registry && may_be_of_a_service(name) => reader.note_of_a_name(
                    name,
                    format!(
                        "{name} belongs to no service of MCP_SERVICES, maybe to one of a registry"
                    ),
                ),
                None => unknown(reader, name, &names),
            },
        }
    }
}

/// The services, and those that native files list.
fn with_listed<'a>(source: &'a Source, services: &[&'a str]) -> Vec<&'a str> {
    let listed = source.listed().iter();
    let listed = listed.flat_map(|(registry, _)| registry.services());
    let services = services.iter().copied();
    services.chain(listed.map(|it| &*it.name)).collect()
}

/// What the names of these variables of services are to be told that none of `services` has, now
/// that all are known which registries list.
///
/// One that may be of a service which is registered later is a note, unless another was meant.
pub(crate) fn check_names(
    source: &Source,
    used: &BTreeSet<String>,
    services: &[&str],
) -> Vec<Warning> {
    let names = Names {
        known: known(services),
        services,
        whose: "belongs to no service of MCP_SERVICES or of a registry",
    };
    let prefixes = prefixes(services);
    let mut reader = Reader::new(source, false);
    for name in source.variables() {
        if source.find(name).is_none()
            || used.contains(name)
            || names.known.contains_key(name)
            || is_of_a_file(source, name)
            || family_of(name, &prefixes).is_some()
        {
            continue;
        }
        if may_be_of_a_service(name) && meant(name, &names.known).is_none() {
            let whose = names.whose;
            reader.note_of_a_name(name, format!("{name} {whose}"));
        } else {
            unknown(&mut reader, name, &names);
        }
    }
    reader.finish().1
}

/// The names that there are, for whoever is told of one that there is not.
struct Names<'a> {
    known: BTreeMap<String, Vec<&'a str>>,
    services: &'a [&'a str],
    /// What is said of a variable of a service that there is not.
    whose: &'a str,
}

/// The services by what their variables have for a name.
fn prefixes<'a>(services: &[&'a str]) -> HashMap<String, &'a str> {
    let services = services.iter();
    let prefixes = services.map(|service| (Scope::service(service).prefix().to_owned(), *service));
    prefixes.collect()
}

/// Whether a name begins like the variables of a service that a native file lists.
fn is_of_a_listed(source: &Source, name: &str) -> bool {
    let listed = source.listed().iter();
    let mut services = listed.flat_map(|(registry, _)| registry.services());
    services.any(|service| name.starts_with(&variable_prefix(&service.name)))
}

/// Whether a native file or one of servers says it, in words of its own.
fn is_of_a_file(source: &Source, name: &str) -> bool {
    let entry = source.find(name);
    entry.is_some_and(|entry| entry.origin.is_structured())
}

/// A problem with a variable that two services could mean.
pub(crate) fn shared(name: &str, first: &str, second: &str) -> Problem {
    Problem::new(format!(
        "{name} is a variable of both service {first} and service {second}: rename one"
    ))
}

/// Looks at the variables of a service that a registry lists, after it was read, and says which
/// of those that are set are its own.
///
/// One that is another service's, too, is a problem: the one would get the other's credentials.
pub(crate) fn check_registered(
    reader: &mut Reader<'_>,
    name: &str,
    others: &Later,
) -> BTreeSet<String> {
    let scope = Scope::service(name);
    let source = reader.source();
    let mut own = BTreeSet::new();
    for (variable, entry) in source.entries_from("MCP_SERVICE_") {
        let is_ours = !matches!(entry.origin, Origin::Default(_) | Origin::Registry(_));
        if !is_ours || source.find(variable).is_none() {
            continue;
        }
        let other = others.listed_owner(variable).filter(|it| *it != name);
        if reader.has_used(variable) {
            if others.is_of_a_configured(variable) {
                reader.problem(Problem::new(scope.message(&format!(
                    "{variable} is a variable of a service that is configured as well: rename one"
                ))));
            } else if let Some(other) = other {
                reader.problem(shared(variable, other, name));
            }
        } else if is_variable_of(&scope, variable) {
            without_effect(reader, variable, name);
        } else {
            continue;
        }
        own.insert(variable.to_owned());
    }
    own
}

/// Refuses what looks like the credentials of a service whose name goes on where this one's
/// ends: `MCP_SERVICE_A_ENV_AUTH_TYPE` may be for the programs of `a`, and for `a-env`.
///
/// Who else the registries list is not known here, and may change.
pub(crate) fn check_members(reader: &mut Reader<'_>, name: &str) {
    let scope = Scope::service(name);
    let source = reader.source();
    for (variable, entry) in source.entries_from("MCP_SERVICE_") {
        let other = variable.strip_suffix("_AUTH_TYPE");
        let other =
            other.filter(|_| reader.has_used(variable) && !is_variable_of(&scope, variable));
        let kind = AuthType::parse(&table::AUTH_TYPE, entry.text.expose().trim());
        if let Some(other) = other
            && kind.is_ok_and(|it| it != AuthType::None)
        {
            reader.problem(Problem::new(scope.message(&format!(
                "{variable} may be of another service, which {other}_* are for: rename one"
            ))));
        }
    }
}

/// Whether a service has a variable of this name, or a secret whose file it names; members of
/// families are left out.
pub(crate) fn is_variable_of(scope: &Scope, name: &str) -> bool {
    variables().iter().any(|variable| {
        let full = scope.name(variable);
        variable.is_of_a_service()
            && (full == name || (variable.is_secret() && file_twin(&full) == name))
    })
}

/// Whether a name ends like a service's variable, of whatever service.
fn may_be_of_a_service(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("MCP_SERVICE_") else {
        return false;
    };
    let ends = |variable: &&Variable| {
        let suffix = variable.name.rsplit_once("<NAME>_").map(|(_, it)| it);
        let of_it = |suffix: &str| {
            let before = rest.strip_suffix(suffix);
            before.is_some_and(|it| it.len() > 1 && it.ends_with('_'))
        };
        let is_member = variable.family().is_some_and(|stem| {
            let stem = stem.strip_prefix("MCP_SERVICE_<NAME>").unwrap_or(stem);
            rest.find(stem).is_some_and(|at| at > 0)
        });
        is_member
            || suffix.is_some_and(|suffix| {
                of_it(suffix) || (variable.is_secret() && of_it(&file_twin(suffix)))
            })
    };
    variables()
        .iter()
        .copied()
        .any(|it| it.is_of_a_service() && ends(&it))
}

/// Whose each name is: `""` stands for the gateway.
fn known<'a>(services: &[&'a str]) -> BTreeMap<String, Vec<&'a str>> {
    let mut known: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut add = |name: String, is_secret: bool, owner| {
        if is_secret {
            known.entry(file_twin(&name)).or_default().push(owner);
        }
        known.entry(name).or_default().push(owner);
    };
    for variable in variables().iter().filter(|it| it.family().is_none()) {
        if variable.is_of_a_service() {
            for service in services {
                add(
                    Scope::service(service).name(variable),
                    variable.is_secret(),
                    *service,
                );
            }
        } else {
            add(variable.name.to_owned(), variable.is_secret(), "");
        }
    }
    known
}

/// The service that would have this variable in a family of its own, were it of another kind.
fn family_of<'a>(name: &str, prefixes: &HashMap<String, &'a str>) -> Option<&'a str> {
    let rest = name.strip_prefix("MCP_SERVICE_")?;
    let mut marks = variables()
        .iter()
        .filter_map(|variable| variable.family()?.strip_prefix("MCP_SERVICE_<NAME>"));
    marks.find_map(|mark| {
        let mut places = rest.match_indices(mark);
        places.find_map(|(at, _)| {
            let is_member = at + mark.len() < rest.len();
            prefixes.get(&rest[..at]).copied().filter(|_| is_member)
        })
    })
}

fn without_effect(reader: &mut Reader<'_>, name: &str, service: &str) {
    let what = reader.place(name);
    reader.warn(format!(
        "{what} has no effect beside the other settings of service {service}"
    ));
}

fn unknown(reader: &mut Reader<'_>, name: &str, names: &Names<'_>) {
    // An environment file holds what it likes besides.
    if !table::begins(name, "MCP") {
        return;
    }
    if UNREAD.contains(&name) || is_of_the_dashboard(name) {
        return reader.note_of_a_name(
            name,
            format!("{name} is not a variable of the gateway; passed over"),
        );
    }
    if let Some(meant) = meant(name, &names.known) {
        return reader.warn_of_a_name(
            name,
            format!("unknown variable {name}, did you mean {meant}?"),
        );
    }
    // Others may have variables that begin with `MCP_`, too.
    if !OURS.iter().any(|prefix| name.starts_with(prefix)) {
        return;
    }
    if is_service_link(name) {
        return reader.note_of_a_name(
            name,
            format!("{name} is a service link of Kubernetes; passed over"),
        );
    }
    let of_a_service = name.strip_prefix("MCP_SERVICE_");
    let configured = of_a_service.is_some_and(|rest| {
        names.services.iter().any(|service| {
            let scope = Scope::service(service);
            rest.strip_prefix(scope.prefix())
                .is_some_and(|rest| rest.starts_with('_'))
        })
    });
    if of_a_service.is_none() || configured {
        reader.warn_of_a_name(name, format!("unknown variable {name}"));
    } else {
        let whose = names.whose;
        reader.warn_of_a_name(name, format!("{name} {whose}"));
    }
}

/// The known name that was probably meant.
fn meant(name: &str, known: &BTreeMap<String, Vec<&str>>) -> Option<String> {
    let is_known = |name: &String| known.contains_key(name);
    let names = || known.keys().cloned();
    let synonym = || {
        let mut others = SYNONYMS.iter().filter_map(|(theirs, ours)| {
            let stem = name.strip_suffix(theirs)?;
            Some(format!("{stem}{ours}")).filter(is_known)
        });
        others.next()
    };
    // Beyond our own prefixes nothing else is guessed by words: others have names of few.
    let by_words = || {
        if OURS.iter().any(|prefix| name.starts_with(prefix)) {
            containing(name, names())
        } else {
            let rest = name.strip_prefix("MCP_")?;
            Some(format!("MCP_GATEWAY_{rest}")).filter(is_known)
        }
    };
    // Whoever is used to names that have no case would not see that a key counts for nothing.
    let in_capitals = Some(name.to_ascii_uppercase()).filter(is_known);
    in_capitals
        .or_else(synonym)
        .or_else(|| by_key(name, is_known))
        .or_else(|| closest(name, names()))
        .or_else(by_words)
}

/// The known name whose key in a `bartizan.yaml` this is: `..._AUTH_TOKEN` for `..._TOKEN`.
fn by_key(name: &str, is_known: impl Fn(&String) -> bool) -> Option<String> {
    let alone = variables().iter().filter(|it| it.family().is_none());
    let names = alone.flat_map(|variable| {
        let key = variable.key().to_ascii_uppercase().replace('.', "_");
        let key = match key.strip_prefix("SERVICES_") {
            Some(key) => format!("MCP_SERVICE_{key}"),
            None => format!("MCP_{key}"),
        };
        let own = variable.name.to_owned();
        let files = variable.is_secret();
        let files = files.then(|| (file_twin(&key), file_twin(&own)));
        [Some((key, own)), files]
    });
    let mut others = names.flatten().filter(|(key, own)| key != own);
    others.find_map(|(key, own)| {
        let meant = match key.split_once("<NAME>") {
            Some((before, after)) => {
                let service = name.strip_prefix(before)?.strip_suffix(after)?;
                own.replace("<NAME>", service)
            }
            None if key == name => own,
            None => return None,
        };
        Some(meant).filter(&is_known)
    })
}

/// `..._SAMPLE_ENDPOINTS` and `..._ENDPOINT_<i>_DESCRIPTION` and the like, which the dashboard of
/// the documented gateway reads.
fn is_of_the_dashboard(name: &str) -> bool {
    const FIELDS: [&str; 3] = ["_DESCRIPTION", "_CATEGORY", "_PAYLOAD"];

    let of_an_endpoint = |name: &str| {
        let stem = FIELDS.iter().find_map(|field| name.strip_suffix(field));
        let digits = stem
            .and_then(|stem| stem.rsplit_once("_ENDPOINT_"))
            .map(|(_, it)| it);
        digits.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
    };
    name.starts_with("MCP_SERVICE_")
        && (name.ends_with("_SAMPLE_ENDPOINTS") || of_an_endpoint(name))
}

/// The variables that Kubernetes sets in every pod for every service of its namespace, such as
/// `MCP_GATEWAY_SERVICE_HOST` and `MCP_GATEWAY_PORT_80_TCP_ADDR`.
fn is_service_link(name: &str) -> bool {
    let after = |mark: &str| name.rsplit_once(mark).map(|(_, rest)| rest);
    let port = |rest: &str| {
        let mut parts = rest.split('_');
        parts
            .next()
            .is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit()))
            && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
            && matches!(parts.next(), None | Some("ADDR" | "PORT" | "PROTO"))
            && parts.next().is_none()
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_PORT")
        || after("_SERVICE_PORT_").is_some()
        || after("_PORT_").is_some_and(port)
        || after("_TCP_").or_else(|| after("_UDP_")).is_some_and(|_| {
            name.split_once("_PORT_")
                .is_some_and(|(_, rest)| port(rest))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_of_kubernetes() {
        for name in [
            "MCP_GATEWAY_SERVICE_SERVICE_HOST",
            "MCP_GATEWAY_SERVICE_PORT",
            "MCP_GATEWAY_SERVICE_SERVICE_PORT_HTTP",
            "MCP_GATEWAY_PORT_80_TCP",
            "MCP_GATEWAY_PORT_80_TCP_ADDR",
            "MCP_GATEWAY_PORT_80_TCP_PORT",
        ] {
            assert!(is_service_link(name), "{name}");
        }
        for name in [
            "MCP_GATEWAY_HOTS",
            "MCP_GATEWAY_PORT_NUMBER",
            "MCP_GATEWAY_PORT_8O_TCP",
        ] {
            assert!(!is_service_link(name), "{name}");
        }
    }

    #[test]
    fn variables_of_the_dashboard() {
        for name in [
            "MCP_SERVICE_USER_SERVICE_SAMPLE_ENDPOINTS",
            "MCP_SERVICE_USER_SERVICE_ENDPOINT_0_DESCRIPTION",
            "MCP_SERVICE_USER_SERVICE_ENDPOINT_12_PAYLOAD",
        ] {
            assert!(is_of_the_dashboard(name), "{name}");
        }
        for name in [
            "MCP_SERVICE_A_ENDPOINT",
            "MCP_SERVICE_A_ENDPOINT_X_CATEGORY",
        ] {
            assert!(!is_of_the_dashboard(name), "{name}");
        }
    }
}
