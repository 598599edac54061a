use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::RData,
    system_conf::read_system_conf,
};

use crate::{ResolveSrv, SrvRecord};

/// Name servers that are asked for SRV records, which the operating system's resolver does not
/// look up.
///
/// No answer is kept: whoever asks says when by asking, and that a name is not there yet must not
/// be believed for the hours that its zone allows.
#[derive(Clone)]
pub struct NameServers {
    /// Says who is to be asked.
    find: Arc<Find>,
    /// Locked to look at it, and while the configuration is read.
    asked: Arc<Mutex<Asked>>,
}

type Find = dyn Fn() -> io::Result<(ResolverConfig, ResolverOpts)> + Send + Sync;

/// Who is asked.
struct Asked {
    /// Remembers which of them give answers.
    resolver: TokioResolver,
    /// Who they are, as text: their type knows no equality.
    servers: String,
    /// Whether the last question had no answer yet.
    doubtful: bool,
}

impl NameServers {
    /// The name servers that the operating system asks. After a question that had no answer its
    /// configuration is read again: it may have come to another network.
    ///
    /// # Errors
    ///
    /// When its configuration cannot be read.
    pub fn system() -> io::Result<Self> {
        Self::found(|| read_system_conf().map_err(io::Error::other))
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
        let servers = servers.to_vec();
        Self::found(move || Ok(Self::asking(&servers)))
    }

    fn asking(servers: &[SocketAddr]) -> (ResolverConfig, ResolverOpts) {
        let server = |address: &SocketAddr| {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut connections {
                connection.port = address.port();
            }
            NameServerConfig::new(address.ip(), true, connections)
        };
        let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
        (config, ResolverOpts::default())
    }

    fn found(
        find: impl Fn() -> io::Result<(ResolverConfig, ResolverOpts)> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let asked = Asked::new(find()?)?;
        Ok(Self {
            find: Arc::new(find),
            asked: Arc::new(Mutex::new(asked)),
        })
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What asks those who are to be asked now.
    fn resolver(&self) -> io::Result<TokioResolver> {
        let mut asked = self.asked();
        if asked.doubtful {
            let found = (self.find)()?;
            if asked.servers != names(&found.0) {
                *asked = Asked::new(found)?;
            }
        }
        // Until there is an answer: the question may be given up.
        asked.doubtful = true;
        Ok(asked.resolver.clone())
    }
}

impl Asked {
    fn new((config, mut options): (ResolverConfig, ResolverOpts)) -> io::Result<Self> {
        options.cache_size = 0;
        // One after the other. Of two that are asked at once, a dead one is waited for before the
        // other's answer, if it was cut, is asked for by TCP; by then the time is up.
        options.num_concurrent_reqs = 1;
        let servers = names(&config);
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(config, provider);
        *builder.options_mut() = options;
        Ok(Self {
            resolver: builder.build().map_err(io::Error::other)?,
            servers,
            doubtful: false,
        })
    }
}

fn names(config: &ResolverConfig) -> String {
    format!("{:?}", config.name_servers)
}

impl fmt::Debug for NameServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameServers").finish_non_exhaustive()
    }
}

impl ResolveSrv for NameServers {
    async fn resolve_srv(&self, name: &str) -> io::Result<Vec<SrvRecord>> {
        let answer = self.resolver()?.srv_lookup(name).await;
        // That there is nothing is an answer, too.
        let failure = answer.as_ref().err();
        if failure.is_none_or(NetError::is_no_records_found) {
            self.asked().doubtful = false;
        }
        let answer = answer.map_err(io::Error::other)?;
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
    use std::{
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
        time::Duration,
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, UdpSocket},
    };

    use super::*;

    /// The question of a query: labels up to the empty one, then type and class.
    fn question(query: &[u8]) -> &[u8] {
        let name = query[12..].iter().position(|byte| *byte == 0).unwrap();
        &query[12..12 + name + 5]
    }

