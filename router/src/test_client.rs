//! A client that calls a service directly, for tests: no socket, no runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use bytes::Bytes;
use covet_http::{
    Body, HeaderMap, HeaderName, HeaderValue, Method, Request, RequestBuilder, Service, StatusCode,
};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long [`TestRequest::send`] waits for a handler that is waiting itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends requests to a [`Service`], such as a [`Router`](crate::Router), in process.
///
/// [`TestRequest::send`] polls the service on the calling thread and needs no runtime. Handlers that
/// use the runtime (sockets, timers, spawned tasks) need [`TestRequest::send_async`] inside
/// `covet_runtime::block_on`.
///
/// Its methods panic where a test should fail: on a request that cannot be built, on a body that
/// breaks off.
///
/// ```
/// use covet_router::{Router, test_client::TestClient};
///
/// let client = TestClient::new(Router::new().post("/echo", async |text: String| text));
/// let answer = client.post("/echo").body("hello").send();
/// assert_eq!(answer.status(), 200);
/// assert_eq!(answer.text(), "hello");
/// ```
#[derive(Debug, Clone)]
pub struct TestClient<T> {
    service: T,
}

impl<T: Service> TestClient<T> {
    /// A client of `service`.
    pub fn new(service: T) -> Self {
        Self { service }
    }

    /// A request with any method; the target is a path with an optional query.
    pub fn request(&self, method: Method, target: &str) -> TestRequest<'_, T> {
        TestRequest { service: &self.service, builder: Request::builder(method, target), body: Body::empty() }
    }

    /// A GET request.
    pub fn get(&self, target: &str) -> TestRequest<'_, T> {
        self.request(Method::GET, target)
    }

    /// A POST request.
    pub fn post(&self, target: &str) -> TestRequest<'_, T> {
        self.request(Method::POST, target)
    }

    /// A PUT request.
    pub fn put(&self, target: &str) -> TestRequest<'_, T> {
        self.request(Method::PUT, target)
    }

    /// A PATCH request.
    pub fn patch(&self, target: &str) -> TestRequest<'_, T> {
        self.request(Method::PATCH, target)
    }

    /// A DELETE request.
    pub fn delete(&self, target: &str) -> TestRequest<'_, T> {
        self.request(Method::DELETE, target)
    }

    /// A HEAD request.
    pub fn head(&self, target: &str) -> TestRequest<'_, T> {
        self.request(Method::HEAD, target)
    }

    /// An OPTIONS request.
    pub fn options(&self, target: &str) -> TestRequest<'_, T> {
        self.request(Method::OPTIONS, target)
    }
}

/// A request to be sent by a [`TestClient`].
#[must_use = "a request does nothing until it is sent"]
#[derive(Debug)]
pub struct TestRequest<'c, T> {
    service: &'c T,
    builder: RequestBuilder,
    body: Body,
}

impl<T: Service> TestRequest<'_, T> {
    /// Adds a field.
    pub fn header<K, V>(mut self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        HeaderValue: TryFrom<V>,
    {
        self.builder = self.builder.header(name, value);
        self
    }

    /// Sets the body, without a content type.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to `value` as JSON, with its content type.
    ///
    /// # Panics
    /// If the value cannot be serialised.
    pub fn json<V: Serialize + ?Sized>(self, value: &V) -> Self {
        let bytes = serde_json::to_vec(value).expect("a JSON body for a test can be serialised");
        self.header(CONTENT_TYPE, "application/json").body(bytes)
    }

    /// Attaches a value to the extensions of the request.
    pub fn extension<V: Clone + Send + Sync + 'static>(mut self, value: V) -> Self {
        self.builder = self.builder.extension(value);
        self
    }

    /// Sends the request and waits for the whole answer.
    ///
    /// # Panics
    /// If the request cannot be built, if the body of the answer fails, or if the handler waits for
    /// 10 seconds without being woken, as it does for the runtime.
    pub fn send(self) -> TestResponse {
        drive(self.send_async())
    }

    /// Sends the request and gives the whole answer.
    ///
    /// # Panics
    /// If the request cannot be built, or if the body of the answer fails.
    pub async fn send_async(self) -> TestResponse {
        let request = self.builder.body(self.body).unwrap_or_else(|error| panic!("not a request: {error}"));
        let to_head = request.method() == Method::HEAD;
        let response = self.service.call(request).await;
        let (mut parts, mut body) = http::Response::from(response).into_parts();
        let bodiless = parts.status.is_informational() || parts.status == StatusCode::NO_CONTENT;
        if let Some(length) = body.exact_length().filter(|_| !bodiless) {
            parts.headers.insert(CONTENT_LENGTH, length.into());
        }
        let body = match to_head {
            true => Bytes::new(),
            false => {
                body.collect(usize::MAX).await.unwrap_or_else(|error| panic!("the answer broke off: {error}"))
            }
        };
        TestResponse { status: parts.status, headers: parts.headers, body }
    }
}

/// An answer, as a client would get it: the body of an answer to HEAD is left out, and the
/// Content-Length is there where the length of the body is known.
#[derive(Debug, Clone)]
pub struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl TestResponse {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The first field of this name; `None` if it is not there.
    ///
    /// # Panics
    /// If its value is not visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("the field is visible ASCII"))
    }

    /// The body.
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body, deserialised from JSON.
    ///
    /// # Panics
    /// If it is not JSON of this type.
    pub fn json<V: DeserializeOwned>(&self) -> V {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not the expected JSON: {error}"))
    }
}

/// Wakes the thread that drives a future.
struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

fn drive<F: Future>(future: F) -> F::Output {
    let unpark = Arc::new(Unpark { thread: thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(unpark.clone());
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        let since = Instant::now();
        while !unpark.woken.swap(false, Ordering::Acquire) {
            let left = PATIENCE.saturating_sub(since.elapsed());
            assert!(
                !left.is_zero(),
                "the handler waits for what only a runtime gives; use send_async inside one"
            );
            thread::park_timeout(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[test]
    fn a_future_that_wakes_itself_is_polled_again() {
        let mut left = 3;
        let countdown = poll_fn(move |cx| {
            left -= 1;
            cx.waker().wake_by_ref();
            if left == 0 { Poll::Ready("done") } else { Poll::Pending }
        });
        assert_eq!(drive(countdown), "done");
    }

    #[test]
    fn another_thread_may_wake() {
        let done = Arc::new(AtomicBool::new(false));
        let mut started = false;
        let waiting = poll_fn(|cx| {
            if done.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            assert!(!std::mem::replace(&mut started, true), "polled again although nothing woke it");
            let (done, waker) = (done.clone(), cx.waker().clone());
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                done.store(true, Ordering::Release);
                waker.wake();
            });
            Poll::Pending
        });
        drive(waiting);
    }
}
