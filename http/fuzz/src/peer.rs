//! hyper's server over memory, on no runtime: the whole input is there from the start, and its end behind it.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;

/// A request as hyper's service sees it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: http::Uri,
    pub(crate) version: http::Version,
    pub(crate) fields: http::HeaderMap,
    /// `None` if reading failed.
    pub(crate) content: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) requests: Vec<Seen>,
    /// What hyper makes of the connection, if it ended.
    pub(crate) ending: Result<(), String>,
    pub(crate) sent: Vec<u8>,
}

struct Memory {
    input: Vec<u8>,
    position: usize,
    sent: Rc<RefCell<Vec<u8>>>,
}

impl Read for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut room: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let count = room.remaining().min(self.input.len() - self.position);
        room.put_slice(&self.input[self.position..self.position + count]);
        self.position += count;
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.sent.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// An answer without content; 404, as 2xx to CONNECT would begin a tunnel.
struct Empty;

impl http_body::Body for Empty {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}

/// Polls that a connection over memory may take; it waits for nothing, so it needs few.
const MOST_POLLS: usize = 10_000;

/// What hyper makes of a client that sends this and then finishes sending.
pub(crate) fn converse(input: &[u8]) -> Outcome {
    let requests = Rc::new(RefCell::new(Vec::new()));
    let sent = Rc::new(RefCell::new(Vec::new()));
    let memory = Memory { input: input.to_vec(), position: 0, sent: sent.clone() };
    let service = service_fn(|request: http::Request<Incoming>| {
        let requests = requests.clone();
        async move {
            let (parts, body) = request.into_parts();
            let content = collect(body).await;
            requests.borrow_mut().push(Seen {
                method: parts.method.to_string(),
                target: parts.uri,
                version: parts.version,
                fields: parts.headers,
                content,
            });
            let mut response = http::Response::new(Empty);
            *response.status_mut() = http::StatusCode::NOT_FOUND;
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    builder.half_close(true).header_read_timeout(None).pipeline_flush(true);
    let mut ending = Err("hyper waits for ever".to_owned());
    {
        let mut connection = pin!(builder.serve_connection(memory, service));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..MOST_POLLS {
            if let Poll::Ready(outcome) = connection.as_mut().poll(&mut cx) {
                ending = outcome.map_err(|error| error.to_string());
                break;
            }
        }
    }
    let requests = requests.take();
    let sent = sent.take();
    Outcome { requests, ending, sent }
}

async fn collect(body: Incoming) -> Option<Vec<u8>> {
    let mut body = pin!(body);
    let mut content = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        if let Ok(data) = frame.ok()?.into_data() {
            content.extend_from_slice(&data);
        }
    }
    Some(content)
}
