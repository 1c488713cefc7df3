use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::SockRef;

use super::load::{Board, Seat};
use super::{Steering, by_cpu};
use crate::net::{ListenOptions, TcpListener};
use crate::{Core, CoreSet};

/// The listening sockets of all cores for one address, made in one place before the cores start.
///
/// Each core takes its own with [`PerCoreListener::listener`]. Made together, they share one port even if the kernel
/// chose it, they listen in the order of the cores (which steering by CPU depends on), and a port that is taken is
/// reported before anything runs. A clone is another handle of the same sockets.
///
/// The sockets listen from the start, so connections wait in the backlog of a core until it takes its listener and
/// accepts. A core that never does leaves its share waiting.
///
/// ```no_run
/// use covet_runtime::net::{ListenOptions, PerCoreListener, Steering};
/// use covet_runtime::{CoreSet, Runtime};
///
/// let cores = CoreSet::all();
/// let options = ListenOptions { steering: Steering::ByCpu, ..ListenOptions::default() };
/// let sockets = PerCoreListener::bind(([0, 0, 0, 0], 7000).into(), &options, &cores)?;
/// let runtime = Runtime::builder().cores(cores).start(move |core| {
///     let sockets = sockets.clone();
///     async move {
///         let listener = sockets.listener(&core).expect("each core takes its own once");
///         while let Ok(_stream) = listener.accept().await {}
///     }
/// })?;
/// runtime.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct PerCoreListener {
    group: Arc<Group>,
}

#[derive(Debug)]
struct Group {
    address: SocketAddr,
    /// The CPU of each core, by the core's index.
    cpus: Vec<usize>,
    sockets: Vec<Mutex<Slot>>,
    board: Option<Arc<Board>>,
}

/// One socket. It stays open here while the listener made of it lives, so that it can be handed over.
#[derive(Debug)]
struct Slot {
    socket: Option<OwnedFd>,
    /// Listeners made of it that live.
    listeners: usize,
}

impl PerCoreListener {
    /// Listens on an address once for each core of a set: the one that the runtime is started with.
    ///
    /// # Errors
    /// As for [`TcpListener::bind`]; when the set does not fit this process; when the kernel takes no steering program.
    pub fn bind(
        address: SocketAddr,
        options: &ListenOptions,
        cores: &CoreSet,
    ) -> io::Result<PerCoreListener> {
        let count = if options.reuse_port { resolve(cores)?.len() } else { 1 };
        let mut sockets = vec![options.listen(address)?];
        let address = address_of(&sockets[0])?;
        for _ in 1..count {
            sockets.push(options.listen(address)?);
        }
        PerCoreListener::from_sockets(sockets, options, cores)
    }

    /// Takes over sockets that listen on one address already: inherited from systemd or from an earlier process.
    ///
    /// There may be more or fewer than cores. With fewer, cores share a socket; with more, some cores have several, and
    /// take them with [`PerCoreListener::listeners`]. Every one must be taken, as each has a backlog of its own. For
    /// steering by CPU the list has the order in which the sockets began to listen, which is the order of
    /// [`PerCoreListener::sockets`]. Of the options only `steering` is heeded.
    ///
    /// # Errors
    /// When the list is empty, a socket does not listen, or they listen on different addresses; otherwise as for
    /// [`PerCoreListener::bind`].
    pub fn from_sockets(
        sockets: Vec<OwnedFd>,
        options: &ListenOptions,
        cores: &CoreSet,
    ) -> io::Result<PerCoreListener> {
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
        let cpus = resolve(cores)?;
        let first = sockets.first().ok_or_else(|| wrong("no socket to listen on".into()))?;
        let address = address_of(first)?;
        for socket in &sockets {
            let this = address_of(socket)?;
            if this != address {
                return Err(wrong(format!(
                    "sockets of one group listen on one address: {address} and {this} differ"
                )));
            }
            if !rustix::net::sockopt::socket_acceptconn(socket)? {
                return Err(wrong(format!("the socket of {address} does not listen")));
            }
        }
        if options.steering == Steering::ByCpu && sockets.len() > 1 {
            let table: Vec<(usize, usize)> =
                cpus.iter().enumerate().map(|(index, &cpu)| (cpu, index % sockets.len())).collect();
            by_cpu::attach(first.as_fd(), &table)?;
        }
        let board = (options.steering == Steering::Balanced).then(|| Arc::new(Board::new(cpus.len())));
        let sockets = sockets
            .into_iter()
            .map(|socket| Mutex::new(Slot { socket: Some(socket), listeners: 0 }))
            .collect();
        Ok(PerCoreListener { group: Arc::new(Group { address, cpus, sockets, board }) })
    }

