//! What wrk, wrk2 and h2load print.

use super::Said;

/// wrk and wrk2, whose output is the same up to the precision of the percentiles.
pub(super) fn wrk(text: &str) -> Result<Said, String> {
    let mut said = Said::default();
    let mut in_distribution = false;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["Running", _, "test", "@", url, ..] => said.url = Some((*url).to_owned()),
            [threads, "threads", "and", connections, "connections"] => {
                (said.threads, said.connections) = (threads.parse().ok(), connections.parse().ok());
            }
            ["Latency", "Distribution", ..] => in_distribution = said.quantiles_ns.is_empty(),
            ["Latency", mean, _, max, ..] if said.mean_ns == 0.0 => {
                (said.mean_ns, said.max_ns) = (nanos(mean).unwrap_or(0.0), nanos(max).unwrap_or(0.0) as u64);
            }
            [percent, value] if in_distribution && percent.ends_with('%') => {
                let (Some(percent), Some(value)) =
                    (percent.trim_end_matches('%').parse::<f64>().ok(), nanos(value))
                else {
                    return Err(format!("`{}` is no percentile", line.trim()));
                };
                if percent < 100.0 {
                    said.quantiles_ns
                        .insert(crate::report::quantity::percentile(percent / 100.0), value as u64);
                }
            }
            [count, "requests", "in", elapsed, bytes, "read"] => {
                said.completed = count.parse().ok();
                said.elapsed_s = nanos(elapsed.trim_end_matches(',')).map(|ns| ns / 1e9);
                said.bytes_in = size(bytes);
            }
            ["Socket", "errors:", rest @ ..] => {
                for pair in rest.chunks_exact(2) {
                    let count = pair[1].trim_end_matches(',').parse().unwrap_or(0);
                    said.errors.insert(pair[0].to_owned(), count);
                }
            }
            ["Non-2xx", "or", "3xx", "responses:", count] => {
                let count = count.parse().unwrap_or(0);
                said.errors.insert("unexpected_status".to_owned(), count);
                said.completed = said.completed.map(|completed| completed.saturating_sub(count));
            }
            ["Requests/sec:", rate] => said.rate = rate.parse().ok(),
            [] | ["Detailed", ..] => in_distribution = in_distribution && words.is_empty(),
            _ => {}
        }
    }
    said.failed = Some(said.errors.values().sum());
    // Errors of a status are in wrk's rate, and validated responses are what a rate counts.
    let measured = said.completed.zip(said.elapsed_s.filter(|seconds| *seconds > 0.0));
    if let Some((completed, elapsed)) = measured.filter(|_| said.errors.contains_key("unexpected_status")) {
        said.rate = Some(completed as f64 / elapsed);
    }
    if said.rate.is_none() || said.completed.is_none() {
        return Err("the lines `Requests/sec:` and `requests in` are missing".to_owned());
    }
    Ok(said)
}

/// h2load, whose statistics have one column for each name in the line above them.
pub(super) fn h2load(text: &str) -> Result<Said, String> {
    let mut said = Said::default();
    let mut columns: Vec<&str> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["finished", "in", elapsed, rate, "req/s,", ..] => {
                said.elapsed_s = nanos(elapsed.trim_end_matches(',')).map(|ns| ns / 1e9);
                said.rate = rate.trim_end_matches(',').parse().ok();
            }
            ["requests:", rest @ ..] => {
                let count = |name: &str| {
                    rest.chunks_exact(2)
                        .find(|pair| pair[1].trim_end_matches(',') == name)
                        .and_then(|pair| pair[0].parse().ok())
                };
                said.completed = count("succeeded");
                said.failed = count("failed");
                for name in ["errored", "timeout"] {
                    said.errors.insert(name.to_owned(), count(name).unwrap_or(0));
                }
            }
            ["status", "codes:", rest @ ..] => {
                for pair in rest.chunks_exact(2) {
                    let class = pair[1].trim_end_matches(',').to_owned();
                    said.status.insert(class, pair[0].parse().unwrap_or(0));
                }
            }
            ["traffic:", _, bytes, ..] => {
                said.bytes_in = bytes.trim_matches(['(', ')']).parse().ok();
            }
            ["min", "max", ..] => columns = words,
            ["time", "for", "request:", values @ ..] | ["request", ":", values @ ..] => {
                for (name, value) in columns.iter().zip(values) {
                    let Some(value) = nanos(value) else { continue };
                    match *name {
                        "min" => said.min_ns = value as u64,
                        "max" => said.max_ns = value as u64,
                        "mean" => said.mean_ns = value,
                        "median" => drop(said.quantiles_ns.insert("p50".to_owned(), value as u64)),
                        "p95" | "p99" => drop(said.quantiles_ns.insert((*name).to_owned(), value as u64)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    // What was answered with an error is in its rate, and validated responses are what a rate counts.
    let measured = said.completed.zip(said.elapsed_s.filter(|seconds| *seconds > 0.0));
    if let Some((completed, elapsed)) = measured.filter(|_| said.failed.is_some_and(|failed| failed > 0)) {
        said.rate = said.rate.map(|_| completed as f64 / elapsed);
    }
    if said.rate.is_none() || said.completed.is_none() {
        return Err("the lines `finished in` and `requests:` are missing".to_owned());
    }
    Ok(said)
}

/// A length of time such as `635.91us`, in nanoseconds.
fn nanos(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let factor = match &text[end..] {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        _ => return None,
    };
    text[..end].parse::<f64>().ok().map(|number| number * factor)
}

/// A number of bytes such as `17.76GB`; wrk's units are powers of 1024.
fn size(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let power = match &text[end..] {
        "B" => 0,
        "KB" => 1,
        "MB" => 2,
        "GB" => 3,
        "TB" => 4,
        _ => return None,
    };
    text[..end].parse::<f64>().ok().map(|number| (number * 1024f64.powi(power)) as u64)
}
