//! From a request to its answer: connections, retries and redirects.

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use covet_runtime::buf::PoolBuf;
use covet_runtime::time;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HOST, PROXY_AUTHORIZATION, RANGE};
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::body::IncomingBody;
use super::exchange::{Event, Exchange, Outgoing};
use super::origin::Way;
use super::payload::Payload;
use super::url::{absolute_form, authority, origin_form, shown};
use super::{Cause, Error, Phase, RedirectError, Response, Shared, connect, proxy, redirect};
use crate::h1::{ReceivedHead, RequestHead, ResponseError};
use crate::{Body, BodySource};

/// A request, ready to be sent.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) fields: HeaderMap,
    pub(super) payload: Payload,
    pub(super) expects_continue: bool,
    pub(super) total: Option<Duration>,
    pub(super) unix_socket: Option<Rc<Path>>,
}

type Deadline = Option<(Instant, Duration)>;

impl Request {
    pub(super) fn error(&self, phase: Phase, cause: impl Into<Cause>) -> Error {
        Error::new(self.method.clone(), Some(shown(&self.url)), phase, cause)
    }
}

/// Sends a request, and follows where the answer leads.
pub(super) async fn send(shared: &Rc<Shared>, mut request: Request) -> Result<Response, Error> {
    let Some(total) = request.total.or(shared.config.timeouts.total) else {
        return follow(shared, &mut request, None).await;
    };
    let now = Instant::now();
    let at = now.checked_add(total).unwrap_or(now + Duration::from_secs(365 * 86_400));
    match time::timeout_at(at, follow(shared, &mut request, Some((at, total)))).await {
        Ok(outcome) => outcome,
        Err(_) => {
            Err(request.error(Phase::Head, Cause::Timeout { what: "the whole exchange", limit: total }))
        }
    }
}

async fn follow(shared: &Rc<Shared>, request: &mut Request, deadline: Deadline) -> Result<Response, Error> {
    let decodes = complete(shared, request);
    let policy = &shared.config.redirects;
    let mut seen = Vec::new();
    loop {
        let answer = ask(shared, request, deadline).await?;
        let next = redirect::next(policy, &request.method, &request.url, answer.status, &answer.head.fields)
            .map_err(|error| request.error(Phase::Redirect, error))?;
        let Some(next) = next else { return Ok(answer.into_response(shared, request, decodes)) };
        seen.push((request.method.clone(), request.url.clone()));
        let refused = if seen.len() > policy.limit {
            Some(RedirectError::TooMany { limit: policy.limit })
        } else if seen.iter().any(|(method, url)| *method == next.method && *url == next.url) {
            Some(RedirectError::Loop { url: shown(&next.url) })
        } else if next.keeps_body && !request.payload.is_there() {
            Some(RedirectError::Body(answer.status))
        } else {
            None
        };
        if let Some(error) = refused {
            return Err(request.error(Phase::Redirect, error));
        }
        answer.discard(shared).await;
        if !redirect::same_origin(&request.url, &next.url) {
            redirect::drop_credentials(&mut request.fields);
        }
        if !next.keeps_body {
            redirect::drop_content_fields(&mut request.fields);
            request.payload = Payload::of(Body::empty());
            request.expects_continue = false;
        }
        (request.method, request.url) = (next.method, next.url);
    }
}

/// Adds the fields that the client has for all requests. Returns whether content codings are to be undone.
fn complete(shared: &Shared, request: &mut Request) -> bool {
    let fields = &mut request.fields;
    for (name, value) in &shared.config.fields {
        if !fields.contains_key(name) {
            fields.insert(name.clone(), value.clone());
        }
    }
    // Proxies know their credentials by themselves; a server has no use for them.
    fields.remove(PROXY_AUTHORIZATION);
    let (user, password) = (request.url.username(), request.url.password());
    if (!user.is_empty() || password.is_some()) && !fields.contains_key(AUTHORIZATION) {
        let (user, password) = (proxy::decode(user), proxy::decode(password.unwrap_or_default()));
        if let Some(value) = proxy::basic(&user, &password) {
            fields.insert(AUTHORIZATION, value);
        }
    }
    // Both fail only for URLs without a host, and this one has one.
    let _ = (request.url.set_username(""), request.url.set_password(None));
    match &shared.config.decoder {
        Some(decoder) if !fields.contains_key(ACCEPT_ENCODING) && !fields.contains_key(RANGE) => {
            fields.insert(ACCEPT_ENCODING, decoder.accept_encoding());
            true
        }
        _ => false,
    }
}

/// An answer whose body is still on its connection.
struct Answer {
    head: ReceivedHead,
    status: StatusCode,
    exchange: Exchange,
    way: Way,
    reused: bool,
}

