//! The CPU limit of this process's control group (cgroups(7), version 2 and 1).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const MOUNT: &str = "/sys/fs/cgroup";

/// How many CPUs' worth of time the control group, or one that holds it, may use; `None` where there is no limit.
pub fn quota() -> Option<f64> {
    let limits = directories().into_iter().filter_map(|directory| {
        let read = |name: &str| fs::read_to_string(directory.join(name)).ok();
        match read("cpu.max") {
            Some(text) => parse_max(&text),
            None => parse_v1(&read("cpu.cfs_quota_us")?, &read("cpu.cfs_period_us")?),
        }
    });
    limits.reduce(f64::min)
}

/// How often, and for how long, the control group was stopped because it had used up its share.
pub(super) fn throttling() -> Option<(u64, Duration)> {
    let texts = directories().into_iter().filter_map(|at| fs::read_to_string(at.join("cpu.stat")).ok());
    texts.filter_map(|text| parse_stat(&text)).max_by_key(|(periods, _)| *periods)
}

/// The control group's directory and those that hold it, the innermost first.
fn directories() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(own) = own_directory(&text) else { return Vec::new() };
    own.ancestors().take_while(|path| path.starts_with(MOUNT)).map(Path::to_owned).collect()
}

/// In a container the path is often that of the host, of which only the mount itself can be seen; then its ancestors
/// lead there.
fn own_directory(text: &str) -> Option<PathBuf> {
    text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let path = path.trim_start_matches('/');
        match controllers {
            "" => Some(Path::new(MOUNT).join(path)),
            _ if controllers.split(',').any(|name| name == "cpu") => {
                Some(Path::new(MOUNT).join("cpu").join(path))
            }
            _ => None,
        }
    })
}

fn parse_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    share(quota.parse().ok()?, period.parse().ok()?)
}

fn parse_v1(quota: &str, period: &str) -> Option<f64> {
    share(quota.trim().parse().ok()?, period.trim().parse().ok()?)
}

fn share(quota: f64, period: f64) -> Option<f64> {
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

fn parse_stat(text: &str) -> Option<(u64, Duration)> {
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    let time = field("throttled_usec ")
        .map(Duration::from_micros)
        .or_else(|| field("throttled_time ").map(Duration::from_nanos));
    Some((field("nr_throttled ")?, time?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_both_versions_are_read() {
        assert_eq!(parse_max("150000 100000\n"), Some(1.5));
        assert_eq!(parse_max("max 100000\n"), None);
        assert_eq!(parse_v1("200000\n", "100000\n"), Some(2.0));
        assert_eq!(parse_v1("-1\n", "100000\n"), None);
    }

    #[test]
    fn throttling_of_both_versions_is_read() {
        let v2 = "usage_usec 1\nnr_periods 9\nnr_throttled 3\nthrottled_usec 1500\n";
        assert_eq!(parse_stat(v2), Some((3, Duration::from_micros(1500))));
        let v1 = "nr_periods 9\nnr_throttled 3\nthrottled_time 1500\n";
        assert_eq!(parse_stat(v1), Some((3, Duration::from_nanos(1500))));
        assert_eq!(parse_stat("usage_usec 1\n"), None);
    }

    #[test]
    fn the_group_is_found_in_both_versions() {
        assert_eq!(own_directory("0::/a/b\n"), Some(PathBuf::from("/sys/fs/cgroup/a/b")));
        let v1 = "12:memory:/m\n4:cpu,cpuacct:/c\n";
        assert_eq!(own_directory(v1), Some(PathBuf::from("/sys/fs/cgroup/cpu/c")));
        assert_eq!(own_directory(""), None);
    }
}
