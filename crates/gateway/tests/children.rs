//! Services that are processes, through every layer.

#[allow(dead_code, reason = "shared with the test of leaks")]
#[path = "children/support.rs"]
mod support;

use std::time::Duration;

use bartizan_clock::Clock;
use bartizan_config::ServiceConfig;
use bartizan_gateway::Gateway;
use http::{Method, StatusCode};

use crate::support::{INITIALIZE, SERVER, begin, call, configuration, gateway, send, shell, text};

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
async fn a_process_that_a_reload_took_out_ends_in_good_order_with_the_gateway() {
    let directory = tempfile::tempdir().unwrap();
    let ended = directory.path().join("ended");
    let orderly = format!("{SERVER}\nsleep 0.2; echo > '{}'", ended.display());
    let with = configuration(vec![("it", shell(&orderly)), ("other", shell(SERVER))]);
    let without = configuration(vec![("other", shell(SERVER))]);
    let gateway = Gateway::new(&with).unwrap();
    begin(&gateway, "/mcp/it").await;
    assert_eq!(gateway.reload(&without).unwrap().removed, ["it"]);
    // It had the drain time, which is not over.
    gateway.close().await;
    assert!(ended.exists(), "nobody waited for it");
}

#[tokio::test]
async fn too_many_processes_are_refused_with_a_time_to_come_back() {
    let services = vec![("it", shell(SERVER))];
    let mut configuration = configuration(services);
    configuration.gateway.mcp.max_children = bartizan_config::Setting::new(
        1.try_into().unwrap(),
        bartizan_config::Origin::Default("few"),
    );
    let gateway = Gateway::new(&configuration).unwrap();
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

/// A server with one tool and `cases` for what else comes.
fn with_a_tool(cases: &str) -> ServiceConfig {
    let server = r#"
while read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  result() { echo '{"jsonrpc":"2.0","id":'$1',"result":'$2'}'; }
  elicit() { echo '{"jsonrpc":"2.0","id":"'$1'","method":"elicitation/create","params":{"message":"'$2 $1'","requestedSchema":{"type":"object","properties":{}}}}'; }
  case $line in
    *'"initialize"'*)
      case $line in *2025-03-26*) version=2025-03-26;; *) version=2025-11-25;; esac
      result "$id" '{"protocolVersion":"'$version'","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}';;
    *'"tools/list"'*) result "$id" '{"tools":[{"name":"ask","inputSchema":{"type":"object"}}]}';;
    *'"server/discover"'*)
      echo '{"jsonrpc":"2.0","id":'$id',"error":{"code":-32601,"message":"Method not found"}}';;
    CASES
  esac
done
"#;
    shell(&server.replace("CASES", cases))
}

/// A call of a client of 2026-07-28 that can show forms; `more` is what it adds to its parameters.
async fn ask(gateway: &Gateway, who: &str, more: &str) -> String {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"ask","arguments":{{"who":"{who}"}},{more}"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"t","version":"1"}},"io.modelcontextprotocol/clientCapabilities":{{"elicitation":{{}}}}}}}}}}"#
    );
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "ask"),
    ];
    let answer = support::send_with(gateway, Method::POST, "/mcp/it", &headers, &body).await;
    text(answer).await
}

#[tokio::test]
async fn clients_who_share_a_process_are_asked_about_their_own_calls() {
    // Asks twice about each call, a moment after it came and after the first answer.
    let asks = r#"
    *'"tools/call"'*)
      who=${line#*'"who":"'}; who=${who%%'"'*}
      eval "call_$who=\$id"
      (sleep 0.05; elicit "$who" first) &;;
    *'"action"'*)
      who=${id#?}; who=${who%?}
      case $who in
        *+) who=${who%+}; eval "call=\$call_$who"
          result "$call" '{"content":[{"type":"text","text":"'$who' answered"}]}';;
        *) (sleep 0.05; elicit "$who+" again) &;;
      esac;;"#;
    let gateway = gateway(vec![("it", with_a_tool(asks))]);
    let clients = ["ada", "bob", "cyd", "dan", "eve", "fay"].map(|who| {
        let gateway = &gateway;
        async move {
            let mut more = String::new();
            for question in [format!("first {who}"), format!("again {who}+")] {
                let asked = ask(gateway, who, &more).await;
                assert!(asked.contains(&question), "{who}: {asked}");
                let state = asked.split_once(r#""requestState":""#).unwrap().1;
                let state = state.split_once('"').unwrap().0;
                more = format!(
                    r#""requestState":"{state}","inputResponses":{{"question":{{"action":"accept","content":{{}}}}}},"#
                );
            }
            let answered = ask(gateway, who, &more).await;
            assert!(answered.contains(&format!("{who} answered")), "{answered}");
        }
    });
    futures_util::future::join_all(clients).await;
}

