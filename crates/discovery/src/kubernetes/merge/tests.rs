use serde_json::{Value, json};

use super::*;

fn slice(value: Value) -> Slice {
    serde_json::from_value(value).unwrap()
}

fn instances(common: &Common, slices: &BTreeMap<String, Slice>) -> Result<Vec<Instance>, String> {
    common.instances(slices, "users", &mut Limit::new(3, "endpoints"))
}

fn merged(common: &Common, slices: impl IntoIterator<Item = Slice>) -> Result<Vec<String>, String> {
    let slices = slices.into_iter();
    let slices = slices.map(|it| (it.metadata.name.clone(), it)).collect();
    let instances = instances(common, &slices)?;
    Ok(instances.iter().map(|it| it.id().to_string()).collect())
}

fn common(port: Option<EndpointPort>) -> Common {
    Common {
        port,
        ..Common::new().unwrap()
    }
}

fn named(name: &str) -> Option<EndpointPort> {
    Some(EndpointPort::Name(name.into()))
}

fn with_ports(ports: Value) -> Slice {
    let mut value = json!({
        "metadata": {"name": "users-1"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}],
    });
    value["ports"] = ports;
    slice(value)
}

#[test]
fn the_port_is_the_only_one_or_the_one_that_is_named() {
    let one = with_ports(json!([{"name": "", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(
        merged(&common(None), [one]).unwrap(),
        ["http://10.0.0.1:8080"]
    );

    let several = || {
        with_ports(json!([
            {"name": "http", "port": 8080, "protocol": "TCP"},
            {"name": "metrics", "port": 9090},
            {"name": "dns", "port": 53, "protocol": "UDP"},
        ]))
    };
    let error = merged(&common(None), [several()]).unwrap_err();
    assert_eq!(
        error,
        "there are several TCP ports: http (8080), metrics (9090)"
    );
    assert_eq!(
        merged(&common(named("metrics")), [several()]).unwrap(),
        ["http://10.0.0.1:9090"]
    );
    let number = NonZeroU16::new(8080).map(EndpointPort::Number);
    assert_eq!(
        merged(&common(number), [several()]).unwrap(),
        ["http://10.0.0.1:8080"]
    );
    let error = merged(&common(named("dns")), [several()]).unwrap_err();
    assert_eq!(
        error,
        "no endpoint has the port dns, only http (8080), metrics (9090)"
    );
}

#[test]
fn one_protocol_counts_and_the_others_do_not_disturb() {
    let both = with_ports(json!([{"port": 53, "protocol": "UDP"}, {"port": 8080}]));
    assert_eq!(
        merged(&common(None), [both]).unwrap(),
        ["http://10.0.0.1:8080"]
    );
    let none = with_ports(json!([{"port": 53, "protocol": "UDP"}]));
    let error = merged(&common(None), [none]).unwrap_err();
    assert!(error.contains("none for TCP"), "{error}");
}

#[test]
fn a_service_without_endpoints_has_no_ports_and_that_is_no_error() {
    let empty = slice(json!({
        "metadata": {"name": "users-1"}, "addressType": "IPv4", "endpoints": null, "ports": null,
    }));
    assert!(merged(&common(named("http")), [empty]).unwrap().is_empty());
}

fn with_conditions(conditions: &[Value]) -> Slice {
    let endpoint = |(index, conditions): (usize, &Value)| json!({"addresses": [format!("10.0.0.{}", index + 1)], "conditions": conditions});
    slice(json!({
        "metadata": {"name": "users-1"},
        "addressType": "IPv4",
        "endpoints": conditions.iter().enumerate().map(endpoint).collect::<Vec<_>>(),
        "ports": [{"port": 80}],
    }))
}

#[test]
fn what_is_ready_is_used_and_what_ends_only_if_nothing_is() {
    let ready = json!({"ready": true, "serving": true, "terminating": false});
    let not_ready = json!({"ready": false, "serving": false, "terminating": false});
    let leaving = json!({"ready": false, "serving": true, "terminating": true});
    let ended = json!({"ready": false, "serving": false, "terminating": true});
    let some = with_conditions(&[
        ready,
        not_ready.clone(),
        leaving.clone(),
        json!(null),
        json!({}),
    ]);
    assert_eq!(
        merged(&common(None), [some]).unwrap(),
        [
            "http://10.0.0.1:80",
            "http://10.0.0.4:80",
            "http://10.0.0.5:80"
        ]
    );
    let none = with_conditions(&[not_ready.clone(), leaving, ended.clone()]);
    assert_eq!(
        merged(&common(None), [none]).unwrap(),
        ["http://10.0.0.2:80"]
    );
    let nobody = with_conditions(&[not_ready, ended]);
    assert!(merged(&common(None), [nobody]).unwrap().is_empty());
}

#[test]
fn a_pod_is_one_instance_however_often_it_is_said() {
    let of_family = |name: &str, family: &str, address: &str, uid: &str, ready: bool| {
        slice(json!({
            "metadata": {"name": name},
            "addressType": family,
            "endpoints": [{
                "addresses": [address, "ignored"],
                "conditions": {"ready": ready},
                "targetRef": {"kind": "Pod", "name": "users-abc", "uid": uid},
            }],
            "ports": [{"port": 80}],
        }))
    };
    let slices = [
        of_family("a-6", "IPv6", "fd00::1", "one", true),
        of_family("b", "IPv4", "10.0.0.1", "one", false),
        of_family("c", "IPv4", "10.0.0.1", "one", true),
        of_family("d-6", "IPv6", "fd00::2", "two", true),
        of_family("e", "FQDN", "users.example", "three", true),
        of_family("f", "IPv4", "not an address", "four", true),
    ];
    assert_eq!(
        merged(&common(None), slices).unwrap(),
        ["http://10.0.0.1:80", "http://[fd00::2]:80"]
    );
}

#[test]
fn instances_are_as_the_template_and_know_where_they_are() {
    let common = Common {
        template: Instance::new("https://users.internal/api").unwrap(),
        host: Some("users.internal".into()),
        ..common(None)
    };
    let slice = slice(json!({
        "metadata": {"name": "users-1"},
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": ["10.0.0.1"],
            "nodeName": "node-7",
            "zone": "eu-1a",
            "targetRef": {"kind": "Pod", "name": "users-abc", "namespace": "shop", "uid": "u"},
        }],
        "ports": [{"port": 8443}],
    }));
    let slices = BTreeMap::from([(String::new(), slice)]);
    let instances = instances(&common, &slices).unwrap();
    assert_eq!(&**instances[0].id(), "https://10.0.0.1:8443/api");
    for (key, value) in [
        (ZONE, "eu-1a"),
        (NODE, "node-7"),
        (POD, "users-abc"),
        (HOST, "users.internal"),
    ] {
        assert_eq!(
            instances[0].metadata().get(key).map(|it| &**it),
            Some(value)
        );
    }
}
