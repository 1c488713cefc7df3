//! The record as text for a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use super::{ErrorClass, GuardOutcome, Hist, LoopModel, REPORTED_QUANTILES, RunRecord};
use crate::load::format_cpus;
use crate::quantity::{short, time};

impl RunRecord {
    /// The result as lines of text: the headline with its conditions, what failed first, latencies as far as the
    /// data bear them, and whether the generator can be believed.
    pub fn to_text(&self) -> String {
        self.to_text_for(false)
    }

    /// As [`RunRecord::to_text`]; where the run is invalid its percentiles are greyed, with colour for a terminal.
    pub fn to_text_for(&self, terminal: bool) -> String {
        let mut lines = vec![self.headline(), self.conditions_line()];
        lines.extend(self.aborted.iter().map(|why| format!("  ABORTED     {why}")));
        lines.extend(self.error_lines());
        lines.push(self.rate_line());
        lines.extend(self.tls_line());
        lines.extend(self.latency_lines().into_iter().map(|line| self.greyed(line, terminal)));
        lines.extend(self.unfinished_line());
        lines.push(self.generator_line());
        lines.extend(self.guard_lines());
        lines.join("\n") + "\n"
    }

    /// Percentiles that prove nothing must not look like those that do.
    fn greyed(&self, line: String, terminal: bool) -> String {
        match (self.is_valid(), terminal) {
            (true, _) => line,
            (false, true) => format!("\x1b[2m{line}\x1b[0m"),
            (false, false) => format!("{line}  (not reliable)"),
        }
    }

    fn headline(&self) -> String {
        let conditions = &self.conditions;
        let verdict = if self.is_valid() { "" } else { "INVALID  " };
        let model = match conditions.loop_model {
            LoopModel::Closed => "closed loop".to_owned(),
            LoopModel::Open { rate } => format!("open loop at {}/s", short(rate)),
            LoopModel::PartlyOpen { rate, requests } => {
                format!("partly open loop of {} sessions/s with {requests} requests", short(rate))
            }
        };
        format!(
            "{verdict}{} requests/s  {model}, {}, depth {}, {}, {} {}",
            short(self.rate()),
            counted(conditions.connections as u64, "connection"),
            conditions.pipeline,
            conditions.protocol,
            conditions.method,
            conditions.url
        )
    }

    fn conditions_line(&self) -> String {
        let conditions = &self.conditions;
        let server = match &conditions.server_cpus {
            Some(cpus) => format!("CPU {}", format_cpus(cpus)),
            None => "not known".to_owned(),
        };
        let threads = counted(conditions.threads as u64, "thread");
        let warm_up = match &self.warmed_up {
            Some(end) if end.steady => format!("{} until steady", time(end.took)),
            Some(end) if end.known => format!("{} and never steady", time(end.took)),
            Some(end) => format!("{}, too short to tell whether it was steady", time(end.took)),
            None => time(conditions.warmup),
        };
        let mut shape = String::new();
        for (name, value) in [
            ("arrivals", conditions.arrivals.clone()),
            ("think time", conditions.think.clone()),
            ("requests per connection", conditions.requests_per_connection.map(|n| n.to_string())),
            ("connections per second at most", conditions.connection_rate.map(|rate| rate.to_string())),
            ("request with", conditions.request.clone()),
            ("accepted", conditions.accepted.clone()),
            ("kinds of requests", (conditions.kinds > 1).then(|| conditions.kinds.to_string())),
            ("connected to", conditions.connected_to.clone()),
        ] {
            if let Some(value) = value {
                let _ = write!(shape, "{name} {value}, ");
            }
        }
        format!(
            "  conditions  {shape}generator CPU {} ({}), server {server}, warm-up {warm_up}, measured {}, one run, Linux {}, {}",
            format_cpus(&conditions.generator_cpus),
            threads,
            time(self.elapsed),
            conditions.kernel,
            conditions.cpu_model
        )
    }

