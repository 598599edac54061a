use std::{path::Path, time::UNIX_EPOCH};

use bartizan_clock::Clock;
use bartizan_config::{
    Configuration, NativeRegistry, RegistrySettings, printable, variable_prefix,
};
use bartizan_discovery::{Entry, Registry, RegistryStore};
use bartizan_gateway::check_listable;
use http::Method;
use serde_json::{Map, Value, json};

use super::{
    Trouble,
    overview::Overview,
    place::{self, Target, is_same},
    remote::Remote,
};
use crate::{
    cli::{self, Register, Transport},
    commands::{Failure, variables},
};

/// Adds an instance to a template.
pub(super) async fn register(source: &cli::Source, arguments: &Register) -> Result<(), Failure> {
    let transport = transport(arguments)?;
    let (mut target, report) = place::find(source, &arguments.place).await?;
    let template = arguments.template.as_str();
    let done = match &target {
        Target::Gateway { remote, .. } => ask(remote, arguments, transport).await,
        Target::File { store, .. } => write(source, &target, store, arguments, transport).await,
    };
    let done = match (done, target.writable_without_key()) {
        (Err(Trouble::Forbidden { .. }), Some(store)) if arguments.ttl.is_none() => {
            let done = write(source, &target, &store, arguments, transport).await?;
            if let Target::Gateway { remote, .. } = &target {
                // It looks by itself a moment later, but who asks next finds the instance.
                let sync = remote.ask_as_operator(&Method::POST, "/gateway/sync", None);
                let _ = sync.await;
            }
            let stranger = Some(format!("which {} follows", target.name()));
            target = Target::File { store, stranger };
            done
        }
        (done, _) => done?,
    };
    let Done { id, replaced } = done;
    if report.json {
        let members = json!({
            "template": template, "id": id, "transport": transport.as_str(),
            "replaced": replaced,
        });
        return report.json(&target, members);
    }
    let what = if replaced { "replaced" } else { "registered" };
    report.say(&format_args!(
        "{what} instance {} of template {} with {}",
        printable(&id),
        printable(template),
        target.name()
    ))
}

/// What became of it.
struct Done {
    id: String,
    /// Whether it took the place of one with its id.
    replaced: bool,
}

/// Has the gateway add the instance, and name it if nobody has.
async fn ask(remote: &Remote, arguments: &Register, transport: Transport) -> Result<Done, Trouble> {
    let path = "/gateway/register";
    let instance = instance(arguments, transport, arguments.id.as_deref());
    let mut body = json!({ "template_name": arguments.template, "instance": instance });
    if let Some(seconds) = arguments.ttl {
        body["ttl"] = seconds.into();
    }
    let (post, body) = (&Method::POST, Some(&body));
    // Where there are operators, only they may have programs started and keep instances for good.
    let answer = remote.ask_as_operator(post, path, body).await?;
    if !answer.status.is_success() {
        return Err(remote.refused(&answer));
    }
    let id = answer.json["instance_id"].as_str();
    let id = id.or(arguments.id.as_deref()).unwrap_or_default();
    Ok(Done {
        id: id.to_owned(),
        replaced: answer.json["replaced"].as_bool().unwrap_or_default(),
    })
}

/// Adds the instance to the file of a registry, under a name that nothing has if nobody named it.
async fn write(
    source: &cli::Source,
    target: &Target,
    store: &RegistryStore,
    arguments: &Register,
    transport: Transport,
) -> Result<Done, Trouble> {
    if arguments.ttl.is_some() {
        let text = "a file has no clock: --ttl needs a gateway that runs".to_owned();
        return Err(Trouble::Usage(text));
    }
    let template = arguments.template.as_str();
    let entry = |id: &str| {
        let instance = Value::Object(instance(arguments, transport, Some(id)));
        let entry = Entry::from_json(&instance.to_string(), None);
        // Nobody has seen the text that lines and columns are of.
        let (entry, _) = entry.map_err(|error| {
            let problems = error.problems().iter().map(|it| &*it.text);
            Trouble::Usage(problems.collect::<Vec<_>>().join("; "))
        })?;
        let listable = check_listable(template, &entry);
        listable.map_err(|error| Trouble::Usage(error.to_string()))?;
        Ok::<_, Trouble>(entry)
    };
    let documented = documented_id(template);
    // Whatever is wrong with it is said before anything is looked at.
    entry(arguments.id.as_deref().unwrap_or(&documented))?;
    check_configured(source, &arguments.place, store.path(), template)?;
    check_listed(store, template).await?;
    if let Some(id) = &arguments.id {
        let replaced = store.register(template, entry(id)?).await?;
        let id = id.clone();
        return Ok(Done { id, replaced });
    }
    // A gateway may have more than the file says.
    let known = Overview::of(target).await?;
    let (mut id, mut number) = (documented.clone(), 1);
    loop {
        if !known.has(template, &id) && store.add(template, entry(&id)?).await? {
            let replaced = false;
            return Ok(Done { id, replaced });
        }
        number += 1;
        id = format!("{documented}-{number}");
    }
}

