//! Tunnels through an HTTP proxy (CONNECT, RFC 9110 section 9.3.6).

use covet_runtime::buf::PoolBuf;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};

use super::config::Config;
use super::exchange::{Exchange, Outgoing};
use super::origin::Way;
use super::proxy::Proxy;
use super::transport::Transport;
use super::{Cause, ProxyError};
use crate::Body;
use crate::h1::{RequestFraming, RequestHead};

/// Asks the proxy for a tunnel to where this way leads.
pub(super) async fn open(
    transport: Transport,
    proxy: &Proxy,
    way: &Way,
    config: &Config,
) -> Result<Transport, Cause> {
    let target = format!("{}:{}", way.host, way.port);
    let mut fields = HeaderMap::new();
    if let Some(value) = proxy.authorization() {
        fields.insert(PROXY_AUTHORIZATION, value);
    }
    let mut head = PoolBuf::take();
    RequestHead {
        method: &Method::CONNECT,
        target: &target,
        host: &target,
        fields: &fields,
        framing: RequestFraming::None,
        expects_continue: false,
        close: false,
    }
    .encode(&mut head)?;
    let outgoing = Outgoing {
        head,
        method: Method::CONNECT,
        framing: RequestFraming::None,
        body: Body::empty(),
        waits: false,
        closes: false,
    };
    let mut exchange = Exchange::begin(transport, outgoing, config, None);
    let answer = exchange.head().await?;
    let proxy = proxy.address();
    match StatusCode::from_u16(answer.status) {
        Ok(status) if status.is_success() => {
            exchange.into_tunnel().ok_or_else(|| ProxyError::Unasked { proxy }.into())
        }
        status => Err(ProxyError::Refused { proxy, target, status: status.unwrap_or_default() }.into()),
    }
}
