//! Whether the values of a claim make sense, each and together.

use super::{Claim, SCHEMA};
use crate::verdict::{Quantity, Reading};

/// The key that is wrong, and why.
type Wrong = (String, String);

fn wrong<T>(key: &str, problem: impl Into<String>) -> Result<T, Wrong> {
    Err((key.to_owned(), problem.into()))
}

pub(super) fn claim(claim: &Claim) -> Result<(), Wrong> {
    figure(claim)?;
    if claim.read_as.is_empty() {
        return wrong("read_as", "there must be at least one");
    }
    if let Some(taken) = claim.taken() {
        reading(claim, "taken_in", &taken)?;
    }
    for (i, read) in claim.read_as.iter().enumerate() {
        reading(claim, &format!("read_as[{i}]"), &read.reading())?;
    }
    stated(claim)?;
    chosen(claim)
}

fn figure(claim: &Claim) -> Result<(), Wrong> {
    if claim.schema != SCHEMA {
        return wrong(
            "schema",
            format!("{} is not a known version, this build reads {SCHEMA}", claim.schema),
        );
    }
    let (value, quantity) = (claim.value, claim.quantity);
    if !(value.is_finite() && value > 0.0) {
        let what = if quantity == Quantity::Rate { "rate" } else { "value" };
        return wrong("value", format!("{value} is not a {what} above zero"));
    }
    if quantity.factor(&claim.unit).is_none() {
        let units: Vec<&str> = quantity.units().iter().map(|(name, _)| *name).collect();
        return wrong(
            "unit",
            format!("`{}` is no unit of {quantity}: write {}", claim.unit, units.join(" or ")),
        );
    }
    if quantity == Quantity::Errors && value >= 100.0 {
        return wrong("value", format!("{value} % of the requests may always fail"));
    }
    if !(0.0..1.0).contains(&claim.tolerance) {
        return wrong("tolerance", format!("{} is not a share from 0 to below 1", claim.tolerance));
    }
    Ok(())
}

fn reading(claim: &Claim, key: &str, reading: &Reading) -> Result<(), Wrong> {
    let http = reading.layer.is_http();
    if !http && claim.quantity != Quantity::Rate {
        return wrong(&format!("{key}.layer"), format!("{} is measured over HTTP only", claim.quantity));
    }
    let depth = format!("{key}.depth");
    match reading.depth {
        None if http => return wrong(&depth, "an HTTP layer needs a depth of 1 or more"),
        Some(_) if !http => return wrong(&depth, "only HTTP layers have a depth"),
        Some(depth_of @ (0 | 1025..)) => {
            return wrong(&depth, format!("{depth_of} is not between 1 and 1024"));
        }
        Some(2..) if claim.quantity == Quantity::Memory => {
            return wrong(&depth, "memory is that of connections with one request each: write 1");
        }
        _ => {}
    }
    let quantile = format!("{key}.quantile");
    match (reading.quantile, claim.quantity) {
        (None, Quantity::Latency) => wrong(&quantile, "a latency needs one, such as 0.99"),
        (Some(q), Quantity::Latency) if !(q > 0.0 && q < 1.0) => {
            wrong(&quantile, format!("{q} is not between 0 and 1"))
        }
        (Some(_), other) if other != Quantity::Latency => {
            wrong(&quantile, format!("only a latency has one, and this claim is of {other}"))
        }
        _ => Ok(()),
    }
}

/// What the source states must not contradict how the claim is read.
fn stated(claim: &Claim) -> Result<(), Wrong> {
    let stated = &claim.stated;
    if let Some(protocol) = &stated.protocol {
        let lower = protocol.to_ascii_lowercase();
        if !["http", "https", "http/1", "http/1.0", "http/1.1"].contains(&lower.as_str()) {
            return wrong(
                "stated.protocol",
                format!("`{protocol}` cannot be measured: this build speaks HTTP/1.1, and nothing over it"),
            );
        }
    }
    let over_http = || claim.read_as.iter().filter(|read| read.layer.is_http());
    if let Some(depth) = stated.depth
        && over_http().next().is_some()
        && over_http().all(|read| read.depth != Some(depth))
    {
        return wrong("stated.depth", format!("the source states {depth}, and no `read_as` has it"));
    }
    if let Some(q) = stated.quantile
        && !claim.read_as.iter().any(|read| read.quantile == Some(q))
    {
        return wrong("stated.quantile", format!("the source states {q}, and no `read_as` has it"));
    }
    for (key, count) in [("stated.connections", stated.connections), ("stated.cores", stated.cores)] {
        if count == Some(0) {
            return wrong(key, "0 serves nobody");
        }
    }
    Ok(())
}

fn chosen(claim: &Claim) -> Result<(), Wrong> {
    let (stated, measure) = (&claim.stated, &claim.measure);
    if let Some((stated, chosen)) = stated.connections.zip(measure.connections)
        && stated != chosen
    {
        return wrong("measure.connections", format!("{chosen}, but the source states {stated}"));
    }
    if let Some((stated, chosen)) = stated.rate.zip(measure.rate)
        && stated != chosen
    {
        return wrong("measure.rate", format!("{chosen}, but the source states {stated}"));
    }
    if measure.connections == Some(0) {
        return wrong("measure.connections", "0 loads nothing");
    }
    let key = if stated.rate.is_some() { "stated.rate" } else { "measure.rate" };
    match claim.rate() {
        Some(rate) if !(rate.is_finite() && rate > 0.0) => {
            return wrong(key, format!("{rate} is not a rate above zero"));
        }
        Some(_) if matches!(claim.quantity, Quantity::Rate | Quantity::Memory) => {
            return wrong(key, format!("a claim of {} is not measured at a given rate", claim.quantity));
        }
        _ => {}
    }
    if let Some(path) = &measure.path
        && !path.starts_with('/')
    {
        return wrong("measure.path", format!("`{path}` does not begin with a slash"));
    }
    if claim.quantity == Quantity::Memory && claim.connections().is_none() {
        return wrong("measure.connections", "memory is that of a number of connections: write how many");
    }
    Ok(())
}
