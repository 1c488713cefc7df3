//! What a process has used, by the kernel's own books (proc_pid_schedstat, proc_pid_status(5)).

use std::fs;
use std::io;
use std::time::Duration;

/// CPU time used so far by a process, its threads and its descendants.
///
/// The first field of `schedstat` is time on the CPU in nanoseconds; `stat` only counts in ticks of 10 ms.
/// Time of threads that have ended is not included.
///
/// # Errors
/// When the process does not exist.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let mut nanoseconds = thread_time(pid)?;
    for descendant in descendants(pid) {
        // A descendant that ends while it is being read takes its time with it.
        nanoseconds += thread_time(descendant).unwrap_or_default();
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Memory of a process and its descendants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// Resident now, in bytes.
    pub bytes: u64,
    /// Whether pages that several of the processes share are in it once; else they are in it once for each, and the
    /// memory is `bytes` at most.
    pub shared_once: bool,
}

/// Memory resident now of a process and its descendants.
///
/// Pages that they share count once: it is the sum of their proportional shares (`Pss` of proc_pid_smaps(5)), and never
/// less than what the largest of them has resident (`VmRSS`), so that a process by itself counts in full. Where the
/// kernel does not tell shares, or not to us, it is the sum of `VmRSS`, in which shared pages count once for each process.
///
/// # Errors
/// When the process does not exist.
pub fn resident(pid: u32) -> io::Result<Resident> {
    let own = resident_of(pid)?;
    let others = descendants(pid);
    // Walking the page tables takes time, and a process by itself shares with nobody that counts.
    if others.is_empty() {
        return Ok(Resident { bytes: own, shared_once: true });
    }
    let mut family = vec![(own, share_of(pid))];
    for other in others {
        // One that ends meanwhile has no memory.
        if let Ok(bytes) = resident_of(other) {
            family.push((bytes, if bytes == 0 { Some(0) } else { share_of(other) }));
        }
    }
    Ok(together(&family))
}

/// What processes have together, from what each has resident and its share of that.
fn together(family: &[(u64, Option<u64>)]) -> Resident {
    let largest = family.iter().map(|(bytes, _)| *bytes).max().unwrap_or(0);
    match family.iter().map(|(_, share)| *share).sum::<Option<u64>>() {
        Some(shares) => Resident { bytes: shares.max(largest), shared_once: true },
        None => Resident { bytes: family.iter().map(|(bytes, _)| bytes).sum(), shared_once: false },
    }
}

/// CPU time that all CPUs together have spent on anything so far, in ticks of 10 ms; time stolen by the host counts,
/// because nobody here had it either (proc_stat(5)).
///
/// # Errors
/// When /proc/stat can't be read.
pub fn machine_time() -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    busy_ticks(&stat, "cpu").map(of_ticks).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// As [`machine_time`], of these CPUs together.
///
/// # Errors
/// When /proc/stat can't be read, or has no line for one of them.
pub fn time_of_cpus(cpus: &[usize]) -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks: Option<u64> = cpus.iter().map(|cpu| busy_ticks(&stat, &format!("cpu{cpu}"))).sum();
    ticks.map(of_ticks).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The fields of a line are user, nice, system, idle, iowait, irq, softirq, steal and guests, which user holds too.
fn busy_ticks(stat: &str, name: &str) -> Option<u64> {
    let mut fields = stat
        .lines()
        .map(str::split_ascii_whitespace)
        .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    let mut next = || fields.next()?.parse::<u64>().ok();
    let (user, nice, system, _idle, _waiting) = (next()?, next()?, next()?, next()?, next()?);
    Some(user + nice + system + next()? + next()? + next()?)
}

fn of_ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second().max(1))
}

/// Descriptors that a process and its descendants have open.
///
/// # Errors
/// When the process does not exist, or belongs to somebody else.
pub fn descriptors(pid: u32) -> io::Result<u64> {
    let own = descriptors_of(pid)?;
    Ok(descendants(pid).into_iter().filter_map(|pid| descriptors_of(pid).ok()).sum::<u64>() + own)
}

/// The soft limit on the descriptors of a process; `None` for no limit.
///
/// # Errors
/// When the process does not exist.
pub fn descriptor_limit(pid: u32) -> io::Result<Option<u64>> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    Ok(line.and_then(|line| line.split_whitespace().next()?.parse().ok()))
}

/// The process that listens on a TCP port of this machine: the eldest, where a parent and its children share it.
///
/// `None` when nobody does, its descriptors may not be seen, or several do of which none is the parent of the others
/// (`SO_REUSEPORT`): any of them would be a part of the server only.
pub fn listening_on(port: u16) -> Option<u32> {
    const LISTEN: &str = "0A";
    let suffix = format!(":{port:04X}");
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let sockets: Vec<String> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() > 9 && fields[1].ends_with(&suffix) && fields[3] == LISTEN)
        .map(|fields| format!("socket:[{}]", fields[9]))
        .collect();
    if sockets.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?;
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let holders: Vec<u32> = pids.filter(|&pid| holds(pid, &sockets)).collect();
    let inherited = |pid: &u32| holders.iter().any(|other| other != pid && descendants(*other).contains(pid));
    let eldest: Vec<u32> = holders.iter().copied().filter(|pid| !inherited(pid)).collect();
    <[u32; 1]>::try_from(eldest).ok().map(|[pid]| pid)
}

fn holds(pid: u32, sockets: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors
        .flatten()
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|link| sockets.iter().any(|socket| link.as_os_str() == socket.as_str()))
}

