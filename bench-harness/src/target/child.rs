//! A server under measurement, as a child process that never outlives this one.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::accounting;
use crate::read_some::read_some;

const POLL: Duration = Duration::from_millis(5);
const STDERR_KEPT: usize = 4096;
/// How many ports are tried that were free and are not when the child is to be started.
const PORTS_TRIED: u32 = 8;

/// How starting or stopping a child process fails.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// No port on 127.0.0.1 could be had.
    #[error("no free port on 127.0.0.1")]
    NoPort(#[source] io::Error),
    /// Something that is not this child listens where it was to.
    #[error("something accepts connections on {address} already: stop it, or load another address")]
    Taken {
        /// The address.
        address: SocketAddr,
    },
    /// The program could not be executed.
    #[error("{program} could not be started")]
    Spawn {
        /// The program's path.
        program: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The process ended before it accepted a connection.
    #[error("{program} ended with {status} before it accepted a connection{stderr}")]
    Ended {
        /// The program's path.
        program: String,
        /// Its exit status.
        status: ExitStatus,
        /// The end of what it wrote to standard error, led by a colon, or nothing.
        stderr: String,
    },
    /// Nothing accepted a connection in time.
    #[error("{program} did not accept a connection on {address} within {waited:?}{stderr}")]
    Silent {
        /// The program's path.
        program: String,
        /// Where it was expected.
        address: SocketAddr,
        /// How long it was waited for.
        waited: Duration,
        /// The end of what it wrote to standard error, led by a colon, or nothing.
        stderr: String,
    },
    /// The process could not be observed or signalled.
    #[error("process {pid} of {program} could not be observed")]
    Process {
        /// The program's path.
        program: String,
        /// Its process id.
        pid: u32,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// A running child process that accepts connections.
///
/// Dropping it kills it and waits for it; should this process die first, the kernel kills it.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    program: String,
    address: SocketAddr,
    stderr: Tail,
}

impl Child {
    /// Starts the command that `command` makes for a free port on 127.0.0.1, on the given CPUs if any, and waits
    /// until it accepts a connection there, at most for `patience`.
    ///
    /// Call it from a thread that lives as long as the child is to live: the kernel ties the child to its
    /// parent *thread* (`PR_SET_PDEATHSIG`, prctl(2)).
    ///
    /// # Errors
    /// When there is no port, the program can't be executed, ends early or stays silent; in the last two cases
    /// with the end of its standard error.
    pub fn start(
        command: impl Fn(u16) -> Command,
        cpus: Option<&[usize]>,
        patience: Duration,
    ) -> Result<Self, ChildError> {
        let mut tries = PORTS_TRIED;
        loop {
            let port = free_port().map_err(ChildError::NoPort)?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            tries -= 1;
            match Self::start_at(command(port), address, cpus, patience) {
                // Somebody else was given it meanwhile; nothing has been started yet.
                Err(ChildError::Taken { .. }) if tries > 0 => {}
                started => return started,
            }
        }
    }

    /// As [`Child::start`], with a command that listens on an address of its own.
    ///
    /// # Errors
    /// As there, and when something accepts connections on the address already.
    pub fn start_at(
        mut command: Command,
        address: SocketAddr,
        cpus: Option<&[usize]>,
        patience: Duration,
    ) -> Result<Self, ChildError> {
        if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
            return Err(ChildError::Taken { address });
        }
        let program = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Control-C is for this process alone, which ends it when it has no more use for it.
        command.process_group(0);
        confine(&mut command, cpus);
        let spawned = command.spawn();
        let mut process = spawned.map_err(|source| ChildError::Spawn { program: program.clone(), source })?;
        let stderr = Tail::default();
        if let Some(pipe) = process.stderr.take() {
            stderr.follow(pipe);
        }
        let mut child = Self { process, program, address, stderr };
        child.await_accept(patience)?;
        Ok(child)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// CPU time that it has used so far: all its threads and its descendants', by the scheduler's own count
    /// in nanoseconds.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn cpu_time(&self) -> Result<Duration, ChildError> {
        accounting::cpu_time(self.pid()).map_err(|source| self.lost(source))
    }

    /// Memory resident now, in bytes, of it and its descendants.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn resident(&self) -> Result<u64, ChildError> {
        accounting::resident(self.pid()).map(|held| held.bytes).map_err(|source| self.lost(source))
    }

    /// Whether it has ended by itself, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Asks it to end with SIGTERM, waits up to `deadline`, then kills it; returns how it ended.
    ///
    /// # Errors
    /// When the process can't be signalled or waited for.
    pub fn stop(mut self, deadline: Duration) -> Result<ExitStatus, ChildError> {
        self.finish(deadline).map_err(|source| self.lost(source))
    }

    fn finish(&mut self, deadline: Duration) -> io::Result<ExitStatus> {
        if let Some(status) = self.process.try_wait()? {
            return Ok(status);
        }
        if let Some(pid) = Pid::from_raw(self.pid() as i32) {
            kill_process(pid, Signal::TERM)?;
        }
        let end = Instant::now() + deadline;
        while Instant::now() < end {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            thread::sleep(POLL);
        }
        self.process.kill()?;
        self.process.wait()
    }

    fn await_accept(&mut self, patience: Duration) -> Result<(), ChildError> {
        let end = Instant::now() + patience;
        loop {
            if TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.ended() {
                let stderr = self.stderr.after_end();
                return Err(ChildError::Ended { program: self.program.clone(), status, stderr });
            }
            if Instant::now() >= end {
                return Err(ChildError::Silent {
                    program: self.program.clone(),
                    address: self.address,
                    waited: patience,
                    stderr: self.stderr.text(),
                });
            }
            thread::sleep(POLL);
        }
    }

    fn lost(&self, source: io::Error) -> ChildError {
        ChildError::Process { program: self.program.clone(), pid: self.pid(), source }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // Nothing is left to do about a child that cannot be killed, and the kernel will at our own end.
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// A port on 127.0.0.1 that nobody listened on a moment ago.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn confine(command: &mut Command, cpus: Option<&[usize]>) {
    let affinity = cpus.map(|cpus| {
        let mut set = CpuSet::new();
        cpus.iter().for_each(|&cpu| set.set(cpu));
        set
    });
    let parent = rustix::process::getpid();
    let prepare = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the line above took effect; then no signal will ever come.
        if getppid() != Some(parent) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
        }
        if let Some(set) = &affinity {
            sched_setaffinity(None, set)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; `prepare` makes three raw system
    // calls and builds errors from plain numbers: it takes no lock and allocates nothing.
    unsafe { command.pre_exec(prepare) };
}

/// The last bytes of a stream, collected by a thread of its own so that the writer never blocks.
#[derive(Debug, Default, Clone)]
struct Tail {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Tail {
    fn follow(&self, mut pipe: impl Read + Send + 'static) {
        let bytes = Arc::clone(&self.bytes);
        thread::spawn(move || {
            let mut piece = [0; 1024];
            while let Ok(count @ 1..) = read_some(&mut pipe, &mut piece) {
                let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                bytes.extend_from_slice(&piece[..count]);
                let excess = bytes.len().saturating_sub(STDERR_KEPT);
                bytes.drain(..excess);
            }
        });
    }

    /// The text once the writer has ended: its last bytes may still be on their way through the pipe.
    fn after_end(&self) -> String {
        let end = Instant::now() + Duration::from_secs(1);
        while Arc::strong_count(&self.bytes) > 1 && Instant::now() < end {
            thread::sleep(POLL);
        }
        self.text()
    }

    fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        match String::from_utf8_lossy(&bytes).trim() {
            "" => String::new(),
            text => format!(": {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn an_early_end_reports_status_and_stderr() {
        let started = Instant::now();
        let error = Child::start(|_| shell("echo no luck >&2; exit 3"), None, Duration::from_secs(20))
            .expect_err("it never listens");
        assert!(started.elapsed() < Duration::from_secs(10));
        let text = error.to_string();
        assert!(text.contains("exit status: 3") && text.ends_with(": no luck"), "{text}");
    }

    #[test]
    fn silence_ends_with_the_patience_and_leaves_no_process() {
        let error = Child::start(|_| shell("echo waiting >&2; exec sleep 600"), None, Duration::from_secs(3))
            .expect_err("it never listens");
        assert!(matches!(error, ChildError::Silent { .. }), "{error}");
        assert!(error.to_string().ends_with(": waiting"), "{error}");
    }

    #[test]
    fn an_address_in_use_is_not_taken_for_the_childs() {
        let other = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = other.local_addr().expect("it is bound");
        let error = Child::start_at(shell("exec sleep 600"), address, None, Duration::from_secs(1))
            .expect_err("another listens there");
        assert!(matches!(error, ChildError::Taken { .. }), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Child::start(|_| Command::new("/nowhere/at-all"), None, Duration::from_secs(1))
            .expect_err("there is no such program");
        assert!(error.to_string().contains("/nowhere/at-all"), "{error}");
    }
}
