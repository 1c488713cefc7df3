//! UDP round trips: how many are lost, and how long the others take.
//!
//! `cargo run --release -p covet-runtime --example udp_ping -- server 127.0.0.1:7001` answers on all cores, and
//! `cargo run --release -p covet-runtime --example udp_ping -- client 127.0.0.1:7001 1000` asks so many times.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use covet_runtime::buf::PoolBuf;
use covet_runtime::net::{Datagram, UdpOptions, UdpSocket};
use covet_runtime::{Builder, CoreSet, Runtime, block_on, shutdown, spawn, time};

/// Time between two pings.
const PACE: Duration = Duration::from_micros(500);
/// How long the last answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Datagrams answered before others have their turn.
const BATCH: usize = 64;

#[cfg_attr(test, allow(dead_code, reason = "tests start the parts by themselves"))]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = arguments.get(1).map_or("127.0.0.1:7001", String::as_str).parse()?;
    match arguments.first().map(String::as_str) {
        Some("server") => {
            let (runtime, address) = start(address, Runtime::builder().handle_signals(true))?;
            println!("answering on {address}");
            runtime.join()?;
        }
        Some("client") => {
            let count = arguments.get(2).map_or("1000", String::as_str).parse()?;
            println!("{}", block_on(ping(address, count))??);
        }
        _ => return Err("say `server ADDRESS` or `client ADDRESS COUNT`".into()),
    }
    Ok(())
}

/// Starts a server on all cores; port 0 takes a free one.
pub(crate) fn start(address: SocketAddr, builder: Builder) -> Result<(Runtime, SocketAddr), Box<dyn Error>> {
    // Bound first, so that the port is known; a socket that nobody reads must not stay, as the kernel would give it its
    // share of the datagrams.
    let held = std::net::UdpSocket::bind(address)?;
    let address = held.local_addr()?;
    drop(held);
    let cores = CoreSet::all();
    let count = cores.resolve()?.len();
    let (bound, all_bound) = std::sync::mpsc::channel();
    let runtime = builder.cores(cores).start(move |_core| {
        let bound = bound.clone();
        async move {
            let options = UdpOptions { reuse_port: true, ..UdpOptions::default() };
            let socket = UdpSocket::bind_with(address, &options);
            let _ = bound.send(socket.as_ref().map(|_| ()).map_err(ToString::to_string));
            if let Ok(socket) = socket {
                spawn(async move {
                    if let Err(error) = answer(&socket).await {
                        eprintln!("{socket:?}: {error}");
                    }
                })
                .detach();
                shutdown::requested().await;
            }
        }
    })?;
    all_bound.iter().take(count).collect::<Result<(), String>>()?;
    Ok((runtime, address))
}

/// Sends every datagram back.
async fn answer(socket: &UdpSocket) -> io::Result<()> {
    let mut batch: Vec<Datagram> = Vec::with_capacity(BATCH);
    while !shutdown::is_requested() {
        socket.recv_batch(&mut batch, BATCH).await?;
        for datagram in batch.drain(..) {
            let mut copy = PoolBuf::take();
            copy.extend_from_slice(&datagram.payload);
            socket.submittable().await?;
            socket.submit_to(copy, datagram.from)?;
        }
    }
    Ok(())
}

/// What became of the pings.
pub(crate) struct Report {
    pub(crate) sent: usize,
    /// Sorted.
    pub(crate) round_trips: Vec<Duration>,
}

/// Sends `count` numbered datagrams, one at a time, and matches the answers.
pub(crate) async fn ping(server: SocketAddr, count: usize) -> io::Result<Report> {
    let unspecified = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = Rc::new(UdpSocket::bind(unspecified.parse().expect("an address"))?);
    socket.connect(server)?;
    let answers = {
        let socket = socket.clone();
        spawn(async move {
            let mut arrivals: Vec<Option<Instant>> = vec![None; count];
            let mut missing = count;
            while missing > 0 {
                let Ok(datagram) = time::timeout(PATIENCE, socket.recv()).await else { break };
                let now = Instant::now();
                let number = datagram?.first_chunk().map(|&number| u64::from_le_bytes(number) as usize);
                // A datagram may come twice, and anybody may send anything.
                if let Some(slot @ None) = number.and_then(|number| arrivals.get_mut(number)) {
                    *slot = Some(now);
                    missing -= 1;
                }
            }
            Ok::<_, io::Error>(arrivals)
        })
    };
    let mut sent = Vec::with_capacity(count);
    for number in 0..count as u64 {
        sent.push(Instant::now());
        socket.send(number.to_le_bytes().to_vec()).await.0?;
        time::sleep(PACE).await;
    }
    let arrivals = answers.await.map_err(io::Error::other)??;
    let pairs = sent.iter().zip(arrivals);
    let mut round_trips: Vec<Duration> =
        pairs.filter_map(|(&sent, arrived)| Some(arrived?.saturating_duration_since(sent))).collect();
    round_trips.sort_unstable();
    Ok(Report { sent: count, round_trips })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let came = self.round_trips.len();
        let lost = self.sent - came;
        write!(
            f,
            "{} sent, {lost} lost ({:.1} %)",
            self.sent,
            lost as f64 * 100.0 / self.sent.max(1) as f64
        )?;
        for share in [50.0, 90.0, 99.0, 100.0] {
            let rank = (came as f64 * share / 100.0).ceil() as usize;
            if let Some(round_trip) = self.round_trips.get(rank.saturating_sub(1)) {
                write!(f, "\n{share:>4} % within {round_trip:.1?}")?;
            }
        }
        Ok(())
    }
}