fn descriptors_of(pid: u32) -> io::Result<u64> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64)
}

fn thread_time(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        sum += text.split_ascii_whitespace().next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

fn resident_of(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(bytes_of(&status, "VmRSS:").unwrap_or(0))
}

/// What a process has resident, of shared pages its share; `None` where the kernel does not tell.
fn share_of(pid: u32) -> Option<u64> {
    bytes_of(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?, "Pss:")
}

fn bytes_of(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// The processes that it has started, and those that they have, by id.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let mut found = children(pid);
    let mut next = 0;
    while next < found.len() {
        found.extend(children(found[next]));
        next += 1;
    }
    found
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_ascii_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Instant;

    /// In a process of its own: threads of other tests end while this one counts, and take their time with them.
    #[test]
    fn a_busy_process_is_accounted_for() {
        let machine = machine_time().expect("a file of every Linux");
        let mut busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("a shell");
        let end = Instant::now() + Duration::from_secs(10);
        let mut used = Duration::ZERO;
        while used < Duration::from_millis(50) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
            let now = cpu_time(busy.id()).expect("a child");
            assert!(now >= used, "{now:?} after {used:?}");
            used = now;
        }
        busy.kill().expect("a child");
        busy.wait().expect("a child");
        assert!(used >= Duration::from_millis(50), "{used:?}");
        assert!(machine_time().expect("a file of every Linux") > machine);
    }

    #[test]
    fn the_listener_of_a_port_is_found_and_its_descriptors_counted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let port = listener.local_addr().expect("it is bound").port();
        assert_eq!(listening_on(port), Some(std::process::id()));
        drop(listener);
        // A child that another test is about to start has a copy until it runs its program.
        assert_eq!(settled(|| listening_on(port), |found| found.is_none()), None);
        let files: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").expect("a file")).collect();
        assert!(descriptors(std::process::id()).expect("own process") >= files.len() as u64);
        assert!(descriptor_limit(std::process::id()).expect("own process").is_none_or(|limit| limit > 3));
    }

    /// What `look` finds once it `holds`, or in the end.
    fn settled<T>(look: impl Fn() -> T, holds: impl Fn(&T) -> bool) -> T {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let found = look();
            if holds(&found) || Instant::now() > end {
                return found;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Both hold the socket, and neither is the other's parent.
    #[test]
    fn of_several_listeners_none_is_taken_for_the_server() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let sleeper = || {
            let input = std::os::fd::OwnedFd::from(listener.try_clone().expect("a second handle"));
            Command::new("sleep").arg("30").stdin(input).spawn().expect("sleep is there")
        };
        let mut both = [sleeper(), sleeper()];
        let with_their_parent = listening_on(port);
        drop(listener);
        let without = listening_on(port);
        both[1].kill().and_then(|()| both[1].wait()).expect("a child");
        let expected = Some(both[0].id());
        let alone = settled(|| listening_on(port), |&found| found == expected);
        both[0].kill().and_then(|()| both[0].wait()).expect("a child");
        assert_eq!((with_their_parent, without, alone), (Some(std::process::id()), None, expected));
    }

    /// A shell and the copy of it that runs what is in parentheses share nearly everything.
    #[test]
    fn pages_that_processes_share_count_once() {
        let line = "exec 3<&0; x=$(head -c 30000000 /dev/zero | tr '\\0' x); (read -r y <&3; :) & wait";
        let mut shell = Command::new("bash")
            .args(["-c", line])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("bash is there");
        let end = Instant::now() + Duration::from_secs(30);
        let sum = |pids: &[u32]| pids.iter().filter_map(|&pid| resident_of(pid).ok()).sum::<u64>();
        let (mut once, mut often) = (0, 0);
        while (once < 30_000_000 || often < once + 20_000_000) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
            let mut family = descendants(shell.id());
            family.push(shell.id());
            (once, often) = (resident(shell.id()).expect("a child").bytes, sum(&family));
        }
        drop(shell.stdin.take());
        shell.wait().expect("a child");
        assert!(once >= 30_000_000 && often >= once + 20_000_000, "{once} of {often}");
    }

    #[test]
    fn what_the_kernel_does_not_share_out_counts_for_each() {
        let told = [(30, Some(16)), (28, Some(14))];
        assert_eq!(together(&told), Resident { bytes: 30, shared_once: true });
        assert_eq!(together(&[(30, Some(20)), (28, Some(18))]), Resident { bytes: 38, shared_once: true });
        // A single process that belongs to somebody else is enough.
        assert_eq!(together(&[(30, Some(16)), (28, None)]), Resident { bytes: 58, shared_once: false });
    }

    #[test]
    fn busy_ticks_leave_out_idle_and_waiting() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu1 1 2 4 1000 2000 8 16 32 7 7\ncpu10 5 5 5 5 5 5 5 5 0 0\n";
        assert_eq!(busy_ticks(stat, "cpu"), Some(54));
        assert_eq!(busy_ticks(stat, "cpu1"), Some(63));
        assert_eq!(busy_ticks(stat, "cpu10"), Some(30));
        assert_eq!(busy_ticks(stat, "cpu2"), None);
        assert!(time_of_cpus(&[usize::MAX]).is_err());
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(cpu_time(u32::MAX).is_err());
        assert!(resident(u32::MAX).is_err());
        assert!(resident(std::process::id()).expect("own process").bytes > 100 * 1024);
    }
}