/// Sends the request once, or twice where a kept connection turns out to be dead, or 100-continue unknown.
async fn ask(shared: &Rc<Shared>, request: &mut Request, deadline: Deadline) -> Result<Answer, Error> {
    let unix_socket = request.unix_socket.clone().or_else(|| shared.config.unix_socket.clone());
    let proxy = match unix_socket {
        Some(_) => None,
        None => shared.config.proxies.proxy_for(&request.url).cloned(),
    };
    let way = Way::to(&request.url, proxy, unix_socket);
    let mut may_reuse = true;
    loop {
        let kept = if may_reuse { shared.pool.take(&way) } else { None };
        let reused = kept.is_some();
        let transport = match kept {
            Some(transport) => transport,
            None => match connect::open(shared, &way).await {
                Ok(transport) => transport,
                Err(cause) => return Err(request.error(Phase::Connect, cause)),
            },
        };
        let again = request.payload.is_fixed();
        let outgoing = encode(request, &way).map_err(|cause| request.error(Phase::Prepare, cause))?;
        let mut exchange = Exchange::begin(transport, outgoing, &shared.config, deadline);
        match exchange.head().await {
            Ok(head) => {
                let status = StatusCode::from_u16(head.status).unwrap_or_default();
                if status == StatusCode::EXPECTATION_FAILED && request.expects_continue && again {
                    request.expects_continue = false;
                    continue;
                }
                return Ok(Answer { head, status, exchange, way, reused });
            }
            // The server may have closed it while the request was on its way (RFC 9112 section 9.3.1).
            Err(cause)
                if reused
                    && again
                    && request.method.is_idempotent()
                    && !exchange.is_answered()
                    && matches!(cause, Cause::Io(_) | Cause::Response(ResponseError::NoResponse)) =>
            {
                tracing::debug!(url = %shown(&request.url), %cause, "a kept connection was dead; trying a new one");
                may_reuse = false;
            }
            Err(cause) => return Err(request.error(Phase::Head, cause)),
        }
    }
}

fn encode(request: &mut Request, way: &Way) -> Result<Outgoing, Cause> {
    if request.method == Method::CONNECT {
        let problem = "CONNECT makes tunnels through proxies: see client::Proxies".to_owned();
        return Err(Cause::Url { text: shown(&request.url), problem });
    }
    let framing = request.payload.framing(&request.method);
    let host = match request.fields.get(HOST) {
        Some(host) => String::from_utf8_lossy(host.as_bytes()).into_owned(),
        None => authority(&request.url).to_owned(),
    };
    let mut credentials = None;
    let target = match way.is_forwarded() {
        false => origin_form(&request.url).to_owned(),
        true => {
            credentials = way.proxy.as_ref().and_then(|proxy| proxy.authorization());
            absolute_form(&request.url)
        }
    };
    if let Some(value) = credentials {
        request.fields.insert(PROXY_AUTHORIZATION, value);
    }
    let head = RequestHead {
        method: &request.method,
        target: &target,
        host: &host,
        fields: &request.fields,
        framing,
        expects_continue: request.expects_continue,
        close: false,
    };
    let mut bytes = PoolBuf::take();
    let closes = head.closes();
    let encoded = head.encode(&mut bytes);
    request.fields.remove(PROXY_AUTHORIZATION);
    encoded?;
    Ok(Outgoing {
        head: bytes,
        method: request.method.clone(),
        framing,
        body: request.payload.take(),
        waits: request.expects_continue,
        closes,
    })
}

impl Answer {
    fn into_response(mut self, shared: &Rc<Shared>, request: &Request, decodes: bool) -> Response {
        #[cfg(feature = "tls")]
        let tls = self.exchange.tls();
        let framing = self.head.framing;
        self.exchange.hold();
        let length = self.exchange.remaining();
        let source =
            IncomingBody::new(self.exchange, shared.pool.clone(), self.way, shared.config.limits.discarded);
        let mut body = match length {
            // Its end is known, so the connection goes back at once.
            Some(0) => {
                source.finish_empty();
                Body::empty()
            }
            length => Body::incoming(Rc::new(source), length),
        };
        let mut fields = self.head.fields;
        if let (true, Some(decoder), Some(coding)) =
            (decodes && length != Some(0), &shared.config.decoder, fields.get(CONTENT_ENCODING))
        {
            match decoder.decode(coding, body) {
                Ok(decoded) => {
                    body = decoded;
                    fields.remove(CONTENT_ENCODING);
                    fields.remove(http::header::CONTENT_LENGTH);
                }
                Err(same) => body = same,
            }
        }
        Response {
            method: request.method.clone(),
            url: request.url.clone(),
            status: self.status,
            version: self.head.version,
            fields,
            body,
            framing,
            reused: self.reused,
            collected: shared.config.limits.collected,
            #[cfg(feature = "tls")]
            tls,
        }
    }

    /// Reads a body that nobody wants to its end, if that is near.
    async fn discard(mut self, shared: &Shared) {
        let mut left = shared.config.limits.discarded as u64;
        if self.exchange.remaining().is_some_and(|remaining| remaining > left) {
            return;
        }
        loop {
            match std::future::poll_fn(|cx| self.exchange.poll_event(cx)).await {
                Ok(Event::Data(bytes)) if bytes.len() as u64 <= left => left -= bytes.len() as u64,
                Ok(Event::End(_)) => break,
                _ => return,
            }
        }
        if let Some(transport) = self.exchange.into_transport() {
            shared.pool.put(self.way, transport);
        }
    }
}

impl IncomingBody {
    fn finish_empty(&self) {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        // Ready at once: nothing is missing but that somebody asks.
        let _ = self.poll_chunk(&mut cx);
    }
}
