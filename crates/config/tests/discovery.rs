//! Services whose instances are found elsewhere, and what makes two services the same.

mod common;

use bartizan_config::{Configuration, InstanceSource, KubernetesPort, ServiceSettings};
use common::{SOUND, problems, warnings, with};

/// The sound service, whose variables these are without their prefix.
fn changes<'a>(changes: &'a [(&'a str, &'a str)]) -> Vec<(String, &'a str)> {
    let named = changes.iter().map(|(name, text)| {
        let own = name.strip_prefix('+').map(str::to_owned);
        (
            own.unwrap_or_else(|| format!("MCP_SERVICE_USER_SERVICE_{name}")),
            *text,
        )
    });
    named.collect()
}

fn borrowed<'a>(changes: &'a [(String, &'a str)]) -> Vec<(&'a str, &'a str)> {
    changes
        .iter()
        .map(|(name, text)| (&**name, *text))
        .collect()
}

fn service(of: &[(&str, &str)]) -> ServiceSettings {
    let configuration = with(&borrowed(&changes(of))).unwrap_or_else(|it| panic!("{it}"));
    configuration.services[0].clone()
}

fn wrong(of: &[(&str, &str)]) -> Vec<String> {
    problems(&borrowed(&changes(of)))
}

#[test]
fn endpoints_are_where_they_say() {
    assert_eq!(service(&[]).instances, InstanceSource::Listed);
    assert_eq!(
        service(&[("DISCOVERY", "static")]).instances,
        InstanceSource::Listed
    );
    let unused = changes(&[("DISCOVERY_INTERVAL", "1000"), ("DOCKER_NETWORK", "n")]);
    assert_eq!(warnings(&borrowed(&unused)).len(), 2);
}

#[test]
fn names_are_looked_up() {
    let service_of = service(&[("DISCOVERY", "dns"), ("ENDPOINT", "http://users:8080/base")]);
    let InstanceSource::Dns { interval } = &service_of.instances else {
        panic!("{service_of:?}");
    };
    assert_eq!(interval.as_secs(), 30);
    assert_eq!(service_of.endpoints[0].as_str(), "http://users:8080/base");
    let srv = [
        ("DISCOVERY", "SRV"),
        ("DISCOVERY_INTERVAL", "5000"),
        ("ENDPOINT", "https://_http._tcp.users.example.com"),
    ];
    let InstanceSource::Srv { interval } = service(&srv).instances else {
        panic!("no SRV records");
    };
    assert_eq!(interval.as_secs(), 5);
}

#[test]
fn one_endpoint_stands_for_all_instances() {
    for (discovery, endpoint, what) in [
        ("dns", "http://a,http://b", "must be the only one"),
        ("dns", "http://a;weight=2", "must be the only one"),
        ("dns", "http://127.0.0.1:8080", "must have a name"),
        ("srv", "http://[::1]", "must have a name"),
        ("srv", "http://_http._tcp.a:80", "has no port of its own"),
        ("kubernetes", "http://a,http://b", "must be the only one"),
    ] {
        let wrong = wrong(&[("DISCOVERY", discovery), ("ENDPOINT", endpoint)]);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(
            wrong[0].starts_with("Service user-service: ") && wrong[0].contains(what),
            "{wrong:?}"
        );
        assert!(
            wrong[0].contains("MCP_SERVICE_USER_SERVICE_ENDPOINT is"),
            "{wrong:?}"
        );
    }
    let missing = wrong(&[("DISCOVERY", "dns"), ("ENDPOINT", "")]);
    assert!(missing[0].contains("endpoint is required"), "{missing:?}");
    let unknown = wrong(&[("DISCOVERY", "consul")]);
    assert!(
        unknown[0].contains("must be one of static, dns, srv, kubernetes, docker"),
        "{unknown:?}"
    );
}

#[test]
fn clusters_and_engines_need_no_endpoint() {
    let none = [("DISCOVERY", "kubernetes"), ("ENDPOINT", "")];
    let of_pod = [
        none[0],
        none[1],
        ("KUBERNETES_NAMESPACE", "production"),
        ("KUBERNETES_PORT", "http"),
        ("+KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ("+KUBERNETES_SERVICE_PORT", "443"),
    ];
    for (changes, namespace, port, api) in [
        (&none[..], None, None, "https://kubernetes.default.svc/"),
        (
            &of_pod[..],
            Some("production"),
            Some(KubernetesPort::Name("http".into())),
            "https://10.0.0.1/",
        ),
    ] {
        let service = service(changes);
        let InstanceSource::Kubernetes(settings) = &service.instances else {
            panic!("{service:?}");
        };
        assert!(service.endpoints.is_empty());
        assert_eq!(*settings.service, "user-service");
        assert_eq!(settings.namespace.as_ref().map(|it| it.as_str()), namespace);
        assert_eq!(settings.port.as_ref().map(|it| it.value().clone()), port);
        assert_eq!(settings.api_server.as_str(), api);
    }
    let bad = [
        none[0],
        ("KUBERNETES_PORT", "65536"),
        ("KUBERNETES_SERVICE", "Users_1"),
    ];
    assert_eq!(wrong(&bad).len(), 2);

    let docker = [
        ("DISCOVERY", "docker"),
        ("ENDPOINT", ""),
        ("DOCKER_NETWORK", "backend"),
        ("DOCKER_SOCKET", "/run/user/1000/docker.sock"),
    ];
    let InstanceSource::Docker(settings) = service(&docker).instances else {
        panic!("no containers");
    };
    assert_eq!(*settings.service, "user-service");
    assert_eq!(settings.network.unwrap().as_str(), "backend");
    assert_eq!(settings.socket.to_str(), Some("/run/user/1000/docker.sock"));
    assert_eq!(
        wrong(&[docker[0], ("DOCKER_SOCKET", "docker.sock")]).len(),
        1
    );
}

#[test]
fn all_that_is_wrong_with_a_service_of_a_cluster_is_said_at_once() {
    let wrong = wrong(&[
        ("DISCOVERY", "kubernetes"),
        ("ENDPOINT", "nonsense"),
        ("KUBERNETES_NAMESPACE", "Not_A_Label"),
        ("KUBERNETES_PORT", "70000"),
    ]);
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    assert!(wrong[0].contains("invalid endpoint URL"), "{wrong:?}");
    assert!(
        wrong[1].contains("KUBERNETES_NAMESPACE must be"),
        "{wrong:?}"
    );
    assert!(
        wrong[2].contains("KUBERNETES_PORT must be a port"),
        "{wrong:?}"
    );
}

#[test]
fn where_instances_are_found_is_explained() {
    let of = changes(&[
        ("DISCOVERY", "kubernetes"),
        ("KUBERNETES_SERVICE", "users"),
        ("ENDPOINT", ""),
    ]);
    let configuration: Configuration = with(&borrowed(&of)).unwrap();
    let text = configuration.explain("user-service").unwrap().to_string();
    for row in [
        "those of the Kubernetes Service users",
        "https://kubernetes.default.svc",
    ] {
        assert!(text.contains(row), "{text}");
    }
    let summary = configuration.summary().to_string();
    assert!(
        summary.contains("user-service: those of the Kubernetes Service users"),
        "{summary}"
    );
}

#[test]
fn services_that_say_the_same_elsewhere_are_equal() {
    let ours = with(&[]).unwrap();
    let text: String = SOUND
        .iter()
        .map(|(name, text)| format!("{name}={text}\n"))
        .collect();
    let source = bartizan_config::Source::default().with_text(&text, "elsewhere.env");
    let theirs = Configuration::parse(&source).unwrap();
    assert_ne!(
        ours.services[0].endpoints.origin(),
        theirs.services[0].endpoints.origin()
    );
    assert_eq!(ours.services[0], theirs.services[0]);
    for change in [
        ("TOKEN", "another-token"),
        ("TIMEOUT", "1"),
        ("ENDPOINT", "http://localhost:8081;weight=2"),
        ("STRATEGY", "random"),
        ("HEALTH_PATH", "/up"),
        ("PATH_PREFIX", "/tools/"),
        ("DISCOVERY", "dns"),
    ] {
        assert_ne!(service(&[change]), ours.services[0], "{change:?}");
    }
}