    /// The address that all of them listen on.
    pub fn local_addr(&self) -> SocketAddr {
        self.group.address
    }

    /// The listener of this core.
    ///
    /// # Errors
    /// When the core is not one of the set that the group was made for, when this core has to take several (use
    /// [`PerCoreListener::listeners`] then), or when it was taken and dropped before.
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn listener(&self, core: &Core) -> io::Result<TcpListener> {
        let mut listeners = self.listeners(core)?;
        match (listeners.pop(), listeners.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "there are {} sockets for {} cores: take all of a core's with PerCoreListener::listeners",
                    self.group.sockets.len(),
                    self.group.cpus.len()
                ),
            )),
        }
    }

    /// The listeners of this core: one, unless there are more sockets than cores.
    ///
    /// # Errors
    /// As for [`PerCoreListener::listener`].
    ///
    /// # Panics
    /// Outside a core.
    #[track_caller]
    pub fn listeners(&self, core: &Core) -> io::Result<Vec<TcpListener>> {
        let group = &self.group;
        let (index, cores) = (core.index(), group.cpus.len());
        if core.count() != cores || core.cpu() != group.cpus.get(index).copied() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the runtime runs on another set of cores than its listeners were made for",
            ));
        }
        let own: Vec<usize> = if group.sockets.len() < cores {
            vec![index % group.sockets.len()]
        } else {
            (index..group.sockets.len()).step_by(cores).collect()
        };
        let mut listeners = Vec::new();
        for (place, socket) in own.into_iter().enumerate() {
            let mut listener = TcpListener::from_socket(self.duplicate(socket)?)?;
            // One seat per core, whatever the number of its sockets.
            let seat = (place == 0).then(|| group.board.as_ref().map(|board| Seat::take(board, index)));
            group.slot(socket).listeners += 1;
            listener.join(Membership { group: group.clone(), socket }, seat.flatten());
            listeners.push(listener);
        }
        Ok(listeners)
    }

    /// Duplicates of all the sockets that still listen, to be handed over to another process.
    ///
    /// Each has a backlog of its own: hand over all of them, or the connections in the others' are lost.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        let slots = self.group.sockets.iter();
        slots.filter_map(|slot| lock(slot).socket.as_ref().map(OwnedFd::try_clone)).collect()
    }

    fn duplicate(&self, index: usize) -> io::Result<OwnedFd> {
        match &self.group.slot(index).socket {
            Some(socket) => socket.try_clone(),
            None => Err(io::Error::new(
                io::ErrorKind::NotConnected,
                format!("the listener of {} was taken and dropped before", self.group.address),
            )),
        }
    }
}

impl Group {
    fn slot(&self, index: usize) -> MutexGuard<'_, Slot> {
        lock(&self.sockets[index])
    }
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a socket's listening when the last listener made of it goes.
#[derive(Debug)]
pub(in crate::net) struct Membership {
    group: Arc<Group>,
    socket: usize,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut slot = self.group.slot(self.socket);
        slot.listeners -= 1;
        if slot.listeners == 0 {
            slot.socket = None;
        }
    }
}

fn resolve(cores: &CoreSet) -> io::Result<Vec<usize>> {
    cores.resolve().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

fn address_of(socket: &OwnedFd) -> io::Result<SocketAddr> {
    let address = SockRef::from(socket).local_addr()?;
    address.as_socket().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not an IP socket"))
}
