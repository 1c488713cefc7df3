//! Making connections.

use std::io;

use covet_runtime::net::{TcpStream, UnixStream};
use covet_runtime::time;

use super::origin::Way;
use super::proxy::{Kind, Proxy};
#[cfg(feature = "tls")]
use super::transport::TlsPeer;
use super::transport::Transport;
use super::{Cause, Shared, socks, tunnel};

/// Opens a connection that leads this way, handshakes and all.
pub(super) async fn open(shared: &Shared, way: &Way) -> Result<Transport, Cause> {
    let limit = shared.config.timeouts.connect;
    match time::timeout(limit, connect(shared, way)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Cause::Timeout { what: "connecting", limit }),
    }
}

async fn connect(shared: &Shared, way: &Way) -> Result<Transport, Cause> {
    let transport = match (&way.unix_socket, &way.proxy) {
        (Some(path), _) => {
            let stream = UnixStream::connect(path).await.map_err(|error| {
                Cause::Io(io::Error::new(error.kind(), format!("the socket {}: {error}", path.display())))
            })?;
            Transport::new(stream.into())
        }
        (None, None) => Transport::new(tcp(shared, &format!("{}:{}", way.host, way.port)).await?.into()),
        (None, Some(proxy)) => through(shared, way, proxy).await?,
    };
    #[cfg(feature = "tls")]
    if way.secure {
        let tls = tls(&shared.tls, shared.config.tls.as_ref()).await?;
        return transport.begin_tls(&tls, TlsPeer::Server(&way.host)).await;
    }
    Ok(transport)
}

async fn tcp(shared: &Shared, target: &str) -> Result<TcpStream, Cause> {
    shared.config.connect.connect(target).await.map_err(Cause::Connect)
}

async fn through(shared: &Shared, way: &Way, proxy: &Proxy) -> Result<Transport, Cause> {
    let transport = Transport::new(tcp(shared, &proxy.address()).await?.into());
    let transport = match proxy.kind {
        #[cfg(feature = "tls")]
        Kind::Https => {
            let tls = tls(&shared.proxy_tls, shared.config.proxy_tls.as_ref()).await?;
            transport.begin_tls(&tls, TlsPeer::Proxy(&proxy.host)).await?
        }
        Kind::Http => transport,
        Kind::Socks5 { remote_names } => {
            let resolver = (!remote_names).then_some(&shared.config.connect.resolver);
            return socks::open(transport, proxy, way, resolver).await;
        }
    };
    if way.secure { tunnel::open(transport, proxy, way, &shared.config).await } else { Ok(transport) }
}

/// A configuration of this core's, once it was needed.
#[cfg(feature = "tls")]
pub(super) type TlsForCore = std::cell::OnceCell<crate::tls::ClientConfig>;

/// How this client speaks TLS; the roots of the system are read when they are first needed, off the core.
#[cfg(feature = "tls")]
async fn tls(
    known: &TlsForCore,
    wanted: Option<&crate::tls::ClientConfig>,
) -> Result<crate::tls::ClientConfig, Cause> {
    if let Some(tls) = known.get() {
        return Ok(tls.clone());
    }
    let config = match wanted {
        Some(config) => config.clone(),
        None => match covet_runtime::spawn_blocking(crate::tls::ClientConfig::usual).await {
            Ok(config) => config?,
            Err(error) => return Err(Cause::Io(error.into())),
        },
    };
    Ok(known.get_or_init(|| config.for_core()).clone())
}
