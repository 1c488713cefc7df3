//! Which CPUs the generator may use.

use std::collections::BTreeSet;

use rustix::thread::{CpuSet, sched_getaffinity};
use thiserror::Error;

use super::cgroup::quota;

/// Why CPUs cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PlacementError {
    /// The text is not a list such as `0,2-5`.
    #[error("`{text}` is not a list of CPUs: write for example 0,2-5")]
    List {
        /// The text given.
        text: String,
    },
    /// The CPU does not exist or is outside this process's affinity mask.
    #[error("CPU {cpu} cannot be used here: this process may run on {allowed}")]
    NotAllowed {
        /// The CPU asked for.
        cpu: usize,
        /// The CPUs that can be used, as a list.
        allowed: String,
    },
    /// More threads than there is room for.
    #[error(
        "{threads} generator threads cannot share {cpus} CPU(s){limit}: two on one CPU take turns, and every latency \
         would be that of the scheduler. Write --threads {cpus} or fewer"
    )]
    TooManyThreads {
        /// Asked for.
        threads: usize,
        /// CPUs that there are for them.
        cpus: usize,
        /// What limits them, in brackets, where it is not the list of CPUs.
        limit: String,
    },
    /// No thread at all was asked for.
    #[error("0 threads generate nothing: write --threads 1 or more")]
    NoThreads,
}

/// The CPUs that this process may run on, in ascending order.
pub fn allowed_cpus() -> Vec<usize> {
    match sched_getaffinity(None) {
        Ok(mask) => (0..CpuSet::MAX_CPU).filter(|&cpu| mask.is_set(cpu)).collect(),
        // Only a machine with more CPUs than the mask has room for fails here; its first CPU exists.
        Err(_) => vec![0],
    }
}

/// Parses a list of CPUs such as `0,2-5`; ascending, without doubles.
///
/// # Errors
/// When the text is no such list.
pub fn parse_cpus(text: &str) -> Result<Vec<usize>, PlacementError> {
    let bad = || PlacementError::List { text: text.to_owned() };
    let number = |part: &str| part.trim().parse::<usize>().ok().filter(|&cpu| cpu < CpuSet::MAX_CPU);
    let mut cpus = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first).ok_or_else(bad)?, number(last).ok_or_else(bad)?);
        if first > last {
            return Err(bad());
        }
        cpus.extend(first..=last);
    }
    Ok(cpus.into_iter().collect())
}

/// Puts `threads` generator threads on CPUs, one on each.
///
/// Without a list, the CPUs are the process's own; where the server is `local`, only the upper half of them, so
/// that the server has the others. Without a number there is one thread for each CPU, as far as the control group's
/// CPU limit goes.
///
/// # Errors
/// When a CPU of the list is outside the process's affinity mask, more threads are asked for than there are CPUs or the
/// control group may use, or none at all.
pub fn place(
    list: Option<&[usize]>,
    threads: Option<usize>,
    local: bool,
) -> Result<Vec<usize>, PlacementError> {
    place_within(&allowed_cpus(), quota(), list, threads, local)
}

fn place_within(
    allowed: &[usize],
    quota: Option<f64>,
    list: Option<&[usize]>,
    threads: Option<usize>,
    local: bool,
) -> Result<Vec<usize>, PlacementError> {
    let cpus = match list {
        Some(list) => {
            if let Some(&cpu) = list.iter().find(|cpu| !allowed.contains(cpu)) {
                return Err(PlacementError::NotAllowed { cpu, allowed: format_cpus(allowed) });
            }
            list
        }
        // The highest CPUs first, because servers are usually pinned to the lowest.
        None => match threads {
            Some(threads) => &allowed[allowed.len().saturating_sub(threads)..],
            None if local => &allowed[allowed.len() / 2..],
            None => allowed,
        },
    };
    // A part of a CPU is a CPU that is taken away now and then: what the guard of throttling is for.
    let share = quota.map_or(usize::MAX, |quota| (quota.ceil() as usize).max(1));
    let room = cpus.len().min(share);
    match threads {
        Some(0) => Err(PlacementError::NoThreads),
        Some(threads) if threads > room => Err(PlacementError::TooManyThreads {
            threads,
            cpus: room,
            limit: match quota {
                Some(quota) if share < cpus.len() => format!(" (the control group may use {quota:.1})"),
                _ => String::new(),
            },
        }),
        Some(threads) => Ok(cpus[..threads].to_vec()),
        None => Ok(cpus[cpus.len() - room..].to_vec()),
    }
}

/// CPUs as a list with ranges, such as `0,2-5`.
pub fn format_cpus(cpus: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => parts.push((cpu, cpu)),
        }
    }
    let words: Vec<String> = parts
        .into_iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_have_single_cpus_and_ranges() {
        assert_eq!(parse_cpus("0,2-5"), Ok(vec![0, 2, 3, 4, 5]));
        assert_eq!(parse_cpus("3,1,1-2"), Ok(vec![1, 2, 3]));
        for text in ["", "a", "1-", "5-2", "-1", "1,,2", "99999"] {
            assert!(parse_cpus(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn more_threads_than_cpus_are_refused() {
        let place = |quota, list, threads| place_within(&[0, 1, 2, 3], quota, list, Some(threads), true);
        assert_eq!(place(None, None, 4), Ok(vec![0, 1, 2, 3]));
        assert_eq!(place(None, None, 1), Ok(vec![3]));
        assert_eq!(place(None, Some(&[1, 2]), 1), Ok(vec![1]));
        let refused = |quota, list, threads| place(quota, list, threads).unwrap_err().to_string();
        assert!(refused(None, None, 5).contains("Write --threads 4 or fewer"));
        assert!(refused(None, Some(&[1, 2]), 3).contains("3 generator threads cannot share 2 CPU(s):"));
        assert!(refused(Some(1.5), None, 3).contains("2 CPU(s) (the control group may use 1.5)"));
        assert_eq!(place(None, None, 0), Err(PlacementError::NoThreads));
    }

    #[test]
    fn the_control_group_limits_the_threads() {
        let place = |quota, local| place_within(&[0, 1, 2, 3], quota, None, None, local);
        assert_eq!(place(Some(1.0), false), Ok(vec![3]));
        assert_eq!(place(Some(0.5), false), Ok(vec![3]));
        assert_eq!(place(Some(8.0), false), Ok(vec![0, 1, 2, 3]));
        assert_eq!(place(Some(8.0), true), Ok(vec![2, 3]));
    }

    #[test]
    fn a_local_server_keeps_the_lower_half() {
        let allowed = allowed_cpus();
        assert_eq!(place(None, None, false).unwrap(), allowed);
        let local = place(None, None, true).unwrap();
        assert_eq!(local, allowed[allowed.len() / 2..]);
    }

    #[test]
    fn a_cpu_that_is_not_there_is_named() {
        let error = place(Some(&[1000]), None, false).unwrap_err();
        assert!(error.to_string().starts_with("CPU 1000 cannot be used here"), "{error}");
    }

    proptest! {
        #[test]
        fn lists_print_as_they_parse(cpus in prop::collection::btree_set(0_usize..200, 1..20)) {
            let cpus: Vec<usize> = cpus.into_iter().collect();
            prop_assert_eq!(parse_cpus(&format_cpus(&cpus)), Ok(cpus));
        }
    }
}