    fn error_lines(&self) -> Vec<String> {
        let total = self.errors.total();
        if total == 0 {
            return Vec::new();
        }
        let classes: Vec<String> = ErrorClass::ALL
            .iter()
            .filter(|&&class| self.errors.count(class) > 0)
            .map(|&class| format!("{} {class}", self.errors.count(class)))
            .collect();
        let mut lines = vec![format!("  ERRORS      {total}: {}", classes.join(", "))];
        if let Some(first) = &self.errors.first {
            lines.push(format!("              first: {first}"));
        }
        lines
    }

    fn rate_line(&self) -> String {
        let seconds = self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        // The window begins and ends with requests in flight: both belong to the sum.
        let before = match self.in_flight_at_start {
            0 => String::new(),
            count => format!(" and {count} in flight before"),
        };
        let after = match self.in_flight_at_end {
            0 => String::new(),
            count => format!(", {count} in flight after"),
        };
        let mut line = format!(
            "  requests    {} sent{before}: {}, {} failed{after}; {}/s in, {}/s out",
            self.sent,
            counted(self.completed, "valid response"),
            self.failed,
            bytes(self.bytes_in as f64 / seconds),
            bytes(self.bytes_out as f64 / seconds)
        );
        if self.conditions.requests_per_connection.is_some() {
            let _ = write!(line, "; {} connections opened", self.opened);
        }
        if self.reconnects > 0 {
            let _ = write!(line, "; {} connections opened again", self.reconnects);
        }
        line
    }

    fn tls_line(&self) -> Option<String> {
        let tls = self.tls.as_ref()?;
        let agreed: Vec<String> = tls
            .agreed
            .iter()
            .map(|agreed| {
                format!(
                    "{} {}: {} full and {} resumed handshakes",
                    agreed.version, agreed.cipher_suite, agreed.full, agreed.resumed
                )
            })
            .collect();
        let agreed = if agreed.is_empty() { "no handshake".to_owned() } else { agreed.join("; ") };
        let note = if tls.verified { "" } else { "; certificate not verified" };
        Some(format!("  tls         {agreed}{note}"))
    }

    fn latency_lines(&self) -> Vec<String> {
        if self.response.is_empty() {
            return Vec::new();
        }
        let borne = |q: f64| self.bears_alone(q);
        let mut lines = vec![format!("  latency     {}", quantiles(&self.response, borne))];
        if let Some(late) = &self.lateness {
            lines[0].push_str("  (from the intended start)");
            lines.push(format!("  service     {}", quantiles(&self.service, borne)));
            lines.push(format!("  lateness    {}", self.quantiles(late)));
        }
        lines.extend(self.within_line());
        if *self.first_byte != *self.service {
            lines.push(format!("  first byte  {}", self.quantiles(&self.first_byte)));
        }
        if !self.connect.is_empty() {
            lines.push(format!("  connect     {}", self.quantiles(&self.connect)));
        }
        if let Some(tls) = self.tls.as_ref().filter(|tls| !tls.times.is_empty()) {
            let times = self.quantiles(&tls.times);
            lines.push(format!("  handshake   {times}  (from the attempt to connect)"));
        }
        if self.errors.timeout > 0 {
            lines.push(format!(
                "              {} timeouts are in it at the time they had waited",
                self.errors.timeout
            ));
        }
        if self.response.overflow() > 0 {
            lines.push(format!(
                "              {} values above one hour count as one hour",
                self.response.overflow()
            ));
        }
        lines
    }

    fn quantiles(&self, hist: &Hist) -> String {
        quantiles(hist, |_| true)
    }

