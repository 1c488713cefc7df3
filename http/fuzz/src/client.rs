//! The whole client over real sockets: of each answer it tells what the codec by itself makes of the same bytes, however
//! they arrive, and no connection is used again that is not at the end of an answer.
//!
//! NUL separates the answers. The number says how each request is made: two bits for each, one for HEAD, and one for
//! dropping the answer before its content is read.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use covet_http::client::{self, Cause, Client, Phase, Redirects};
use covet_http::h1::{ResponseDecoder, ResponseError};
use covet_http::{HeaderMap, Method, Version};

use crate::exchanges::{Seen, limits};
use crate::{Signature, signature, splits};

const MOST: usize = 4;
/// No wait is as long as this but one for something that never comes.
const LONG: Duration = Duration::from_secs(60);

/// What the server says to each request, which its path numbers.
#[derive(Clone, Default)]
struct Script {
    answers: Vec<Answer>,
}

#[derive(Clone)]
struct Answer {
    pieces: Vec<Vec<u8>>,
    /// The connection is kept behind it.
    is_kept: bool,
}

/// A request, and what its client must be told of the answer.
#[derive(Clone)]
struct Expected {
    method: Method,
    /// The content is not asked for.
    is_dropped: bool,
    seen: Seen,
    /// Nothing is behind it.
    is_all: bool,
}

/// What a client was told of an answer.
#[derive(Debug, PartialEq)]
enum Told {
    Answer(u16, Version, HeaderMap, Option<Content>),
    NoAnswer(ResponseError),
    Other(String),
}

type Content = Result<(Vec<u8>, Option<HeaderMap>), ()>;

impl Expected {
    fn told(&self) -> Told {
        let Seen { head, content, end, .. } = &self.seen;
        match (head, end) {
            (Some(head), Some(end)) => {
                let content = end.clone().map(|trailers| (content.clone(), trailers)).map_err(|_| ());
                let content = (!self.is_dropped).then_some(content);
                Told::Answer(head.status, head.version, head.fields.clone(), content)
            }
            (None, Some(Err(error))) => Told::NoAnswer(*error),
            other => panic!("{other:?} is no end"),
        }
    }

    fn keeps_connection(&self) -> bool {
        self.is_all && self.seen.keeps_alive()
    }
}

/// Reads requests and answers them as the script of the moment says.
fn serve(mut stream: TcpStream, script: &Script) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LONG))?;
    let mut unread = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            let mut buffer = [0; 1024];
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            unread.extend_from_slice(&buffer[..count]);
        };
        let request: Vec<u8> = unread.drain(..end).collect();
        let number = request.split(|&byte| byte == b'/').nth(1).and_then(|rest| rest.first());
        let number = usize::from(number.copied().unwrap_or(b'0').wrapping_sub(b'0'));
        let Some(answer) = script.answers.get(number) else { return Ok(()) };
        answer.pieces.iter().try_for_each(|piece| stream.write_all(piece))?;
        if !answer.is_kept {
            stream.shutdown(Shutdown::Write)?;
            return std::io::copy(&mut stream, &mut std::io::sink()).map(drop);
        }
    }
}

static SCRIPT: Mutex<Option<Arc<Script>>> = Mutex::new(None);

/// Starts the server at the first call; it ends with the process.
fn address() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let script = SCRIPT.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // It ends with an error where the client has given up.
                thread::spawn(move || serve(stream, &script.unwrap_or_default()));
            }
        });
        address
    })
}

type Requests = Vec<(Method, bool)>;

/// Makes requests on the core of the client, which it starts at the first call. A flag says that the answer came on a
/// connection that was used before.
fn request(requests: Requests) -> Vec<(Told, bool)> {
    type Job = (Requests, mpsc::Sender<Vec<(Told, bool)>>);
    static JOBS: OnceLock<Mutex<mpsc::Sender<Job>>> = OnceLock::new();
    let jobs = JOBS.get_or_init(|| {
        let (send, receive) = mpsc::channel::<Job>();
        thread::spawn(move || {
            covet_runtime::block_on(async move {
                // Between inputs the core has nothing else to do.
                while let Ok((requests, back)) = receive.recv() {
                    let _ = back.send(make(requests).await);
                }
            })
        });
        Mutex::new(send)
    });
    let (send, receive) = mpsc::channel();
    jobs.lock().unwrap_or_else(PoisonError::into_inner).send((requests, send)).expect("the client runs");
    receive.recv_timeout(4 * LONG).expect("the client comes to an end")
}

