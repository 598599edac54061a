use std::{
    io::{self, IsTerminal},
    net::{Ipv4Addr, SocketAddr},
};

use bartizan_config::{Configuration, Source};
use bartizan_gateway::{Gateway, StartError};
use bartizan_server::{BindError, Bound};

use super::{Failure, print, run, start_logs, told_to_stop, workers};
use crate::demo::{Demo, Guide};

/// Starts a gateway and its backends on loopback, and says what to try.
pub(crate) fn demo(port: u16) -> Result<(), Failure> {
    let workers = workers(None)?;
    run(async {
        let demo = Demo::start().await.map_err(Failure::Demo)?;
        let variables = demo.variables(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let configuration = Configuration::parse(&Source::from_iter(variables))?;
        start_logs(&configuration)?;
        let gateway = Gateway::new(&configuration)?;
        let (bound, taken) = bind(&gateway, port)?;
        let guide = Guide {
            address: bound.local_addr(),
            taken,
            colours: *configuration.gateway.log_color && io::stdout().is_terminal(),
        };
        let (stop, cut) = (told_to_stop(1), told_to_stop(2));
        print(&guide)?;
        let bound = bound.on(workers.spawner());
        gateway.serve_until(bound, stop, cut).await;
        demo.stop().await;
        Ok(())
    })?
}

/// Listens at `port`, or at any free port if another program has that one, and says so.
fn bind(gateway: &Gateway, port: u16) -> Result<(Bound, Option<u16>), StartError> {
    match gateway.bind_to(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) {
        Err(StartError::Bind(BindError::Address { cause, .. }))
            if cause.kind() == io::ErrorKind::AddrInUse =>
        {
            let bound = gateway.bind_to(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            Ok((bound, Some(port)))
        }
        bound => Ok((bound?, None)),
    }
}
