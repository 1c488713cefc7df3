//! What of a representation a request wants.

use std::ops::Range;

use http::Method;

use super::Validators;
use super::parse::{Spec, parse};
use crate::Request;

/// The bounds on what is taken from a Range field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Number of ranges; with more, the field is ignored and the answer is the whole. Default 16.
    pub ranges: usize,
    /// Ranges with at most so many bytes between them are sent as one: a part's head is not shorter. Default 80.
    pub gap: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { ranges: 16, gap: 80 }
    }
}

/// What of a representation is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it, with 200: no range is asked for, or none that counts.
    Whole,
    /// These ranges, with 206. None is empty, none overlaps another or begins right behind it.
    ///
    /// They are in the order asked for, and never longer than the whole in sum.
    Partial(Vec<Range<u64>>),
    /// Nothing: 416 (RFC 9110 section 15.5.17).
    Unsatisfiable,
}

/// Says what a request wants of a representation of `length` bytes.
///
/// As RFC 9110 section 14.2 has it, the Range field counts only for GET, in bytes, where If-Range holds. One that is
/// malformed, is there twice or has more ranges than [`Limits::ranges`] is ignored: that costs the client no more than
/// bytes, while what lies between an answer and a refusal of thousands of ranges has cost servers their memory.
/// Ranges that overlap or nearly touch become one, so that no byte is sent twice.
///
/// Ask it where the answer would be 200, after the preconditions If-Match to If-Unmodified-Since (section 13.2.2).
pub fn select(request: &Request, length: u64, validators: &Validators<'_>, limits: &Limits) -> Selection {
    if *request.method() != Method::GET {
        return Selection::Whole;
    }
    let Some(field) = single(request, "range") else { return Selection::Whole };
    let Some(specs) = parse(field, limits.ranges) else { return Selection::Whole };
    let mut conditions = request.fields().filter(|(name, _)| name.eq_ignore_ascii_case("if-range"));
    let condition = conditions.next();
    if conditions.next().is_some() || condition.is_some_and(|(_, value)| !validators.allow(value)) {
        return Selection::Whole;
    }
    resolve(&specs, length, limits.gap)
}

/// The value of a field that is there once.
fn single<'a>(request: &'a Request, name: &str) -> Option<&'a [u8]> {
    let mut fields = request.fields().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    let (_, value) = fields.next()?;
    fields.next().is_none().then_some(value)
}

/// The ranges that a representation of this length can satisfy.
pub(super) fn resolve(specs: &[Spec], length: u64, gap: u64) -> Selection {
    // The last bytes of nothing are nothing, which is a satisfiable range that no Content-Range can express.
    if length == 0 && specs.iter().any(|spec| matches!(spec, Spec::Last(1..))) {
        return Selection::Whole;
    }
    let mut ranges = Vec::with_capacity(specs.len());
    for range in specs.iter().filter_map(|&spec| satisfy(spec, length)) {
        insert(&mut ranges, range, gap);
    }
    if ranges.is_empty() { Selection::Unsatisfiable } else { Selection::Partial(ranges) }
}

fn satisfy(spec: Spec, length: u64) -> Option<Range<u64>> {
    let range = match spec {
        Spec::FromTo(first, last) => first..last.saturating_add(1).min(length),
        Spec::From(first) => first..length,
        Spec::Last(count) => length - count.min(length)..length,
    };
    (range.start < range.end).then_some(range)
}

/// Adds a range, joined with those that it overlaps or nearly touches, in the place of the first of them.
fn insert(ranges: &mut Vec<Range<u64>>, mut range: Range<u64>, gap: u64) {
    let mut place = ranges.len();
    // What has grown by one may touch another, so each joining begins anew; there are as many ranges as the limit says.
    while let Some(at) = ranges.iter().position(|other| {
        range.start <= other.end.saturating_add(gap) && other.start <= range.end.saturating_add(gap)
    }) {
        let other = ranges.remove(at);
        range = range.start.min(other.start)..range.end.max(other.end);
        place = place.min(at);
    }
    ranges.insert(place.min(ranges.len()), range);
}
