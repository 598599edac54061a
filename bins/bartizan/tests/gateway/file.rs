//! Each command while no gateway runs.

use futures_util::future::join_all;
use serde_json::json;

use crate::{Home, REGISTRY};

#[tokio::test]
async fn status_shows_templates_and_instances() {
    let home = Home::with(REGISTRY);
    let said = home.says(&["status"]).await;
    let path = home.registry();
    let expected = format!(
        "from the file {} (no gateway runs)

TEMPLATES  INSTANCES  HEALTHY  UNKNOWN  UPTIME  REQUESTS
        2          3        1        1  -       -

TEMPLATE    INSTANCES  HEALTHY  UNKNOWN  STRATEGY
filesystem          2        1        0  weighted
clock               1        0        1  default

TEMPLATE    INSTANCE  STATUS     FAILURES  WEIGHT  SPOKEN  WHERE
filesystem  fs-1      healthy           0       3  http    http://127.0.0.1:7071/
filesystem  fs-2      unhealthy         7       1  http    http://127.0.0.1:7072/
clock       clock-1   unknown           0       1  stdio   clock-server
",
        path.display()
    );
    assert_eq!(said, expected);
}

#[tokio::test]
async fn status_for_scripts_shows_the_same_and_no_secret() {
    let home = Home::with(REGISTRY);
    let said = home.says(&["status", "--json"]).await;
    assert!(!said.contains("hunter"), "{said}");
    let status: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(status["by"], "file");
    assert_eq!(status["url"], json!(null));
    assert_eq!(status["registry"], home.registry().display().to_string());
    assert_eq!(
        status["totals"],
        json!({
            "templates": 2, "instances": 3, "healthy_instances": 1, "unhealthy_instances": 1,
            "unknown_instances": 1,
        })
    );
    assert_eq!(
        status["templates"][0],
        json!({
            "name": "filesystem", "instances": 2, "healthy_instances": 1,
            "unknown_instances": 0, "strategy": "weighted",
        })
    );
    assert_eq!(
        status["instances"][2],
        json!({
            "template": "clock", "id": "clock-1", "endpoint": null, "program": "clock-server",
            "transport": "stdio", "status": "unknown", "usable": null,
            "consecutive_failures": 0, "weight": 1, "last_health_check": null,
        })
    );
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_an_empty_one() {
    let home = Home::new();
    let status = home.json_of(&["status"]).await;
    assert_eq!(status["totals"]["instances"], 0);
    assert!(!home.registry().exists());
}

#[tokio::test]
async fn instances_come_and_go() {
    let home = Home::new();
    let endpoint = "http://localhost:7071";
    let registered = home
        .json_of(&[
            "register",
            "mytemplate",
            "--endpoint",
            endpoint,
            "--id",
            "one",
            "--weight",
            "3",
            "--health-url",
            "http://localhost:7071/up",
            "--backend",
            "local",
        ])
        .await;
    assert_eq!(registered["id"], "one");
    assert_eq!(registered["by"], "file");
    assert_eq!(registered["replaced"], false);
    let instance = &home.json()["templates"]["mytemplate"]["instances"][0];
    assert_eq!(
        *instance,
        json!({
            "id": "one", "template_name": "mytemplate", "endpoint": endpoint,
            "transport": "http", "health_url": "http://localhost:7071/up",
            "metadata": {"weight": 3}, "backend": "local",
        })
    );

    let said = home
        .says(&["register", "mytemplate", "-e", endpoint, "--id", "one"])
        .await;
    assert!(
        said.starts_with("replaced instance one of template mytemplate"),
        "{said}"
    );
    let said = home.says(&["deregister", "mytemplate", "one"]).await;
    assert!(said.starts_with("deregistered instance one"), "{said}");
    assert_eq!(home.json()["templates"], json!({}));

    let complaint = home.fails(3, &["deregister", "mytemplate", "one"]).await;
    assert!(complaint.contains("has no instance `one`"), "{complaint}");
    assert!(complaint.contains("bartizan gateway status"), "{complaint}");
}

#[tokio::test]
async fn a_command_is_split_as_a_shell_does_and_spoken_to_as_a_program() {
    let home = Home::new();
    home.says(&[
        "register",
        "mytemplate",
        "--command",
        "python 'my server.py'",
        "--working-dir",
        "/app",
        "--env",
        "A=b=c",
        "--env",
        "EMPTY=",
        "--id",
        "x",
    ])
    .await;
    let instance = &home.json()["templates"]["mytemplate"]["instances"][0];
    assert_eq!(
        *instance,
        json!({
            "id": "x", "template_name": "mytemplate", "transport": "stdio",
            "command": ["python", "my server.py"], "working_dir": "/app",
            "env_vars": {"A": "b=c", "EMPTY": ""},
        })
    );
}

#[tokio::test]
async fn a_directory_is_that_of_who_names_it() {
    let home = Home::new();
    let register = [
        "register",
        "t",
        "-c",
        "a",
        "--working-dir",
        "app",
        "--id",
        "x",
    ];
    let command = home.command(&register);
    let directory = command.path("app").canonicalize();
    let directory = directory.unwrap_or_else(|_| command.path("app"));
    crate::said(command.run().await);
    let instance = &home.json()["templates"]["t"]["instances"][0];
    assert_eq!(instance["working_dir"], directory.display().to_string());
}

#[tokio::test]
async fn what_a_gateway_would_not_serve_is_refused_as_it_does() {
    let home = Home::with(REGISTRY);
    let register = async |template: &str, arguments: &[&str]| {
        let given = ["register", template, "-e", "http://a", "--offline"];
        let command = home.command(&[&given, arguments].concat());
        let command = command.file(
            "bartizan.yaml",
            "services:
              users: {endpoint: 'http://127.0.0.1:8', auth: {type: none}}
              files: {instances: [{id: a, endpoint: 'http://127.0.0.1:9'}]}",
        );
        command.run().await
    };
    for (template, expected) in [
        (
            "users",
            "Service users: has the variables of service users, which is configured: a registry \
             cannot list it as well",
        ),
        ("Users", "has the variables of service users"),
        ("files", "service `files` is listed in"),
        (
            "Files",
            "service `Files` would have the variables of `files`, MCP_SERVICE_FILES_...: choose \
             another name",
        ),
        (
            "FileSystem",
            "service `FileSystem` would have the variables of `filesystem`",
        ),
    ] {
        let complaint = crate::failed(2, register(template, &[]).await);
        assert!(complaint.contains(expected), "{template}: {complaint}");
    }
    assert_eq!(home.text(), REGISTRY);
    // Another gateway may follow another registry.
    let other = home.path().join("other.json");
    let other = ["-r", other.to_str().unwrap()];
    crate::said(register("users", &other).await);
    crate::said(register("filesystem", &["--id", "x"]).await);
}

#[tokio::test]
async fn an_instance_without_a_name_never_takes_the_place_of_another() {
    let home = Home::new();
    for port in 7071..7074 {
        let endpoint = format!("http://localhost:{port}");
        home.says(&["register", "t", "-e", &endpoint]).await;
    }
    let instances = home.json()["templates"]["t"]["instances"].clone();
    let instances = instances.as_array().unwrap();
    assert_eq!(instances.len(), 3);
    for instance in instances {
        let id = instance["id"].as_str().unwrap().strip_prefix("t-").unwrap();
        assert!(id.starts_with(|digit: char| digit.is_ascii_digit()), "{id}");
    }
}

#[tokio::test]
async fn many_that_come_at_once_without_names_are_all_there() {
    let home = Home::new();
    let register = async |port: u16| {
        let endpoint = format!("http://localhost:{port}");
        home.json_of(&["register", "t", "-e", &endpoint]).await
    };
    for registered in join_all((1..=6).map(register)).await {
        assert_eq!(registered["replaced"], false);
    }
    let instances = &home.json()["templates"]["t"]["instances"];
    assert_eq!(instances.as_array().unwrap().len(), 6, "{instances}");
}

#[tokio::test]
async fn the_registry_is_the_named_one_then_the_configured_one_then_the_usual_one() {
    let home = Home::new();
    let named = home.path().join("named.json");
    let configured = home.path().join("configured.json");
    let register = |arguments: &[&str], set: bool| {
        let given = ["register", "t", "-e", "http://a"];
        let command = home.command(&[&given, arguments].concat());
        if set {
            command.set("MCP_GATEWAY_REGISTRY_FILE", configured.display())
        } else {
            command
        }
    };
    let path = named.to_str().unwrap();
    crate::said(register(&["-r", path], true).run().await);
    assert!(named.exists() && !configured.exists());
    crate::said(register(&[], true).run().await);
    assert!(configured.exists() && !home.registry().exists());
    crate::said(register(&[], false).run().await);
    assert!(home.registry().exists());

    let finished = register(&[], false).unset("HOME").run().await;
    let complaint = crate::failed(1, finished);
    assert!(complaint.contains("say --registry FILE"), "{complaint}");
}

#[tokio::test]
async fn wrong_usage_is_told_and_changes_nothing() {
    let home = Home::new();
    let wrong: [(&[&str], &str); 14] = [
        (&["register", "t"], "--endpoint"),
        (
            &["register", "t", "-e", "http://a", "-c", "b"],
            "cannot be used with",
        ),
        (
            &["register", "t", "-e", "localhost:1"],
            "must begin with http://",
        ),
        (&["register", "t", "-e", "http://u:p@a"], "no user name"),
        (&["register", "t", "-c", "a 'b"], "a quote is not closed"),
        (&["register", "t", "-c", "a", "--env", "B"], "NAME=VALUE"),
        (
            &["register", "t", "-c", "a", "-t", "http"],
            "needs --endpoint",
        ),
        (
            &["register", "t", "-e", "http://a", "-t", "stdio"],
            "needs --command",
        ),
        (
            &["register", "t", "-e", "http://a", "--weight", "0"],
            "0 is not in 1..=",
        ),
        (
            &["register", "t", "-e", "http://a", "--working-dir", "/"],
            "cannot be used with",
        ),
        (
            &["register", "t", "-e", "http://a", "--ttl", "60"],
            "needs a gateway that runs",
        ),
        (
            &["register", "a/b", "-e", "http://a"],
            "cannot be the name of a template",
        ),
        (&["register", "jobs", "-e", "http://a"], "the gateway's own"),
        (&["cleanup", "--max-failures", "0"], "0 is not in 1.."),
    ];
    for (arguments, expected) in wrong {
        let complaint = home.fails(2, arguments).await;
        assert!(complaint.contains(expected), "{arguments:?}: {complaint}");
    }
    // What was said on the command line has no lines and columns.
    let arguments = ["register", "t", "-e", "http://a:99999", "--id", ""];
    let complaint = home.fails(2, &arguments).await;
    let expected = "`endpoint`: the port must be between 1 and 65535; `id` must not be empty\n";
    assert_eq!(complaint, expected);
    assert!(!home.registry().exists());
}

#[tokio::test]
async fn what_is_not_seen_is_refused_as_over_http() {
    let home = Home::with(REGISTRY);
    for (template, endpoint, id) in [
        ("t\u{202e}", "http://a", "x"),
        ("t", "http://a/\u{200b}", "x"),
        ("t", "http://a", "x\u{202e}y"),
        ("t", "http://a", "x\ny"),
    ] {
        let arguments = ["register", template, "-e", endpoint, "--id", id];
        let complaint = home.fails(2, &arguments).await;
        assert!(
            complaint.contains("not seen or turn the text"),
            "{complaint}"
        );
        let arguments = [
            "register",
            "t",
            "-e",
            "http://a",
            "--health-url",
            "http://a/\u{feff}",
        ];
        let complaint = home.fails(2, &arguments).await;
        assert!(complaint.contains("the health_url must"), "{complaint}");
    }
    assert_eq!(home.text(), REGISTRY);
}

#[tokio::test]
async fn a_file_that_is_wrong_is_named_by_line_and_column_and_left_alone() {
    let wrong: [(&str, &str); 4] = [
        ("{\"templates\": {,}}", "line 1, column 16"),
        ("{\"other\": {}}", "neither `templates` nor `servers`"),
        (
            "{\"templates\": {\"t\": {\"instances\": [\n  {\"id\": 1}]}}}",
            "line 2, column 10",
        ),
        ("\u{0}", "line 1, column 1"),
    ];
    for (text, expected) in wrong {
        let home = Home::with(text);
        let commands: [&[&str]; 5] = [
            &["status"],
            &["sync"],
            &["register", "t", "-e", "http://a"],
            &["deregister", "t", "a"],
            &["cleanup", "--yes"],
        ];
        for arguments in commands {
            let complaint = home.fails(1, arguments).await;
            assert!(complaint.contains(expected), "{arguments:?}: {complaint}");
            assert!(complaint.contains("gateway_registry.json"), "{complaint}");
            assert_eq!(home.text(), text);
        }
    }
}

#[tokio::test]
async fn sync_without_a_gateway_reads_the_file_and_deletes_nothing() {
    let home = Home::with(REGISTRY);
    let said = home.says(&["sync", "--backend", "docker"]).await;
    assert!(said.contains("nothing changed"), "{said}");
    assert!(said.contains("registered by hand stays"), "{said}");
    assert!(said.contains("instances       3      3       0"), "{said}");
    let synced = home.json_of(&["sync"]).await;
    assert_eq!(synced["before"], synced["after"]);
    assert_eq!(synced["added"], json!([]));
    assert_eq!(home.text(), REGISTRY);
}

#[tokio::test]
async fn cleanup_takes_out_what_fails() {
    let home = Home::with(REGISTRY);
    let said = home.says(&["cleanup", "--dry-run"]).await;
    assert!(
        said.contains("fs-2") && said.contains("1 instance would be removed"),
        "{said}"
    );
    assert_eq!(home.text(), REGISTRY);
    let said = home
        .says(&["cleanup", "--max-failures", "8", "--yes"])
        .await;
    assert!(said.starts_with("nothing to remove"), "{said}");
    assert_eq!(home.text(), REGISTRY);

    let cleaned = home.json_of(&["cleanup", "--yes"]).await;
    assert_eq!(cleaned["removed"][0]["id"], "fs-2");
    assert_eq!(cleaned["removed"].as_array().unwrap().len(), 1);
    let left = home.json()["templates"]["filesystem"]["instances"].clone();
    assert_eq!(left.as_array().unwrap().len(), 1);
    // What nothing here knows is still there.
    assert_eq!(left[0]["is_healthy"], true);
}

#[tokio::test]
async fn names_cannot_move_the_cursor() {
    let home = Home::with(
        r#"{"templates": {"a\u001b[2Jb": {"instances": [{"id": "x\ny", "endpoint": "http://a"}]}}}"#,
    );
    let said = home.says(&["status"]).await;
    assert!(
        said.contains("a\\u{1b}[2Jb") && said.contains("x\\ny"),
        "{said}"
    );
    assert!(!said.contains('\u{1b}'), "{said}");
}
