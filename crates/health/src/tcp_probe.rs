use tokio::net::TcpStream;

use crate::{Probe, ProbeResult, Target};

/// Alive is what accepts a TCP connection.
///
/// Says little: a process that hangs still has a kernel that accepts. Use it where there is no
/// better question to ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpProbe;

impl Probe for TcpProbe {
    async fn probe(&self, target: &Target) -> ProbeResult {
        let port = target.uri.port_u16().or(match target.uri.scheme_str() {
            Some("http") => Some(80),
            Some("https") => Some(443),
            _ => None,
        });
        let (Some(host), Some(port)) = (target.uri.host(), port) else {
            return ProbeResult::dead("the address has no host or no port");
        };
        match TcpStream::connect((host.trim_matches(['[', ']']), port)).await {
            Ok(_) => ProbeResult::Alive,
            Err(error) => ProbeResult::unreachable(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use bartizan_testkit::Upstream;

    use super::*;

    async fn probe(uri: &str) -> ProbeResult {
        TcpProbe
            .probe(&Target::new("a", uri.parse().unwrap()))
            .await
    }

    #[tokio::test]
    async fn who_accepts_is_alive() {
        let upstream = Upstream::start().await;
        assert_eq!(probe(&upstream.url()).await, ProbeResult::Alive);
        let nobody = Upstream::nobody();
        assert!(!probe(&format!("http://{nobody}")).await.is_alive());
    }

    #[tokio::test]
    async fn an_address_without_a_port_is_dead_and_says_why() {
        let result = probe("tcp://127.0.0.1").await;
        assert_eq!(
            result,
            ProbeResult::dead("the address has no host or no port")
        );
    }
}
