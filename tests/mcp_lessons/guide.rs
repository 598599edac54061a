//! What `docs/mcp.md` shows, run and compared.

use std::process::Command;

use bartizan_transport::bridge::{Crossing, LIMITS};

use crate::{
    agent::variables,
    server::{Server, Sessions, status, text},
};

const GUIDE: &str = include_str!("../../docs/mcp.md");

#[test]
fn the_guide_lists_what_does_not_cross_and_nothing_else() {
    let mut rows = Vec::new();
    for crossing in [Crossing::LegacyToModern, Crossing::ModernToLegacy] {
        let (_, part) = GUIDE
            .split_once(&format!("### {crossing}\n"))
            .expect("a heading");
        let part = part.split("### ").next().unwrap_or_default();
        let listed: Vec<_> = part
            .lines()
            .filter(|it| it.starts_with("| "))
            .skip(1)
            .collect();
        let ours = LIMITS.iter().filter(|it| it.crossing == crossing);
        let ours: Vec<_> = ours
            .map(|it| format!("| {} | {} | {} |", it.feature, it.loss, it.what_happens))
            .collect();
        assert_eq!(listed, ours, "{crossing}");
        rows.extend(ours);
    }
    assert_eq!(rows.len(), LIMITS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_walk_through_works_as_shown() {
    let sessions = Sessions::default();
    let server = Server::start(move |heard| {
        let kept = sessions.housekeeping(heard, |_| status(404));
        kept.unwrap_or_else(|| {
            let id = heard.json()["id"].clone();
            text(match &*heard.rpc() {
                "tools/call" => format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[],"structuredContent":{{"n":1.10}}}}}}"#
                ),
                _ => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"tools":[]}}}}"#),
            })
        })
    })
    .await;
    let gateway = variables(&server.url()).start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let mut followed = 0;
    for block in GUIDE.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        for step in block.split("$ curl ").skip(1) {
            let (command, expected) = step.split_once('\n').expect("an answer");
            let command = command.replace("localhost:8080", &gateway.address.to_string());
            let directory = directory.path().to_owned();
            let ran = tokio::task::spawn_blocking(move || {
                Command::new("bash")
                    .args(["-c", &format!("curl --noproxy '*' -m 20 {command}")])
                    .current_dir(directory)
                    .output()
            });
            let printed = ran.await.expect("no panic").expect("bash and curl").stdout;
            assert_eq!(String::from_utf8_lossy(&printed), expected.trim_end());
            followed += 1;
        }
    }
    assert_eq!(followed, 4);
}