    /// Two SRV records, whatever is asked for.
    fn records(query: &[u8]) -> Vec<u8> {
        let mut reply = query[..2].to_vec();
        reply.extend([0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0]);
        reply.extend(question(query));
        for (weight, host) in [(3, b"one"), (1, b"two")] {
            // The name asked for, SRV, IN, one minute, 11 bytes; priority, weight, port, target.
            reply.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, 11]);
            reply.extend([0, 10, 0, weight, 0x1f, 0x90, 3]);
            reply.extend(host);
            reply.push(0);
        }
        reply
    }

    /// There is no such name, which may be believed for an hour.
    fn no_such_name(query: &[u8]) -> Vec<u8> {
        let hour = 3600_u32.to_be_bytes();
        let mut reply = query[..2].to_vec();
        reply.extend([0x81, 0x83, 0, 1, 0, 0, 0, 1, 0, 0]);
        reply.extend(question(query));
        // The name asked for, SOA, IN, one hour, 22 bytes; two names, serial and four times.
        reply.extend([0xc0, 12, 0, 6, 0, 1]);
        reply.extend(hour);
        reply.extend([0, 22, 0, 0, 0, 0, 0, 1]);
        reply.extend(hour.repeat(4));
        reply
    }

    /// Answers the n-th question with what `answer` says.
    fn tell(socket: UdpSocket, answer: fn(usize, &[u8]) -> Vec<u8>) {
        tokio::spawn(async move {
            let mut query = [0; 512];
            for n in 0.. {
                let (length, from) = socket.recv_from(&mut query).await.unwrap();
                let reply = answer(n, &query[..length]);
                socket.send_to(&reply, from).await.unwrap();
            }
        });
    }

    /// Name servers that answer the n-th question with what `answer` says.
    async fn servers(answer: fn(usize, &[u8]) -> Vec<u8>) -> NameServers {
        let socket = UdpSocket::bind(ANY).await.unwrap();
        let servers = NameServers::new(&[socket.local_addr().unwrap()]).unwrap();
        tell(socket, answer);
        servers
    }

    /// A name server whose answers do not fit into a datagram.
    async fn verbose() -> SocketAddr {
        let (listener, socket, address) = loop {
            let listener = TcpListener::bind(ANY).await.unwrap();
            let address = listener.local_addr().unwrap();
            if let Ok(socket) = UdpSocket::bind(address).await {
                break (listener, socket, address);
            }
        };
        tell(socket, |_, query| {
            let mut reply = query[..2].to_vec();
            // Cut, and without a record.
            reply.extend([0x83, 0x80, 0, 1, 0, 0, 0, 0, 0, 0]);
            reply.extend(question(query));
            reply
        });
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    while let Ok(length) = stream.read_u16().await {
                        let mut query = vec![0; length.into()];
                        stream.read_exact(&mut query).await.unwrap();
                        let reply = records(&query);
                        let length = u16::try_from(reply.len()).unwrap();
                        stream.write_u16(length).await.unwrap();
                        stream.write_all(&reply).await.unwrap();
                    }
                });
            }
        });
        address
    }

    /// Asks these and soon gives up. The resolver reads a clock of its own, which no test moves.
    fn hasty(servers: &[SocketAddr]) -> (ResolverConfig, ResolverOpts) {
        let (config, mut options) = NameServers::asking(servers);
        options.timeout = Duration::from_secs(1);
        (config, options)
    }

    const ANY: &str = "127.0.0.1:0";
    const NAME: &str = "_http._tcp.users.internal.";

    #[tokio::test]
    async fn records_are_asked_for_and_read() {
        let servers = servers(|_, query| records(query)).await;
        let records = servers.resolve_srv(NAME).await.unwrap();
        let record = |target: &str, weight| SrvRecord {
            target: target.into(),
            port: 8080,
            priority: 10,
            weight,
        };
        assert_eq!(records, [record("one.", 3), record("two.", 1)]);
    }

    #[tokio::test]
    async fn a_name_that_was_not_there_is_found_once_it_is() {
        let servers = servers(|n, query| match n {
            0 => no_such_name(query),
            _ => records(query),
        })
        .await;
        servers.resolve_srv(NAME).await.unwrap_err();
        assert_eq!(servers.resolve_srv(NAME).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_long_answer_is_had_beside_a_server_that_is_dead() {
        let verbose = verbose().await;
        let silent = UdpSocket::bind(ANY).await.unwrap();
        let dead = silent.local_addr().unwrap();
        // In what order they are asked is for the resolver to say.
        for addresses in [vec![verbose], vec![verbose, dead]] {
            let servers = NameServers::found(move || Ok(hasty(&addresses))).unwrap();
            for _ in 0..2 {
                let records = servers.resolve_srv(NAME).await.unwrap();
                assert_eq!(records.len(), 2);
            }
        }
    }

    #[tokio::test]
    async fn who_is_to_be_asked_may_change() {
        let silent = UdpSocket::bind(ANY).await.unwrap();
        let good = UdpSocket::bind(ANY).await.unwrap();
        let network = [&silent, &good].map(|it| it.local_addr().unwrap());
        tell(good, |_, query| records(query));
        let moved = Arc::new(AtomicUsize::new(0));
        let at = Arc::clone(&moved);
        let servers = NameServers::found(move || Ok(hasty(&[network[at.load(Relaxed)]]))).unwrap();
        servers.resolve_srv(NAME).await.unwrap_err();
        let soon = Duration::from_millis(1);
        let asked = tokio::time::timeout(soon, servers.resolve_srv(NAME)).await;
        assert!(asked.is_err(), "given up");
        moved.store(1, Relaxed);
        assert_eq!(servers.resolve_srv(NAME).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn somebody_must_be_asked() {
        assert!(NameServers::new(&[]).is_err());
    }
}
