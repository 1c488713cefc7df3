//! A chat server on all cores: `cargo run -p covet-runtime --example chat -- 127.0.0.1:7007`, then
//! `nc 127.0.0.1 7007` a few times.
//!
//! Every core accepts connections and knows only its own users. What a user says goes into the bounded mailbox of each
//! core, which passes it on to the users there. A core that cannot keep up holds back those who talk; a user who does
//! not read is shown out and holds back nobody.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::sync::Mutex;

use bytes::Bytes;
use covet_runtime::mail::{self, Mailbox, Sender};
use covet_runtime::net::{TcpListener, TcpStream};
use covet_runtime::sync::mpsc;
use covet_runtime::{Builder, CoreSet, Runtime, shutdown, spawn, yield_now};
use socket2::{Domain, Socket, Type};

/// Lines on their way to one core.
const MAILBOX: usize = 256;
/// Lines that one user may be behind.
const BACKLOG: usize = 1024;
/// Lines passed on before the users' own tasks get a turn.
const BATCH: usize = 64;
/// Bytes of a line, its end left out.
const LONGEST_LINE: usize = 1024;

#[cfg_attr(test, allow(dead_code, reason = "tests start the parts by themselves"))]
fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".into());
    let (runtime, address) = start(address.parse()?, Runtime::builder().handle_signals(true))?;
    println!("chatting on {address}");
    runtime.join()?;
    Ok(())
}

/// Starts the server on all cores; port 0 takes a free one.
pub(crate) fn start(address: SocketAddr, builder: Builder) -> Result<(Runtime, SocketAddr), Box<dyn Error>> {
    // Bound and never listened on: it holds the port until every core listens there.
    let held = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    held.set_reuse_address(true)?;
    held.set_reuse_port(true)?;
    held.bind(&address.into())?;
    let address = held.local_addr()?.as_socket().ok_or("not an IP address")?;

    let cores = CoreSet::all();
    let count = cores.resolve()?.len();
    let (senders, mailboxes): (Vec<_>, Vec<_>) = (0..count).map(|_| mail::channel(MAILBOX)).unzip();
    let mailboxes: Vec<_> = mailboxes.into_iter().map(|mailbox| Mutex::new(Some(mailbox))).collect();
    let (listening, all_listen) = std::sync::mpsc::channel();
    let runtime = builder.cores(cores).start(move |core| {
        let mailbox = mailboxes[core.index()].lock().ok().and_then(|mut mailbox| mailbox.take());
        let (senders, listening) = (senders.clone(), listening.clone());
        async move {
            let listener = TcpListener::bind(address);
            let _ = listening.send(listener.as_ref().map(|_| ()).map_err(ToString::to_string));
            if let Ok(listener) = listener {
                serve(listener, mailbox.expect("each core starts once"), senders.into()).await;
            }
        }
    })?;
    all_listen.iter().take(count).collect::<Result<(), String>>()?;
    drop(held);
    Ok((runtime, address))
}

/// The users of one core, and the way to all.
struct Room {
    users: RefCell<HashMap<u64, User>>,
    arrived: Cell<u64>,
    cores: Rc<[Sender<Bytes>]>,
}

struct User {
    queue: mpsc::Sender<Bytes>,
    stream: Rc<TcpStream>,
}

impl User {
    /// Ends the user's reading task, and the rest with it.
    fn show_out(self) {
        spawn(async move { self.stream.shutdown(Shutdown::Read).await }).detach();
    }
}

async fn serve(listener: TcpListener, mailbox: Mailbox<Bytes>, cores: Rc<[Sender<Bytes>]>) {
    let room = Rc::new(Room { users: RefCell::default(), arrived: Cell::new(0), cores });
    let here = room.clone();
    let passing_on = spawn(async move {
        let mut lines = mailbox.bind();
        let mut passed = 0;
        while let Some(line) = lines.recv().await {
            here.pass_on(line);
            passed += 1;
            if passed % BATCH == 0 {
                yield_now().await;
            }
        }
    });
    let guests = room.clone();
    let accepting = spawn(async move {
        loop {
            match listener.accept().await {
                Ok(stream) => spawn(chat(Rc::new(stream), guests.clone())).detach(),
                Err(error) => return eprintln!("no more users are let in: {error}"),
            }
        }
    });
    shutdown::requested().await;
    accepting.cancel();
    passing_on.cancel();
    room.users.take().into_values().for_each(User::show_out);
}

impl Room {
    /// Gives a line to the users of this core; who is too far behind is shown out.
    fn pass_on(&self, line: Bytes) {
        let behind = |user: &User| user.queue.try_send(line.clone()).is_err();
        let slow: Vec<_> = self.users.borrow_mut().extract_if(|_, user| behind(user)).collect();
        slow.into_iter().for_each(|(_, user)| user.show_out());
    }

    /// Says something on every core; waits where a mailbox is full.
    async fn say(&self, line: String) {
        let line = Bytes::from(line);
        for core in &*self.cores {
            // A core that has ended has no users.
            let _ = core.send(line.clone()).await;
        }
    }
}

async fn chat(stream: Rc<TcpStream>, room: Rc<Room>) {
    let id = room.arrived.replace(room.arrived.get() + 1);
    let (queue, queued) = mpsc::bounded(BACKLOG);
    room.users.borrow_mut().insert(id, User { queue, stream: stream.clone() });
    let writing = spawn(write(stream.clone(), queued));
    let mut lines = Lines { stream, rest: Vec::new() };
    if let Ok(Some(name)) = lines.next().await {
        room.say(format!("* {name} is here\n")).await;
        while let Ok(Some(line)) = lines.next().await {
            room.say(format!("{name}: {line}\n")).await;
        }
        room.say(format!("* {name} has left\n")).await;
    }
    room.users.borrow_mut().remove(&id);
    writing.cancel();
}

/// Writes what is queued, all of it at a time.
async fn write(stream: Rc<TcpStream>, mut queued: mpsc::Receiver<Bytes>) {
    while let Some(line) = queued.recv().await {
        let mut batch = line.to_vec();
        while let Ok(line) = queued.try_recv() {
            batch.extend_from_slice(&line);
        }
        if stream.write_all(batch).await.0.is_err() {
            return;
        }
    }
}

/// Splits what a stream brings into lines.
struct Lines {
    stream: Rc<TcpStream>,
    rest: Vec<u8>,
}

impl Lines {
    /// The next line without its end; `None` when the peer has finished.
    async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                return Ok(Some(line.trim_end().to_owned()));
            }
            if self.rest.len() > LONGEST_LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without end"));
            }
            let bytes = self.stream.recv().await?;
            if bytes.is_empty() {
                return Ok(None);
            }
            self.rest.extend_from_slice(&bytes);
        }
    }
}
