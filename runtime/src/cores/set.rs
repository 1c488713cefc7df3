//! Which cores to run on.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::fs;
use std::str::FromStr;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::StartError;

/// The highest CPU number that an affinity mask of the C library's size can name.
const MAX_CPU: usize = CpuSet::MAX_CPU;

/// A choice of cores, resolved against the process's affinity mask when a runtime starts.
///
/// ```
/// use covet_runtime::CoreSet;
///
/// let set: CoreSet = "0,2-5".parse()?;
/// assert_eq!(set, CoreSet::list([0, 2, 3, 4, 5]));
/// assert_eq!(set.to_string(), "0,2-5");
/// assert_eq!("physical".parse::<CoreSet>()?, CoreSet::physical());
/// assert_eq!("first:4".parse::<CoreSet>()?, CoreSet::count(4));
/// # Ok::<(), covet_runtime::StartError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreSet(Choice);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice {
    All,
    Physical,
    Count(usize),
    List(BTreeSet<usize>),
}

impl CoreSet {
    /// Every CPU that the process may run on.
    pub fn all() -> CoreSet {
        CoreSet(Choice::All)
    }

    /// One CPU of each physical core that the process may run on.
    pub fn physical() -> CoreSet {
        CoreSet(Choice::Physical)
    }

    /// The first `count` CPUs that the process may run on.
    pub fn count(count: usize) -> CoreSet {
        CoreSet(Choice::Count(count))
    }

    /// Exactly these CPUs.
    pub fn list(cpus: impl IntoIterator<Item = usize>) -> CoreSet {
        CoreSet(Choice::List(cpus.into_iter().collect()))
    }

    /// The CPU numbers this stands for in this process, in rising order.
    ///
    /// # Errors
    /// When a CPU is outside the affinity mask, or the choice is empty.
    pub fn resolve(&self) -> Result<Vec<usize>, StartError> {
        let available = available()?;
        let empty = |reason: &str| StartError::CoreList { list: self.to_string(), reason: reason.into() };
        match &self.0 {
            Choice::All => Ok(available),
            Choice::Physical => Ok(physical(&available)),
            Choice::Count(0) => Err(empty("a count of zero")),
            Choice::Count(count) if *count > available.len() => Err(StartError::TooFewCores {
                wanted: *count,
                available: available.len(),
                list: format_list(&available),
            }),
            Choice::Count(count) => Ok(available[..*count].to_vec()),
            Choice::List(cpus) if cpus.is_empty() => Err(empty("no core in it")),
            Choice::List(cpus) => match cpus.iter().find(|cpu| !available.contains(cpu)) {
                Some(&cpu) => Err(StartError::NoSuchCore { cpu, available: format_list(&available) }),
                None => Ok(cpus.iter().copied().collect()),
            },
        }
    }
}

impl FromStr for CoreSet {
    type Err = StartError;

    /// Reads `all`, `physical`, `first:4` for [`CoreSet::count`], or a list of numbers and ranges such as `0,2-5`.
    fn from_str(text: &str) -> Result<CoreSet, StartError> {
        let choice = match text.trim() {
            "all" => Ok(CoreSet::all()),
            "physical" => Ok(CoreSet::physical()),
            other => match other.strip_prefix("first:") {
                Some(count) => parse_count(count).map(CoreSet::count),
                None => parse_list(text).map(CoreSet::list),
            },
        };
        choice.map_err(|reason| StartError::CoreList { list: text.to_owned(), reason })
    }
}

impl fmt::Display for CoreSet {
    /// Writes what [`CoreSet::from_str`] reads as the same set; nothing for an empty list, which it does not read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Choice::All => f.pad("all"),
            Choice::Physical => f.pad("physical"),
            Choice::Count(count) => f.pad(&format!("first:{count}")),
            Choice::List(cpus) => f.pad(&format_list(&cpus.iter().copied().collect::<Vec<_>>())),
        }
    }
}

fn parse_count(text: &str) -> Result<usize, String> {
    text.trim().parse().map_err(|_| format!("{:?} is not a count of cores", text.trim()))
}