/// Answers no first call before there is a second.
const IN_PAIRS: &str = r#"
    *'"tools/call"'*)
      if [ -z "$first" ]; then first=$id; else
        result "$first" '{"content":[]}'; result "$id" '{"content":[]}'; first=
      fi;;"#;

/// How long a call may have to wait for another that may be asked about.
const TURN: Duration = Duration::from_secs(1);

/// How long two calls take that are answered in pairs.
async fn pair(gateway: &Gateway) -> Duration {
    let begun = Clock::default().now();
    let both = (ask(gateway, "ada", ""), ask(gateway, "bob", ""));
    let (ada, bob) = futures_util::future::join(both.0, both.1).await;
    assert!(
        ada.contains("result") && bob.contains("result"),
        "{ada} {bob}"
    );
    Clock::default().now() - begun
}

#[tokio::test]
async fn calls_that_ask_nothing_do_not_wait_for_each_other() {
    let gateway = gateway(vec![("it", with_a_tool(IN_PAIRS))]);
    // Nobody knows the tool: one waits for the other, but not for ever.
    let unknown = pair(&gateway).await;
    assert!(unknown >= TURN, "{unknown:?}");
    let known = pair(&gateway).await;
    assert!(known < TURN, "{known:?}");
}

#[tokio::test]
async fn a_tool_whose_question_was_refused_may_ask_again() {
    // Asks about the first call what this client cannot answer.
    let asks_once = r#"
    *'"tools/call"'*'"once"'*) asker=$id
      echo '{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}';;
    *'"error"'*) result "$asker" '{"content":[{"type":"text","text":"refused"}]}';;"#;
    let gateway = gateway(vec![(
        "it",
        with_a_tool(&(asks_once.to_owned() + IN_PAIRS)),
    )]);
    let once = ask(&gateway, "once", "").await;
    assert!(once.contains("refused"), "{once}");
    let both = pair(&gateway).await;
    assert!(both >= TURN, "{both:?}");
}

#[tokio::test]
async fn no_more_of_a_batch_is_asked_for_than_can_be_answered() {
    // Six megabytes, and how many calls there were.
    let large = r#"
    *'"tools/call"'*)
      calls=$((calls + 1))
      result "$id" '{"content":[{"type":"text","text":"'$(head -c 6000000 /dev/zero | tr '\0' x)'"}],"calls":'$calls'}';;"#;
    let gateway = gateway(vec![("it", with_a_tool(large))]);
    let initialize = INITIALIZE.replace("2025-11-25", "2025-03-26");
    let begun = send(&gateway, Method::POST, "/mcp/it", None, &initialize).await;
    let session = begun.headers()["mcp-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let session = Some(&*session);
    let call =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask","arguments":{}}}"#;
    let batch = format!("[{}]", [call; 20].join(","));
    let answer = send(&gateway, Method::POST, "/mcp/it", session, &batch).await;
    let answer = text(answer).await;
    assert!(answer.contains("pass 10485760 bytes"), "{answer}");
    let one = send(
        &gateway,
        Method::POST,
        "/mcp/it",
        session,
        &format!("[{call}]"),
    )
    .await;
    let one = text(one).await;
    assert!(one.contains(r#""calls":3"#), "{}", &one[one.len() - 100..]);
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_waited_for_any_longer_than_one_that_has_not() {
    // Says for four seconds that it is at it.
    let slow = r#"
    *'"tools/call"'*)
      (for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"'$n'"}}'
        sleep 0.2
      done
      result "$id" '{"content":[]}') &;;"#;
    let gateway = gateway(vec![("it", with_a_tool(slow))]);
    let begun = Clock::default().now();
    let body = r#"{"service":"it","operation":"ask","metadata":{"timeout":500}}"#;
    let answer = send(&gateway, Method::POST, "/mcp/request", None, body).await;
    let answer = text(answer).await;
    let took = Clock::default().now() - begun;
    assert!(answer.contains("timeout of 500ms exceeded"), "{answer}");
    assert!(took < Duration::from_secs(3), "{took:?}");
}
