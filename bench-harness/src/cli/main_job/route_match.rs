//! Route matching in process: the layer that the claim was taken in.

use std::hint::black_box;
use std::time::{Duration, Instant};

use covet_http::Method;
use covet_router::matching::{MethodTable, Pattern, RouteTable};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::clock::thread_cpu_time;

/// The patterns of a service of ordinary size, as `METHOD /path` lines.
const ROUTES: &str = include_str!("routes.txt");

/// Requests in the order in which they are matched: method, path, the pattern expected, its parameters.
const REQUESTS: &[(&str, &str, &str, &[&str])] = &[
    ("GET", "/", "/", &[]),
    ("GET", "/health", "/health", &[]),
    ("GET", "/api/v1/users", "/api/v1/users", &[]),
    ("GET", "/api/v1/users/48213", "/api/v1/users/{id}", &["48213"]),
    ("PATCH", "/api/v1/users/48213", "/api/v1/users/{id}", &["48213"]),
    ("GET", "/api/v1/users/48213/posts", "/api/v1/users/{id}/posts", &["48213"]),
    ("GET", "/api/v1/users/48213/posts/977", "/api/v1/users/{id}/posts/{post}", &["48213", "977"]),
    ("GET", "/api/v1/posts", "/api/v1/posts", &[]),
    ("POST", "/api/v1/posts/977/comments", "/api/v1/posts/{id}/comments", &["977"]),
    ("DELETE", "/api/v1/posts/977/comments/12", "/api/v1/posts/{id}/comments/{comment}", &["977", "12"]),
    ("GET", "/api/v1/orders/2026-11-0042", "/api/v1/orders/{id}", &["2026-11-0042"]),
    ("POST", "/api/v1/orders/2026-11-0042/refund", "/api/v1/orders/{id}/refund", &["2026-11-0042"]),
    ("GET", "/api/v1/products", "/api/v1/products", &[]),
    ("GET", "/api/v1/products/blue-chair", "/api/v1/products/{slug}", &["blue-chair"]),
    ("GET", "/api/v1/products/blue-chair/reviews", "/api/v1/products/{slug}/reviews", &["blue-chair"]),
    ("GET", "/api/v1/search", "/api/v1/search", &[]),
    (
        "GET",
        "/repos/rust-lang/rust/issues/1",
        "/repos/{owner}/{repo}/issues/{number}",
        &["rust-lang", "rust", "1"],
    ),
    (
        "GET",
        "/repos/rust-lang/rust/contents/src/lib.rs",
        "/repos/{owner}/{repo}/contents/{*path}",
        &["rust-lang", "rust", "src/lib.rs"],
    ),
    ("GET", "/assets/css/site.css", "/assets/{*file}", &["css/site.css"]),
    ("GET", "/admin/metrics", "/admin/metrics", &[]),
    ("PUT", "/admin/settings/mail", "/admin/settings/{key}", &["mail"]),
    ("POST", "/login", "/login", &[]),
    (
        "GET",
        "/blog/2026/11/a-claim-has-a-layer",
        "/blog/{year}/{month}/{slug}",
        &["2026", "11", "a-claim-has-a-layer"],
    ),
    ("HEAD", "/api/v1/users/48213", "/api/v1/users/{id}", &["48213"]),
];

/// How many times all requests are matched between two looks at the clock.
const PASSES: u64 = 256;

/// One run of matching.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Matches per second.
    pub(super) rate: f64,
    /// CPU time for one match.
    pub(super) cpu: Duration,
    /// CPU time over wall time.
    pub(super) busy: f64,
    /// Matches that gave another pattern or other parameters than expected.
    pub(super) wrong: u64,
    /// All matches.
    pub(super) matches: u64,
}

/// The table and the requests, ready to be matched.
pub(super) struct Matching {
    table: RouteTable<MethodTable<u32>>,
    requests: Vec<Request>,
    routes: usize,
}

struct Request {
    method: Method,
    path: &'static str,
    pattern: u32,
    parameters: &'static [&'static str],
}