fn parse_list(text: &str) -> Result<BTreeSet<usize>, String> {
    let number = |text: &str| match text.trim().parse::<usize>() {
        Ok(cpu) if cpu < MAX_CPU => Ok(cpu),
        Ok(cpu) => Err(format!("there is no core {cpu} (the highest is {})", MAX_CPU - 1)),
        Err(_) => Err(format!("{:?} is not a core number", text.trim())),
    };
    let mut cpus = BTreeSet::new();
    for part in text.split(',') {
        match part.split_once('-') {
            None => {
                cpus.insert(number(part)?);
            }
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last {
                    return Err(format!("the range {part:?} runs backwards"));
                }
                cpus.extend(first..=last);
            }
        }
    }
    Ok(cpus)
}

/// The CPUs in this thread's affinity mask.
pub(super) fn available() -> Result<Vec<usize>, StartError> {
    let mask = sched_getaffinity(None)
        .map_err(|error| StartError::Io { step: "read the CPU affinity mask", source: error.into() })?;
    Ok((0..MAX_CPU).filter(|&cpu| mask.is_set(cpu)).collect())
}

/// Binds the calling thread to one CPU.
pub(super) fn pin(cpu: usize) -> Result<(), StartError> {
    let mut mask = CpuSet::new();
    mask.set(cpu);
    sched_setaffinity(None, &mask)
        .map_err(|error| StartError::Io { step: "pin a core's thread", source: error.into() })
}

/// Keeps the first CPU of each set of hardware threads; where the kernel does not tell, every CPU counts as one.
fn physical(available: &[usize]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let siblings = |cpu: usize| {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        fs::read_to_string(path).unwrap_or_else(|_| cpu.to_string())
    };
    available.iter().copied().filter(|&cpu| seen.insert(siblings(cpu))).collect()
}

/// Writes `0,2-5`.
pub(super) fn format_list(cpus: &[usize]) -> String {
    let mut text = String::new();
    let mut index = 0;
    while index < cpus.len() {
        let first = cpus[index];
        let mut last = first;
        while index + 1 < cpus.len() && cpus[index + 1] == last + 1 {
            index += 1;
            last = cpus[index];
        }
        index += 1;
        let comma = if text.is_empty() { "" } else { "," };
        let written = if first == last {
            write!(text, "{comma}{first}")
        } else {
            write!(text, "{comma}{first}-{last}")
        };
        written.expect("writing to a String does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_parse_and_print() {
        for (text, printed) in [("0", "0"), ("0,2-5", "0,2-5"), (" 3 , 1-2 ", "1-3"), ("7,7,7", "7")] {
            let cpus: Vec<usize> = parse_list(text).unwrap().into_iter().collect();
            assert_eq!(format_list(&cpus), printed);
        }
    }

    #[test]
    fn bad_lists_say_what_is_wrong() {
        for (text, reason) in [
            ("", "\"\" is not a core number"),
            ("a", "\"a\" is not a core number"),
            ("1,", "\"\" is not a core number"),
            ("5-2", "runs backwards"),
            ("0-99999999", "there is no core"),
            ("-1", "\"\" is not a core number"),
            ("first:", "\"\" is not a count of cores"),
            ("first:-1", "\"-1\" is not a count of cores"),
            ("first", "\"first\" is not a core number"),
        ] {
            let error = text.parse::<CoreSet>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn what_a_set_prints_is_read_as_the_same_set() {
        let lists = [vec![0], vec![0, 2, 3, 4, 5], vec![1, 3, 5], vec![MAX_CPU - 2, MAX_CPU - 1]];
        let counts = [0, 1, 4, usize::MAX].map(CoreSet::count);
        let sets = lists.into_iter().map(CoreSet::list).chain(counts);
        for set in sets.chain([CoreSet::all(), CoreSet::physical()]) {
            assert_eq!(set.to_string().parse::<CoreSet>().unwrap(), set, "{set}");
        }
        assert_eq!(format!("{:>8}|{:8}|", CoreSet::count(2), CoreSet::list([0, 1])), " first:2|0-1     |");
        assert_eq!(CoreSet::list([]).to_string(), "");
    }

    #[test]
    fn a_core_outside_the_mask_is_named() {
        let error = CoreSet::list([MAX_CPU - 1]).resolve().unwrap_err().to_string();
        assert!(error.contains(&format!("core {}", MAX_CPU - 1)), "{error}");
        assert!(CoreSet::count(MAX_CPU).resolve().is_err());
        assert!(CoreSet::count(0).resolve().is_err());
        assert!(CoreSet::list([]).resolve().is_err());
        assert!(!CoreSet::all().resolve().unwrap().is_empty());
        assert!(!CoreSet::physical().resolve().unwrap().is_empty());
    }
}