    /// What this run alone knows of the latencies above, where that is known.
    fn within_line(&self) -> Option<String> {
        let mut parts = Vec::new();
        for (q, name) in REPORTED_QUANTILES.into_iter().filter(|(q, _)| self.bears(*q)) {
            match self.interval_within(q).filter(|_| self.bears_alone(q)) {
                Some((lower, upper)) => parts.push(format!("{name} [{}, {}]", time(lower), time(upper))),
                // Without the dispersion there is nothing to say of any.
                None if self.dispersion(q).is_none() => {}
                None => {
                    parts.push(format!("{name} not borne by {} effective requests", short(self.effective(q))))
                }
            }
        }
        (!parts.is_empty()).then(|| format!("  within run  {}  (95 %)", parts.join("  ")))
    }

    fn unfinished_line(&self) -> Option<String> {
        let waiting = self.in_flight_at_end + self.queued_at_end + self.cut_off;
        if waiting == 0 {
            return None;
        }
        let oldest = time(Duration::from_nanos(self.censored.max()));
        let queued = match self.queued_at_end {
            0 => String::new(),
            queued => format!(", {queued} due and not sent"),
        };
        let cut_off = match self.cut_off {
            0 => String::new(),
            count => format!(", {count} cut off"),
        };
        Some(format!(
            "  unfinished  {} in flight at the end{queued}{cut_off}, the oldest waited {oldest}",
            self.in_flight_at_end
        ))
    }

    fn generator_line(&self) -> String {
        let busy: Vec<String> = self.busy.iter().map(|busy| format!("{:.0} %", busy * 100.0)).collect();
        let closure = match self.conditions.loop_model {
            LoopModel::Closed => format!("Little closure {:.3}", self.little_closure),
            LoopModel::Open { .. } | LoopModel::PartlyOpen { .. } => {
                format!("{:.1} % of the slots in use", self.slots_in_use * 100.0)
            }
        };
        format!(
            "  generator   {} of CPU per request, busy {}, {closure}",
            time(self.cpu_per_request()),
            busy.join(" + ")
        )
    }

    fn guard_lines(&self) -> Vec<String> {
        let guards = self.guards();
        let mut lines: Vec<String> = guards
            .iter()
            .map(|guard| {
                let word = match guard.outcome {
                    GuardOutcome::Passed => "passed",
                    GuardOutcome::Warning => "warning",
                    GuardOutcome::Failed => "FAILED",
                    GuardOutcome::NotMeasured => "not made",
                };
                format!("  {word:<11} {}: {}", guard.name, guard.detail)
            })
            .collect();
        let clean = guards.iter().all(|guard| guard.outcome != GuardOutcome::Warning);
        let made = guards.iter().filter(|guard| guard.outcome != GuardOutcome::NotMeasured).count();
        let verdict = match (self.is_valid(), clean) {
            (false, _) => "INVALID: the numbers above prove nothing",
            (true, true) => "VALID",
            (true, false) => "VALID with warnings",
        };
        lines.push(format!("  verdict     {verdict} ({made} of {} checks)", guards.len()));
        lines
    }
}

/// A number of bytes: `755 B`, `7.18 kB`.
fn bytes(value: f64) -> String {
    let text = short(value);
    if text.contains(' ') { text + "B" } else { text + " B" }
}

/// How many of something: `1 connection`, `64 connections`.
fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

fn quantiles(hist: &Hist, borne: impl Fn(f64) -> bool) -> String {
    let enough = |q: f64| hist.len() as f64 * (1.0 - q) >= 10.0 - 1e-6;
    let mut parts: Vec<String> = REPORTED_QUANTILES
        .iter()
        .filter(|(q, _)| enough(*q) && borne(*q))
        .map(|(q, name)| format!("{name} {}", time(hist.quantile(*q))))
        .collect();
    parts.push(format!("max {}", time(Duration::from_nanos(hist.max()))));
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_counts_have_their_words() {
        assert_eq!((bytes(755.2), bytes(7180.0)), ("755 B".to_owned(), "7.18 kB".to_owned()));
        let connections = |count| counted(count, "connection");
        assert_eq!(
            (connections(1), connections(64)),
            ("1 connection".to_owned(), "64 connections".to_owned())
        );
    }
}
