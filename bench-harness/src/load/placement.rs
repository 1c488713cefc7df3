//! Which CPUs the generator may use.

use std::collections::BTreeSet;

use rustix::thread::{CpuSet, sched_getaffinity};
use thiserror::Error;

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

/// Puts `threads` generator threads on CPUs.
///
/// Without a list, the CPUs are the process's own; where the server is `local`, only the upper half of them, so
/// that the server has the others. Without a number there is one thread for each CPU; more threads than CPUs share
/// them in turn.
///
/// # Errors
/// When a CPU of the list is outside the process's affinity mask, or no thread is asked for.
pub fn place(
    list: Option<&[usize]>,
    threads: Option<usize>,
    local: bool,
) -> Result<Vec<usize>, PlacementError> {
    let allowed = allowed_cpus();
    let cpus = match list {
        Some(list) => {
            if let Some(&cpu) = list.iter().find(|cpu| !allowed.contains(cpu)) {
                return Err(PlacementError::NotAllowed { cpu, allowed: format_cpus(&allowed) });
            }
            list.to_vec()
        }
        None => match threads {
            // The highest CPUs first, because servers are usually pinned to the lowest.
            Some(threads) => allowed[allowed.len().saturating_sub(threads)..].to_vec(),
            None if local => allowed[allowed.len() / 2..].to_vec(),
            None => allowed,
        },
    };
    match threads {
        Some(0) => Err(PlacementError::NoThreads),
        Some(threads) => Ok((0..threads).map(|thread| cpus[thread % cpus.len()]).collect()),
        None => Ok(cpus),
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
    fn threads_beyond_the_cpus_share_them() {
        let allowed = allowed_cpus();
        let placed = place(None, Some(allowed.len() * 2), true).unwrap();
        assert_eq!(placed[..allowed.len()], allowed);
        assert_eq!(placed[allowed.len()..], allowed);
        assert_eq!(place(None, Some(0), true), Err(PlacementError::NoThreads));
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
