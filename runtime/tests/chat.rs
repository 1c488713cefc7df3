//! The chat example with real users.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and so do the helpers they share")]

#[path = "../examples/chat.rs"]
mod chat;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use covet_runtime::Runtime;
use socket2::{Domain, Socket, Type};

struct User {
    name: String,
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl User {
    fn join(address: SocketAddr, name: &str) -> User {
        User::talk(TcpStream::connect(address).unwrap(), name)
    }

    /// One whose socket takes little, so that whoever sends to it notices soon that nobody reads.
    fn join_narrowly(address: SocketAddr, name: &str) -> User {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        User::talk(socket.into(), name)
    }

    fn talk(mut stream: TcpStream, name: &str) -> User {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        writeln!(stream, "{name}").unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        let mut user = User { name: name.into(), stream, lines };
        // From here on this user hears everything.
        user.wait_for(&format!("* {name} is here"));
        user
    }

    fn say(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "{} was shown out", self.name);
        line.trim_end().to_owned()
    }

    fn wait_for(&mut self, line: &str) {
        while self.hear() != line {}
    }
}

fn start() -> (Runtime, SocketAddr) {
    chat::start(([127, 0, 0, 1], 0).into(), Runtime::builder()).unwrap()
}

#[test]
fn everybody_hears_everything_in_order_whatever_core_they_are_on() {
    let (runtime, address) = start();
    // So many that the kernel does not put all of them on one core.
    let mut users: Vec<User> = (0..12).map(|n| User::join(address, &format!("user{n}"))).collect();
    for round in 0..20 {
        users.iter_mut().for_each(|user| user.say(&format!("round {round}")));
    }
    for user in 0..users.len() {
        let mut next = vec![0; users.len()];
        while next.iter().any(|round| *round < 20) {
            let line = users[user].hear();
            let Some((name, said)) = line.split_once(": ") else { continue };
            let who: usize = name.strip_prefix("user").unwrap().parse().unwrap();
            assert_eq!(said, format!("round {}", next[who]), "from {name}");
            next[who] += 1;
        }
    }
    let gone = users.remove(0);
    drop(gone);
    users.iter_mut().for_each(|user| user.wait_for("* user0 has left"));
    runtime.shutdown(Duration::from_secs(20));
    runtime.join().unwrap();
    let mut rest = String::new();
    users[0].lines.read_to_string(&mut rest).unwrap();
}

#[test]
fn who_does_not_read_is_shown_out_and_holds_back_nobody() {
    let (runtime, address) = start();
    let mut deaf = User::join_narrowly(address, "deaf");
    let mut talker = User::join(address, "talker");
    let line = "x".repeat(1000);
    // Each line is heard before the next is said, so the talker keeps up and only the deaf one falls behind.
    'talking: for round in 0..100_000 {
        assert!(round < 99_999, "nobody was shown out");
        talker.say(&line);
        loop {
            match talker.hear() {
                heard if heard == "* deaf has left" => break 'talking,
                heard if heard.starts_with("talker: ") => break,
                _ => {}
            }
        }
    }
    deaf.lines.read_to_end(&mut Vec::new()).ok();
    drop(runtime);
}

#[test]
fn a_line_without_end_ends_the_connection() {
    let (runtime, address) = start();
    let mut user = User::join(address, "endless");
    user.stream.write_all(&[b'x'; 5000]).unwrap();
    let mut rest = Vec::new();
    let _ = user.lines.read_to_end(&mut rest);
    drop(runtime);
}