/// How the instance is spoken to, which follows from what it is unless it is said.
fn transport(arguments: &Register) -> Result<Transport, Trouble> {
    let is_program = arguments.command.is_some();
    match arguments.transport {
        None if is_program => Ok(Transport::Stdio),
        None => Ok(Transport::Http),
        Some(Transport::Stdio) if !is_program => Err(Trouble::Usage(
            "--transport stdio needs --command: what is spoken to through its standard input has \
             to be started"
                .to_owned(),
        )),
        Some(other @ (Transport::Http | Transport::Sse)) if is_program => {
            Err(Trouble::Usage(format!(
                "--transport {} needs --endpoint: a command is spoken to through its standard \
                 input",
                other.as_str()
            )))
        }
        Some(transport) => Ok(transport),
    }
}

/// Refuses a template that a gateway with the configuration of this process would not serve. One
/// of a registry that such a gateway does not follow may be another's, with other services.
fn check_configured(
    source: &cli::Source,
    place: &cli::Place,
    registry: &Path,
    template: &str,
) -> Result<(), Trouble> {
    // With a configuration that is wrong there is no gateway, and a registry can be written to.
    let Ok(configuration) = Configuration::parse(&variables(source)) else {
        return Ok(());
    };
    let follows = |it: &RegistrySettings| is_same(it.path.value(), registry);
    if place.registry.is_some() && !configuration.registries.iter().any(follows) {
        return Ok(());
    }
    for other in &configuration.registries {
        let listed = other.listed.as_ref().map(NativeRegistry::registry);
        let Some(listed) = listed else { continue };
        if listed.service(template).is_some() {
            return Err(Trouble::Usage(format!(
                "service `{template}` is listed in {}: add the instance there",
                other.path.display()
            )));
        }
        check_variables(template, listed)?;
    }
    match configuration.configured_as(template) {
        Some(other) => Err(Trouble::Usage(format!(
            "Service {template}: has the variables of service {other}, which is configured: a registry \
             cannot list it as well"
        ))),
        None => Ok(()),
    }
}

/// Refuses a template that would have the variables of another one of the registry.
async fn check_listed(store: &RegistryStore, template: &str) -> Result<(), Trouble> {
    let listed = store.load().await?;
    check_variables(template, &listed)
}

fn check_variables(template: &str, listed: &Registry) -> Result<(), Trouble> {
    let variables = variable_prefix(template);
    let mut others = listed.services.iter().map(|it| &*it.name);
    let other = others.find(|it| *it != template && variable_prefix(it) == variables);
    other.map_or(Ok(()), |other| {
        Err(Trouble::Usage(format!(
            "service `{}` would have the variables of `{}`, {variables}...: choose another name",
            printable(template),
            printable(other)
        )))
    })
}

/// The documented id, which names the second.
fn documented_id(template: &str) -> String {
    let now = Clock::default().wall().duration_since(UNIX_EPOCH);
    let seconds = now.map_or(0, |since| since.as_secs());
    format!("{template}-{seconds}")
}

/// The instance as a registry has it.
fn instance(arguments: &Register, transport: Transport, id: Option<&str>) -> Map<String, Value> {
    let mut instance = Map::new();
    let mut add = |name: &str, value: Value| {
        instance.insert(name.to_owned(), value);
    };
    if let Some(id) = id {
        add("id", id.into());
    }
    add("template_name", arguments.template.as_str().into());
    add("transport", transport.as_str().into());
    if let Some(endpoint) = &arguments.endpoint {
        add("endpoint", endpoint.as_str().into());
    }
    if let Some(words) = &arguments.command {
        add("command", words.0.clone().into());
    }
    if let Some(directory) = &arguments.working_dir {
        // The gateway may be started somewhere else.
        let whole = std::path::absolute(directory).unwrap_or_else(|_| directory.clone());
        add("working_dir", whole.to_string_lossy().into());
    }
    if !arguments.env.is_empty() {
        let variables = arguments.env.iter();
        let variables: Map<String, Value> = variables
            .map(|set| (set.name.clone(), set.value.as_str().into()))
            .collect();
        add("env_vars", variables.into());
    }
    if let Some(backend) = &arguments.backend {
        add("backend", backend.as_str().into());
    }
    if let Some(url) = &arguments.health_url {
        add("health_url", url.as_str().into());
    }
    if let Some(weight) = arguments.weight {
        add("metadata", json!({ "weight": weight }));
    }
    instance
}
