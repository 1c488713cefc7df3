use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::attempt::Attempt;
use super::error::{AttemptError, Cause};
use super::options::ConnectOptions;
use crate::cores::context::{self, CoreState};
use crate::net::TcpStream;
use crate::time::{Sleep, sleep_until};

/// The bounds of RFC 8305, section 8.
const DELAYS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(2));

/// Connects to the first address that answers.
pub(super) async fn race(
    options: &ConnectOptions,
    addresses: VecDeque<SocketAddr>,
    begun: Instant,
) -> Result<TcpStream, Cause> {
    let limit = options.timeout.and_then(|limit| begun.checked_add(limit));
    let mut race = Race {
        core: context::expect_current("connecting"),
        options,
        delay: options.attempt_delay.clamp(DELAYS.0, DELAYS.1),
        alone: addresses.len() == 1,
        untried: addresses,
        running: Vec::new(),
        failures: Vec::new(),
        next: None,
        limit: limit.map(sleep_until),
    };
    poll_fn(|cx| race.poll(cx)).await
}

struct Race<'a> {
    core: Rc<CoreState>,
    options: &'a ConnectOptions,
    delay: Duration,
    alone: bool,
    untried: VecDeque<SocketAddr>,
    running: Vec<(SocketAddr, Attempt)>,
    failures: Vec<AttemptError>,
    /// When the next address is tried whatever the others do.
    next: Option<Sleep>,
    limit: Option<Sleep>,
}

impl Race<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<TcpStream, Cause>> {
        loop {
            let failed_before = self.failures.len();
            if let Some(stream) = self.poll_running(cx) {
                return Poll::Ready(Ok(stream));
            }
            if self.limit.as_mut().is_some_and(|limit| Pin::new(limit).poll(cx).is_ready()) {
                return Poll::Ready(Err(self.time_is_up()));
            }
            if self.untried.is_empty() && self.running.is_empty() {
                let failures = std::mem::take(&mut self.failures);
                return Poll::Ready(Err(Cause::Attempts { failures, timed_out: None, untried: 0 }));
            }
            let due = self.next.as_mut().is_none_or(|next| Pin::new(next).poll(cx).is_ready());
            if !due && self.failures.len() == failed_before || self.untried.is_empty() {
                return Poll::Pending;
            }
            self.start_next();
        }
    }

    /// Polls all attempts; those that failed leave.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> Option<TcpStream> {
        let mut index = 0;
        while let Some((address, attempt)) = self.running.get_mut(index) {
            match Pin::new(attempt).poll(cx) {
                Poll::Pending => index += 1,
                Poll::Ready(Ok(stream)) => return Some(stream),
                Poll::Ready(Err(error)) => {
                    self.failures.push(AttemptError { address: *address, error });
                    self.running.remove(index);
                }
            }
        }
        None
    }

    fn start_next(&mut self) {
        let Some(address) = self.untried.pop_front() else { return };
        let started = self
            .options
            .socket(address, self.alone)
            .and_then(|socket| Attempt::start(&self.core, socket, address));
        match started {
            Ok(attempt) => {
                self.running.push((address, attempt));
                let due = self.core.clock.now() + self.delay;
                match &mut self.next {
                    Some(next) => next.reset(due),
                    None => self.next = Some(sleep_until(due)),
                }
            }
            Err(error) => {
                self.failures.push(AttemptError { address, error });
                // Nothing to wait for: the next one may start at once.
                self.next = None;
            }
        }
    }

    fn time_is_up(&mut self) -> Cause {
        let mut failures = std::mem::take(&mut self.failures);
        failures.extend(self.running.drain(..).map(|(address, _)| {
            let error = io::Error::new(io::ErrorKind::TimedOut, "no answer");
            AttemptError { address, error }
        }));
        Cause::Attempts { failures, timed_out: self.options.timeout, untried: self.untried.len() }
    }
}
