//! The connection to a master, opened again whenever it is lost.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::zmtp::{Dealer, ZmtpError};

/// How long an attempt to connect may take, and how long the next one waits.
const CONNECTING: Duration = Duration::from_secs(1);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(300);
/// A master that takes nothing in for this long is lost.
const WRITING: Duration = Duration::from_secs(2);
/// How long the master has to take in what was sent last.
const CLOSING: Duration = Duration::from_secs(2);

/// Why there is no connection to the master.
#[derive(Debug, Error)]
pub enum LinkError {
    /// It cannot be reached.
    #[error("cannot connect to the master at {0}")]
    Connect(String, #[source] io::Error),
    /// The connection broke.
    #[error("the connection to the master broke")]
    Broken(#[source] io::Error),
    /// The master closed the connection.
    #[error("the master closed the connection")]
    Closed,
    /// It is no master.
    #[error("{0} is no master of Locust")]
    NoMaster(String, #[source] ZmtpError),
}

/// What happened to the link.
#[derive(Debug)]
pub(super) enum LinkEvent {
    /// Messages can be sent from now on.
    Connected,
    /// A message came.
    Message(Vec<u8>),
    /// There is no connection; it is tried again.
    Lost(LinkError),
}

/// The link: open, or trying to be.
#[derive(Debug)]
pub(super) struct Link {
    host: String,
    port: u16,
    identity: String,
    open: Option<Open>,
    next_attempt: Instant,
}

#[derive(Debug)]
struct Open {
    stream: TcpStream,
    dealer: Dealer,
}

impl Link {
    /// A link to a master that is to know this side by `identity`; opened by [`Link::wait`].
    pub(super) fn new(host: &str, port: u16, identity: &str) -> Self {
        let identity = identity.to_owned();
        Self { host: host.to_owned(), port, identity, open: None, next_attempt: Instant::now() }
    }

    /// Whether messages can be sent.
    pub(super) fn is_open(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.dealer.is_open())
    }

    /// Waits until something happens, for so long at most, or a little longer where a connection is tried.
    pub(super) fn wait(&mut self, limit: Duration) -> Vec<LinkEvent> {
        let happened = match &mut self.open {
            Some(open) => open.wait(limit),
            None => self.connect(limit).map(|()| Vec::new()),
        };
        happened.unwrap_or_else(|error| self.lose(error))
    }

    /// Sends messages; what a lost connection does not take is lost with it.
    pub(super) fn send(&mut self, messages: Vec<Vec<u8>>) -> Vec<LinkEvent> {
        let Some(open) = self.open.as_mut().filter(|_| !messages.is_empty()) else { return Vec::new() };
        let mut bytes = Vec::new();
        messages.iter().for_each(|message| Dealer::frame(message, &mut bytes));
        match open.stream.write_all(&bytes) {
            Ok(()) => Vec::new(),
            Err(error) => self.lose(LinkError::Broken(error)),
        }
    }

    /// Closes the connection, which is opened again by the next [`Link::wait`].
    pub(super) fn reopen(&mut self) {
        self.open = None;
        self.next_attempt = Instant::now();
    }

    /// Closes the connection once the master has what was sent.
    pub(super) fn close(self) {
        let Some(Open { mut stream, .. }) = self.open else { return };
        // To close with bytes unread would make the kernel take back what is under way.
        let end = Instant::now() + CLOSING;
        let _ = stream.shutdown(Shutdown::Write);
        let mut piece = [0; 4096];
        while Instant::now() < end {
            match stream.read(&mut piece) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {}
                Err(_) => return,
            }
        }
    }

    fn lose(&mut self, error: LinkError) -> Vec<LinkEvent> {
        self.open = None;
        self.next_attempt = Instant::now() + BETWEEN_ATTEMPTS;
        vec![LinkEvent::Lost(match error {
            LinkError::NoMaster(_, cause) => LinkError::NoMaster(self.name(), cause),
            other => other,
        })]
    }

    fn connect(&mut self, limit: Duration) -> Result<(), LinkError> {
        let rest = self.next_attempt.saturating_duration_since(Instant::now());
        if rest > limit {
            thread::sleep(limit);
            return Ok(());
        }
        thread::sleep(rest);
        let failed = |error| LinkError::Connect(self.name(), error);
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in (self.host.as_str(), self.port).to_socket_addrs().map_err(failed)? {
            match TcpStream::connect_timeout(&address, CONNECTING) {
                Ok(stream) => {
                    let dealer = Dealer::new(self.identity.as_str());
                    self.open = Some(Open::begin(stream, dealer).map_err(LinkError::Broken)?);
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl Open {
    fn begin(mut stream: TcpStream, dealer: Dealer) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITING))?;
        stream.write_all(&Dealer::greeting())?;
        Ok(Self { stream, dealer })
    }

    fn wait(&mut self, limit: Duration) -> Result<Vec<LinkEvent>, LinkError> {
        let was_open = self.dealer.is_open();
        let mut piece = [0; 16 * 1024];
        let limit = Some(limit.max(Duration::from_millis(1)));
        self.stream.set_read_timeout(limit).map_err(LinkError::Broken)?;
        let count = match self.stream.read(&mut piece) {
            Ok(0) => return Err(LinkError::Closed),
            Ok(count) => count,
            Err(error) if is_timeout(&error) => 0,
            Err(error) => return Err(LinkError::Broken(error)),
        };
        let mut answer = Vec::new();
        let messages = self
            .dealer
            .receive(&piece[..count], &mut answer)
            .map_err(|cause| LinkError::NoMaster(String::new(), cause))?;
        self.stream.write_all(&answer).map_err(LinkError::Broken)?;
        let mut events = Vec::new();
        if self.dealer.is_open() && !was_open {
            events.push(LinkEvent::Connected);
        }
        events.extend(messages.into_iter().map(LinkEvent::Message));
        Ok(events)
    }
}

/// Whether nothing came, or a signal did.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
