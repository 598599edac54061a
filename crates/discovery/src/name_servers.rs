use std::{fmt, io, net::SocketAddr};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::RData,
};

use crate::{ResolveSrv, SrvRecord};

/// Name servers that are asked for SRV records, which the operating system's resolver does not
/// look up.
///
/// Answers are kept for as long as they say they may be, at most 1,024 of them.
#[derive(Clone)]
pub struct NameServers {
    resolver: TokioResolver,
}

impl NameServers {
    /// The name servers that the operating system asks.
    ///
    /// # Errors
    ///
    /// When its configuration cannot be read.
    pub fn system() -> io::Result<Self> {
        let builder = TokioResolver::builder_tokio().map_err(io::Error::other)?;
        let resolver = builder.build().map_err(io::Error::other)?;
        Ok(Self { resolver })
    }

    /// These name servers, each asked by UDP, and by TCP when its answer is too long for that.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub fn new(servers: &[SocketAddr]) -> io::Result<Self> {
        if servers.is_empty() {
            let text = "there are no name servers to ask";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let server = |address: &SocketAddr| {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut connections {
                connection.port = address.port();
            }
            NameServerConfig::new(address.ip(), true, connections)
        };
        let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
        let provider = TokioRuntimeProvider::default();
        let builder = TokioResolver::builder_with_config(config, provider);
        let resolver = builder.build().map_err(io::Error::other)?;
        Ok(Self { resolver })
    }
}

impl fmt::Debug for NameServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameServers").finish_non_exhaustive()
    }
}

impl ResolveSrv for NameServers {
    async fn resolve_srv(&self, name: &str) -> io::Result<Vec<SrvRecord>> {
        let answer = self
            .resolver
            .srv_lookup(name)
            .await
            .map_err(io::Error::other)?;
        let record = |data: &RData| match data {
            RData::SRV(srv) => Some(SrvRecord {
                target: srv.target.to_ascii(),
                port: srv.port,
                priority: srv.priority,
                weight: srv.weight,
            }),
            _ => None,
        };
        Ok(answer
            .answers()
            .iter()
            .filter_map(|it| record(&it.data))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers the first question, whatever it asks, with two SRV records.
    fn reply(query: &[u8]) -> Vec<u8> {
        // The question: labels up to the empty one, then type and class.
        let name = query[12..].iter().position(|byte| *byte == 0).unwrap();
        let question = &query[12..12 + name + 5];
        let mut reply = query[..2].to_vec();
        reply.extend([0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0]);
        reply.extend(question);
        for (weight, host) in [(3, b"one"), (1, b"two")] {
            // The name asked for, SRV, IN, one minute, 11 bytes; priority, weight, port, target.
            reply.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, 11]);
            reply.extend([0, 10, 0, weight, 0x1f, 0x90, 3]);
            reply.extend(host);
            reply.push(0);
        }
        reply
    }

    #[tokio::test]
    async fn records_are_asked_for_and_read() {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let servers = NameServers::new(&[socket.local_addr().unwrap()]).unwrap();
        let server = tokio::spawn(async move {
            let mut query = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut query).await.unwrap();
                socket
                    .send_to(&reply(&query[..length]), from)
                    .await
                    .unwrap();
            }
        });
        let records = servers
            .resolve_srv("_http._tcp.users.internal.")
            .await
            .unwrap();
        server.abort();
        let record = |target: &str, weight| SrvRecord {
            target: target.into(),
            port: 8080,
            priority: 10,
            weight,
        };
        assert_eq!(records, [record("one.", 3), record("two.", 1)]);
    }

    #[tokio::test]
    async fn somebody_must_be_asked() {
        assert!(NameServers::new(&[]).is_err());
    }
}