async fn make(requests: Requests) -> Vec<(Told, bool)> {
    let of_codec = limits();
    let client = Client::builder()
        .redirects(Redirects::none())
        .limits(client::Limits {
            head: of_codec.head,
            fields: of_codec.fields,
            chunk_line: of_codec.chunk_line,
            chunk_extensions: of_codec.chunk_extensions,
            trailers: of_codec.trailers,
            ..client::Limits::default()
        })
        .build();
    let mut told = Vec::new();
    for (number, (method, is_dropped)) in requests.into_iter().enumerate() {
        let url = format!("http://{}/{number}", address());
        told.push(match client.request(method, url).send().await {
            Ok(mut response) => {
                let reused = response.is_on_reused_connection();
                let head = (response.status().as_u16(), response.version(), response.headers().clone());
                let content = if is_dropped { None } else { Some(read(&mut response).await) };
                (Told::Answer(head.0, head.1, head.2, content), reused)
            }
            Err(error) => match error.cause() {
                Cause::Response(cause) if error.phase() == Phase::Head => (Told::NoAnswer(*cause), false),
                _ => (Told::Other(error.to_string()), false),
            },
        });
    }
    told
}

async fn read(response: &mut client::Response) -> Content {
    let mut content = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(piece)) => content.extend_from_slice(&piece),
            Ok(None) => return Ok((content, response.take_trailers())),
            Err(_) => return Err(()),
        }
    }
}

/// What the codec makes of the answers, up to the first that leaves it open what is on the connection.
fn expect(input: &[u8]) -> Vec<(Expected, &[u8])> {
    let (how, bytes) = splits::parts(input);
    let mut expected = Vec::new();
    for (number, answer) in bytes.splitn(MOST, |&byte| byte == 0).enumerate() {
        let method = if how >> (2 * number) & 1 == 0 { Method::GET } else { Method::HEAD };
        let is_dropped = how >> (2 * number) & 2 != 0;
        let mut decoder = ResponseDecoder::new(method.clone(), &limits());
        let mut seen = Seen::default();
        let used = seen.feed(&mut decoder, answer);
        let is_all = used == answer.len() && seen.end.is_some();
        seen.finish(&mut decoder);
        let is_open = matches!(seen.end, Some(Ok(_))) && used < answer.len();
        expected.push((Expected { method, is_dropped, seen, is_all }, answer));
        if is_open {
            break;
        }
    }
    expected
}

fn converse(expected: &[(Expected, &[u8])], split: impl Fn(&[u8]) -> Vec<Vec<u8>>) {
    let answers = expected
        .iter()
        .map(|(expected, answer)| Answer { pieces: split(answer), is_kept: expected.keeps_connection() })
        .collect();
    *SCRIPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(Script { answers }));
    let requests = expected.iter().map(|(expected, _)| (expected.method.clone(), expected.is_dropped));
    let mut is_kept = false;
    let mut told = request(requests.collect()).into_iter();
    for (expected, answer) in expected {
        let (told, reused) = told.next().expect("each request is answered");
        assert_eq!(told, expected.told(), "{}", answer.escape_ascii());
        assert!(!reused || is_kept, "a connection is used again that is not at the end of an answer");
        is_kept = expected.keeps_connection();
    }
}

pub fn check(input: &[u8]) -> Signature {
    let (seed, _) = splits::parts(input);
    let expected = expect(input);
    converse(&expected, |answer| vec![answer.to_vec()]);
    converse(&expected, |answer| {
        let input = [&seed.to_le_bytes(), answer].concat();
        splits::pieces(&input).into_iter().map(<[u8]>::to_vec).collect()
    });
    signature(format!(
        "{:?}",
        expected
            .iter()
            .map(|(expected, _)| {
                let told = match expected.told() {
                    Told::Answer(status, _, _, content) => {
                        (status / 100, content.map(|content| content.is_ok()))
                    }
                    _ => (0, None),
                };
                (told, expected.keeps_connection())
            })
            .collect::<Vec<_>>()
    ))
}
