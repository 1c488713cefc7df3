//! Steering by the CPU of arrival: a classic BPF program that the kernel runs for each connection request.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// An answer beyond the last socket makes the kernel use its hash instead.
const NO_SOCKET: u32 = u32::MAX;

/// The program that answers with the index of the socket that is responsible for a CPU.
///
/// `sockets` has, for each CPU that counts, the socket's index in the order in which the group's sockets began to listen.
/// The program compares one CPU after the other: two instructions each, within the limit of 4,096 for the 1,024 CPUs
/// that an affinity mask can name.
fn program(sockets: &[(usize, usize)]) -> Vec<libc::sock_filter> {
    let statement = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = vec![statement(
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32,
        0,
        0,
    )];
    for &(cpu, socket) in sockets {
        // Equal: the next statement; otherwise: the one after it.
        program.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, cpu as u32, 0, 1));
        program.push(statement(libc::BPF_RET | libc::BPF_K, socket as u32, 0, 0));
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, NO_SOCKET, 0, 0));
    program
}

/// Attaches the program to the whole group that `socket` listens in.
pub(super) fn attach(socket: BorrowedFd<'_>, sockets: &[(usize, usize)]) -> io::Result<()> {
    let mut program = program(sockets);
    let len = u16::try_from(program.len()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, "more CPUs than a socket program can tell apart")
    })?;
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies the program, which lives until the call returns.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of_val(&program) as u32,
        )
    };
    if outcome == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    Err(io::Error::new(
        error.kind(),
        format!("attach the steering program (SO_ATTACH_REUSEPORT_CBPF): {error}"),
    ))
}

#[cfg(all(test, not(miri)))]
mod tests {
    use std::os::fd::{AsFd as _, OwnedFd};

    use rustix::thread::{CpuSet, sched_setaffinity};

    use super::*;
    use crate::CoreSet;
    use crate::net::ListenOptions;

    #[test]
    fn a_connection_goes_to_the_socket_of_its_cpu() {
        let cpus = CoreSet::all().resolve().unwrap();
        // In reverse, so that neither the CPU's number nor its rank is the answer by chance.
        let table: Vec<(usize, usize)> =
            cpus.iter().rev().enumerate().map(|(index, &cpu)| (cpu, index)).collect();
        let options = ListenOptions::default();
        let first = options.listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = socket2::SockRef::from(&first).local_addr().unwrap().as_socket().unwrap();
        let mut sockets = vec![first];
        sockets.extend(table[1..].iter().map(|_| options.listen(address).unwrap()));
        attach(sockets[0].as_fd(), &table).unwrap();
        let listeners: Vec<std::net::TcpListener> = sockets.into_iter().map(OwnedFd::into).collect();
        listeners.iter().for_each(|listener| listener.set_nonblocking(true).unwrap());
        for &(cpu, index) in &table {
            let client = std::thread::spawn(move || {
                let mut mask = CpuSet::new();
                mask.set(cpu);
                sched_setaffinity(None, &mask).unwrap();
                (0..20).map(|_| std::net::TcpStream::connect(address).unwrap()).collect::<Vec<_>>()
            });
            let clients = client.join().unwrap();
            for (at, listener) in listeners.iter().enumerate() {
                let arrived = std::iter::from_fn(|| listener.accept().ok()).count();
                assert_eq!(arrived, if at == index { 20 } else { 0 }, "CPU {cpu}, socket {at}");
            }
            drop(clients);
        }
    }

    #[test]
    fn a_cpu_that_is_not_in_the_table_goes_by_the_hash() {
        let options = ListenOptions::default();
        let socket = options.listen(([127, 0, 0, 1], 0).into()).unwrap();
        attach(socket.as_fd(), &[(1000, 0)]).unwrap();
        let listener = std::net::TcpListener::from(socket);
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.accept().unwrap();
    }
}
