//! SOCKS5 (RFC 1928), with user and password (RFC 1929).

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use covet_runtime::net::{Resolver, StreamSocket};

use super::origin::Way;
use super::proxy::Proxy;
use super::transport::Transport;
use super::{Cause, ProxyError};

/// Has the proxy connect to where this way leads; with a resolver, to its address.
pub(super) async fn open(
    transport: Transport,
    proxy: &Proxy,
    way: &Way,
    resolver: Option<&Resolver>,
) -> Result<Transport, Cause> {
    let target = format!("{}:{}", way.host, way.port);
    let refused = |problem: &str| {
        Cause::Proxy(ProxyError::Socks {
            proxy: proxy.address(),
            target: target.clone(),
            problem: problem.to_owned(),
        })
    };
    let mut talk = Talk { socket: transport.socket(), received: Vec::new() };

    let methods: &[u8] = if proxy.user.is_some() { &[5, 2, 0, 2] } else { &[5, 1, 0] };
    talk.send(methods.to_vec()).await?;
    match (talk.take::<2>().await?, &proxy.user) {
        ([5, 0], _) => {}
        ([5, 2], Some((user, password))) => {
            let message = credentials(user, password)
                .ok_or_else(|| refused("user or password is longer than 255 bytes"))?;
            talk.send(message).await?;
            if talk.take::<2>().await?[1] != 0 {
                return Err(refused("user or password is wrong"));
            }
        }
        ([5, _], _) => return Err(refused("it wants a way of authentication that it was not offered")),
        _ => return Err(refused("it does not speak SOCKS5")),
    }

    let mut request = vec![5, 1, 0];
    request.extend(address(way, &target, resolver).await.map_err(|problem| refused(&problem))?);
    request.extend_from_slice(&way.port.to_be_bytes());
    talk.send(request).await?;
    let [version, reply, _, kind] = talk.take::<4>().await?;
    if version != 5 {
        return Err(refused("it does not speak SOCKS5"));
    }
    if reply != 0 {
        return Err(refused(meaning(reply)));
    }
    // The address that it connects from is of no interest.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(talk.take::<1>().await?[0]),
        _ => return Err(refused("its reply has an address of no known kind")),
    };
    talk.skip(length + 2).await?;
    if !talk.received.is_empty() {
        return Err(ProxyError::Unasked { proxy: proxy.address() }.into());
    }
    Ok(transport)
}

struct Talk<'a> {
    socket: &'a StreamSocket,
    received: Vec<u8>,
}

impl Talk<'_> {
    async fn send(&self, bytes: Vec<u8>) -> Result<(), Cause> {
        self.socket.write_all(bytes).await.0.map_err(Cause::Io)
    }

    async fn fill(&mut self, count: usize) -> Result<(), Cause> {
        while self.received.len() < count {
            let received = self.socket.recv().await.map_err(Cause::Io)?;
            if received.is_empty() {
                let text = "the SOCKS5 proxy closed it before it had connected";
                return Err(Cause::Io(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
            }
            self.received.extend_from_slice(&received);
        }
        Ok(())
    }

    async fn take<const N: usize>(&mut self) -> Result<[u8; N], Cause> {
        self.fill(N).await?;
        let mut taken = [0; N];
        taken.copy_from_slice(&self.received[..N]);
        self.received.drain(..N);
        Ok(taken)
    }

    async fn skip(&mut self, count: usize) -> Result<(), Cause> {
        self.fill(count).await?;
        self.received.drain(..count);
        Ok(())
    }
}

fn credentials(user: &str, password: &str) -> Option<Vec<u8>> {
    let mut message = vec![1];
    for text in [user, password] {
        message.push(u8::try_from(text.len()).ok()?);
        message.extend_from_slice(text.as_bytes());
    }
    Some(message)
}

/// The kind of address, and the address.
async fn address(way: &Way, target: &str, resolver: Option<&Resolver>) -> Result<Vec<u8>, String> {
    let bare = way.host.trim_start_matches('[').trim_end_matches(']');
    let mut known = bare.parse::<IpAddr>().ok();
    if let (None, Some(resolver)) = (known, resolver) {
        let found = resolver.lookup(target).await.map_err(|error| error.to_string())?;
        known = found.first().map(|address| address.ip());
    }
    let mut message = Vec::new();
    match known {
        Some(IpAddr::V4(address)) => {
            message.push(1);
            message.extend_from_slice(&address.octets());
        }
        Some(IpAddr::V6(address)) => {
            message.push(4);
            message.extend_from_slice(&Ipv6Addr::octets(&address));
        }
        None => {
            let length =
                u8::try_from(bare.len()).map_err(|_| "the name is longer than 255 bytes".to_owned())?;
            message.extend_from_slice(&[3, length]);
            message.extend_from_slice(bare.as_bytes());
        }
    }
    Ok(message)
}

fn meaning(reply: u8) -> &'static str {
    match reply {
        1 => "it failed",
        2 => "its rules forbid it",
        3 => "the network is unreachable",
        4 => "the host is unreachable",
        5 => "the host refused the connection",
        6 => "the time to live has expired",
        7 => "it does not know the command",
        8 => "it does not know this kind of address",
        _ => "it gave a reason that RFC 1928 does not have",
    }
}
