use serde_json::{Value, json};

use super::*;

/// As an engine lists it.
fn container(labels: Value, ports: Value) -> Container {
    let mut container = json!({
        "Id": "8dfafdbc3a40aabbccddeeff00112233",
        "Names": ["/shop-users-1"],
        "Image": "users:latest",
        "Created": 1_367_854_155,
        "State": "running",
        "Status": "Up 2 hours (healthy)",
        "HostConfig": {"NetworkMode": "shop_default"},
        "NetworkSettings": {"Networks": {
            "monitoring": {"IPAddress": "", "GlobalIPv6Address": ""},
            "shop_default": {"IPAddress": "172.18.0.4", "GlobalIPv6Address": "", "Gateway": "172.18.0.1"},
            "zoo": {"IPAddress": "172.19.0.4", "GlobalIPv6Address": "fd00::4"},
        }},
        "Mounts": [],
    });
    (container["Labels"], container["Ports"]) = (labels, ports);
    serde_json::from_value(container).unwrap()
}

fn exposed() -> Value {
    json!([
        {"IP": "0.0.0.0", "PrivatePort": 8080, "PublicPort": 18080, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 8080, "PublicPort": 18080, "Type": "tcp"},
        {"PrivatePort": 53, "Type": "udp"},
    ])
}

fn id(container: &Container, network: Option<&str>) -> Result<String, String> {
    Ok(container.instance(network)?.id().to_string())
}

#[test]
fn without_labels_it_is_the_only_port_in_the_first_network() {
    let container = container(json!({}), exposed());
    assert_eq!(id(&container, None).unwrap(), "http://172.18.0.4:8080");
    assert_eq!(
        id(&container, Some("zoo")).unwrap(),
        "http://172.19.0.4:8080"
    );
    let error = id(&container, Some("monitoring")).unwrap_err();
    assert_eq!(error, "it has no address in the network monitoring");
    let error = id(&container, Some("other")).unwrap_err();
    assert_eq!(error, "it is not in the network other");
    let instance = container.instance(None).unwrap();
    assert_eq!(
        instance.metadata().get(CONTAINER).map(|it| &**it),
        Some("shop-users-1")
    );
    assert!(container.is_well());
}

#[test]
fn one_without_a_name_goes_by_the_start_of_its_id() {
    let mut container = container(json!({}), exposed());
    container.names = Some(vec!["/".to_owned()]);
    for (id, name) in [
        ("8dfafdbc3a40aabbccddeeff00112233", "8dfafdbc3a40"),
        ("8dfa", "8dfa"),
        ("", ""),
        ("8dfafdbc3a4é0", "8dfafdbc3a4é0"),
    ] {
        container.id = id.to_owned();
        assert_eq!(container.name(), name);
    }
}

#[test]
fn labels_say_what_it_is() {
    let labels = json!({
        "bartizan.port": "9000",
        "bartizan.scheme": "https",
        "bartizan.path": "/api",
        "bartizan.weight": "3",
        "bartizan.health_url": "/live?deep=1",
    });
    let instance = container(labels, json!(null)).instance(None).unwrap();
    assert_eq!(&**instance.id(), "https://172.18.0.4:9000/api");
    assert_eq!(instance.weight(), 3);
    let health = instance.health_url().unwrap().to_string();
    assert_eq!(health, "https://172.18.0.4:9000/live?deep=1");
    let labels = json!({"bartizan.health_url": "http://checks:1/users"});
    let instance = container(labels, exposed()).instance(None).unwrap();
    assert_eq!(
        instance.health_url().unwrap().to_string(),
        "http://checks:1/users"
    );
}

#[test]
fn what_is_wrong_is_said() {
    for (labels, words) in [
        (
            json!({"bartizan.port": "http"}),
            "bartizan.port is no number from 1 to 65535",
        ),
        (
            json!({"bartizan.port": "+80"}),
            "bartizan.port is no number",
        ),
        (json!({"bartizan.port": "0"}), "bartizan.port is no number"),
        (
            json!({"bartizan.port": "70000"}),
            "bartizan.port is no number",
        ),
        (
            json!({"bartizan.scheme": "tcp"}),
            "bartizan.scheme is neither",
        ),
        (
            json!({"bartizan.path": "api"}),
            "bartizan.path does not begin",
        ),
        (json!({"bartizan.path": "/a?b"}), "bartizan.path: "),
        (json!({"bartizan.weight": "0"}), "bartizan.weight: "),
        (
            json!({"bartizan.weight": "heavy"}),
            "bartizan.weight is no number",
        ),
        (
            json!({"bartizan.health_url": "live"}),
            "bartizan.health_url is neither",
        ),
        (
            json!({"bartizan.health_url": "ftp://a/live"}),
            "bartizan.health_url is neither",
        ),
        (
            json!({"bartizan.health_url": "http://user:password@a/live"}),
            "bartizan.health_url is neither",
        ),
        (
            json!({"bartizan.health_url": "http://a:0/live"}),
            "bartizan.health_url is neither",
        ),
    ] {
        let error = id(&container(labels.clone(), exposed()), None).unwrap_err();
        assert!(error.starts_with(words), "{labels}: {error}");
    }
    let several = json!([{"PrivatePort": 80, "Type": "tcp"}, {"PrivatePort": 443, "Type": "tcp"}]);
    let error = id(&container(json!({}), several), None).unwrap_err();
    assert_eq!(
        error,
        "it exposes the ports [80, 443], and no label bartizan.port names one"
    );
    let error = id(&container(json!({}), json!([])), None).unwrap_err();
    assert!(error.starts_with("it exposes no port"), "{error}");
}

#[test]
fn a_container_on_the_network_of_the_host_has_no_address_of_its_own() {
    let mut container = container(json!({}), exposed());
    container.network_settings = serde_json::from_value(json!({
        "Networks": {"host": {"IPAddress": "", "GlobalIPv6Address": ""}, "none": null},
    }))
    .unwrap();
    let error = id(&container, None).unwrap_err();
    assert_eq!(error, "it has an address in no network");
}

#[test]
fn only_what_runs_and_is_not_unwell_takes_calls() {
    for (state, status, is_well) in [
        ("running", "Up 2 hours", true),
        ("running", "Up 2 hours (healthy)", true),
        ("running", "Up 3 seconds (health: starting)", false),
        ("running", "Up 3 seconds (starting)", false),
        ("running", "Up 2 hours (unhealthy)", false),
        ("paused", "Up 2 hours (Paused)", false),
        ("exited", "Exited (0) 2 hours ago", false),
        ("restarting", "Restarting (1) 2 seconds ago", false),
    ] {
        let mut container = container(json!({}), exposed());
        container.state = Some(state.to_owned());
        container.status = Some(status.to_owned());
        assert_eq!(container.is_well(), is_well, "{status}");
    }
}

#[test]
fn a_container_without_a_name_is_called_by_its_id() {
    let mut container = container(json!({}), exposed());
    container.names = None;
    assert_eq!(container.name(), "8dfafdbc3a40");
}
