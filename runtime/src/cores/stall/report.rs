//! A stall in words.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// A task held its core longer than [`Builder::stall_limit`](crate::Builder::stall_limit) allows.
///
/// Its text is the whole report, over several lines.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StallReport {
    /// The CPU that the core is pinned to, if it is.
    pub cpu: Option<usize>,
    /// How long the stall had lasted at least when the report was made.
    pub lasted: Duration,
    /// How much of that the core's thread waited for a CPU that the kernel gave to others. If it is most of it, the
    /// machine is overloaded, and the task is not to blame.
    pub waited_for_cpu: Duration,
    /// The task's name, if it has one; its first 64 bytes.
    pub task: Option<String>,
    /// Where the task was spawned. `None` if the core was not polling a task (it handled completions, timers or wakes)
    /// or did not answer.
    pub spawned_at: Option<&'static Location<'static>>,
    /// The functions that the core was in, innermost first, down to the poll. Empty without the feature `backtraces`,
    /// or if the core did not answer: it waits for its CPU, or sleeps in the kernel uninterruptibly.
    pub frames: Vec<String>,
    /// Stalls since the last report that were not reported, as there were too many.
    pub suppressed: u64,
}

impl StallReport {
    /// Whether the machine is to blame, and not the task.
    pub(super) fn is_starvation(&self) -> bool {
        self.waited_for_cpu * 4 > self.lasted * 3
    }
}

impl fmt::Display for StallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cpu {
            Some(cpu) => write!(f, "core {cpu}")?,
            None => f.write_str("a core")?,
        }
        write!(f, " has been held for {:?} by ", self.lasted)?;
        match self.spawned_at {
            Some(at) => match &self.task {
                Some(name) => write!(f, "the task {name:?}, spawned at {at}")?,
                None => write!(f, "the task spawned at {at}")?,
            },
            None => f.write_str("something outside its tasks")?,
        }
        if self.waited_for_cpu > self.lasted / 10 {
            write!(f, " (for {:?} of it, other threads had its CPU)", self.waited_for_cpu)?;
        }
        if self.suppressed > 0 {
            write!(f, "; {} more stalls were not reported", self.suppressed)?;
        }
        for (number, frame) in self.frames.iter().enumerate() {
            write!(f, "\n{number:4}: {frame}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_all_that_is_known() {
        let at = Location::caller();
        let mut report = StallReport {
            cpu: Some(3),
            lasted: Duration::from_millis(120),
            waited_for_cpu: Duration::ZERO,
            task: Some("sums".into()),
            spawned_at: Some(at),
            frames: vec!["inner".into(), "outer".into()],
            suppressed: 0,
        };
        assert_eq!(
            report.to_string(),
            format!(
                "core 3 has been held for 120ms by the task \"sums\", spawned at {at}\n   0: inner\n   1: outer"
            )
        );
        assert!(!report.is_starvation());
        report.task = None;
        report.frames.clear();
        report.suppressed = 4;
        assert_eq!(
            report.to_string(),
            format!(
                "core 3 has been held for 120ms by the task spawned at {at}; 4 more stalls were not reported"
            )
        );
        (report.cpu, report.spawned_at, report.suppressed) = (None, None, 0);
        report.waited_for_cpu = Duration::from_millis(100);
        assert_eq!(
            report.to_string(),
            "a core has been held for 120ms by something outside its tasks (for 100ms of it, other threads had its CPU)"
        );
        assert!(report.is_starvation());
    }
}
