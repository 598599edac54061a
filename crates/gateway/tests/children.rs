//! Services that are processes, through every layer.

#[allow(dead_code, reason = "shared with the test of leaks")]
#[path = "children/support.rs"]
mod support;

use bartizan_config::ServiceConfig;
use http::{Method, StatusCode};

use crate::support::{INITIALIZE, SERVER, begin, call, gateway, send, shell, text};

#[tokio::test]
async fn d8_a_program_that_does_not_start_costs_its_own_service() {
    let gateway = gateway(vec![
        ("bad", ServiceConfig::stdio("/no/such/program")),
        ("good", shell(SERVER)),
    ]);
    let answer = send(&gateway, Method::POST, "/mcp/bad", None, INITIALIZE).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let said = text(answer).await;
    assert!(said.contains(r#""code":50201"#), "{said}");
    assert!(said.contains("/no/such/program"), "{said}");

    let session = begin(&gateway, "/mcp/good").await;
    let answer = send(
        &gateway,
        Method::POST,
        "/mcp/good",
        Some(&session),
        &call("pid"),
    )
    .await;
    assert!(text(answer).await.contains(r#""pid":"#));
}

#[tokio::test]
async fn d2_d3_a_process_that_died_is_a_lost_session_and_another_begins() {
    let gateway = gateway(vec![(
        "it",
        shell(SERVER).variable("CB_FAILURE_THRESHOLD", "2"),
    )]);
    let session = begin(&gateway, "/mcp/it").await;
    let ask = |tool| {
        let (gateway, session, body) = (&gateway, &session, call(tool));
        async move {
            let answer = send(gateway, Method::POST, "/mcp/it", Some(session), &body).await;
            (answer.status(), text(answer).await)
        }
    };
    let first = ask("pid").await;
    // Unsafe as it is, the call is not sent twice, and its client hears of it.
    let (status, died) = ask("die").await;
    assert_eq!(status, StatusCode::OK);
    assert!(died.contains(r#""code":50201"#), "{died}");
    // However often the session is found lost: the circuit stays closed.
    for _ in 0..3 {
        let (status, next) = ask("pid").await;
        assert_eq!(status, StatusCode::OK, "{next}");
        assert!(next.contains(r#""pid":"#) && next != first.1, "{next}");
    }
}

#[tokio::test]
async fn d1_another_replica_begins_the_session_anew() {
    let (one, other) = (
        gateway(vec![("it", shell(SERVER))]),
        gateway(vec![("it", shell(SERVER))]),
    );
    let session = begin(&one, "/mcp/it").await;
    let answer = send(
        &other,
        Method::POST,
        "/mcp/it",
        Some(&session),
        &call("pid"),
    )
    .await;
    assert_eq!(answer.status(), StatusCode::OK);
    let said = text(answer).await;
    assert!(said.contains(r#""pid":"#), "{said}");
}

#[tokio::test]
async fn too_many_processes_are_refused_with_a_time_to_come_back() {
    let services = vec![("it", shell(SERVER))];
    let mut configuration = support::configuration(services);
    configuration.gateway.mcp.max_children = bartizan_config::Setting::new(
        1.try_into().unwrap(),
        bartizan_config::Origin::Default("few"),
    );
    let gateway = bartizan_gateway::Gateway::new(&configuration).unwrap();
    begin(&gateway, "/mcp/it").await;
    let answer = send(&gateway, Method::POST, "/mcp/it", None, INITIALIZE).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers().contains_key("retry-after"));
    let said = text(answer).await;
    assert!(
        said.contains(r#""code":50302"#) && said.contains("retryAfter"),
        "{said}"
    );
}

#[tokio::test]
async fn a_process_is_known_by_the_name_of_its_service() {
    let gateway = gateway(vec![("it", shell(SERVER))]);
    let page = send(&gateway, Method::GET, "/mcp/services", None, "").await;
    let page = text(page).await;
    assert!(page.contains(r#""endpoint":"stdio://it""#), "{page}");
}