impl Matching {
    /// Builds the table.
    ///
    /// # Panics
    /// When the built-in routes contradict each other, which the tests rule out.
    pub(super) fn new() -> Matching {
        let mut table: RouteTable<MethodTable<u32>> = RouteTable::new();
        let mut patterns: Vec<&str> = Vec::new();
        let mut routes = 0;
        for (method, path) in ROUTES.lines().filter_map(|line| line.split_once(' ')) {
            let method = Method::from_bytes(method.as_bytes()).expect("the routes name valid methods");
            let pattern = Pattern::parse(path).expect("the routes are valid patterns");
            let number = position(&mut patterns, path);
            let methods = match table.get_mut(&pattern) {
                Some(methods) => methods,
                None => table.insert(pattern, MethodTable::new()).expect("no two routes conflict"),
            };
            methods.insert(Some(method), number).expect("no route stands there twice");
            routes += 1;
        }
        let requests = REQUESTS
            .iter()
            .map(|&(method, path, pattern, parameters)| Request {
                method: Method::from_bytes(method.as_bytes()).expect("the requests name valid methods"),
                path,
                pattern: position(&mut patterns, pattern),
                parameters,
            })
            .collect();
        Matching { table, requests, routes }
    }

    /// What is matched, in words.
    pub(super) fn subject(&self) -> String {
        format!(
            "covet-router's matcher: {} routes, {} requests in turn, method and parameters of each checked",
            self.routes,
            self.requests.len()
        )
    }

    /// Matches for at least `length` on the calling thread.
    pub(super) fn run(&self, length: Duration) -> Run {
        let (mut matches, mut wrong) = (0, 0);
        let cpu_before = thread_cpu_time();
        let start = Instant::now();
        let elapsed = loop {
            for _ in 0..PASSES {
                wrong += self.pass();
            }
            matches += PASSES * self.requests.len() as u64;
            let elapsed = start.elapsed();
            if elapsed >= length {
                break elapsed;
            }
        };
        let cpu = thread_cpu_time() - cpu_before;
        Run {
            rate: matches as f64 / elapsed.as_secs_f64(),
            cpu: cpu.div_f64(matches as f64),
            busy: cpu.as_secs_f64() / elapsed.as_secs_f64(),
            wrong,
            matches,
        }
    }

    /// Matches every request once; returns how many came out wrong.
    fn pass(&self) -> u64 {
        self.requests.iter().map(|request| u64::from(!self.matches(request))).sum()
    }

    fn matches(&self, request: &Request) -> bool {
        // The compiler must not see that the same path was matched in the pass before.
        let path = black_box(request.path);
        let Some(found) = self.table.find(path) else { return false };
        let right = found.value.get(black_box(&request.method)) == Some(&request.pattern)
            && found.spans.len() == request.parameters.len();
        // One parameter is compared in full: enough to prove that spans are real, without timing memcmp.
        let last = found.spans.last().map(|&(from, to)| &path[from as usize..to as usize]);
        black_box(right && last == request.parameters.last().copied())
    }
}

/// Where `path` stands in `patterns`, to which it is added when it does not.
fn position<'a>(patterns: &mut Vec<&'a str>, path: &'a str) -> u32 {
    let found = patterns.iter().position(|known| *known == path);
    let index = found.unwrap_or_else(|| {
        patterns.push(path);
        patterns.len() - 1
    });
    u32::try_from(index).expect("there are few patterns")
}

/// Makes `runs` runs of `length` pinned to `cpu`; the thread's affinity is as before afterwards.
pub(super) fn measure(
    matching: &Matching,
    cpu: usize,
    runs: usize,
    length: Duration,
    mut after: impl FnMut(&Run),
) -> Vec<Run> {
    let before = sched_getaffinity(None).ok();
    let mut one = CpuSet::new();
    one.set(cpu);
    // Not pinned is slower at worst, and the figure is then too low and not too high.
    let _ = sched_setaffinity(None, &one);
    matching.run(length / 5);
    let runs = (0..runs).map(|_| matching.run(length)).inspect(|run| after(run)).collect();
    if let Some(before) = before {
        let _ = sched_setaffinity(None, &before);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_matched_as_expected() {
        let matching = Matching::new();
        assert!(matching.routes >= 60, "{}", matching.routes);
        for request in &matching.requests {
            assert!(matching.matches(request), "{} {}", request.method, request.path);
            let found = matching.table.find(request.path).unwrap();
            let parameters: Vec<&str> =
                found.spans.iter().map(|&(from, to)| &request.path[from as usize..to as usize]).collect();
            assert_eq!(parameters, request.parameters, "{}", request.path);
        }
    }

    #[test]
    fn a_wrong_match_is_counted() {
        let mut matching = Matching::new();
        matching.requests[3].pattern += 1;
        matching.requests[5].parameters = &["48214"];
        assert_eq!(matching.pass(), 2);
        let run = matching.run(Duration::from_millis(1));
        assert_eq!(run.wrong, 2 * run.matches / REQUESTS.len() as u64);
        assert!(run.rate > 0.0 && run.cpu > Duration::ZERO);
    }
}
