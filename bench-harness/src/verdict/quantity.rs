//! What a claim is about, and how its numbers are read and written.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::report::quantity::{grouped, seconds, three_digits};

/// What a claim is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Operations per second; at least so many.
    #[default]
    Rate,
    /// A quantile of the response time; at most so long. In seconds.
    Latency,
    /// Resident memory of the server with its connections open; at most so much. In bytes.
    Memory,
    /// The share of requests without a valid answer; at most so large.
    Errors,
}

impl Quantity {
    /// Whether a larger value is a better one.
    pub fn is_at_least(self) -> bool {
        self == Quantity::Rate
    }

    /// What one `unit` of a claim is in the base unit, or `None` for a unit of something else. Rates count anything.
    pub fn factor(self, unit: &str) -> Option<f64> {
        self.units().iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor).or(match self {
            Quantity::Rate => Some(1.0),
            _ => None,
        })
    }

    /// The units that [`Quantity::factor`] knows, for an error.
    pub fn units(self) -> &'static [(&'static str, f64)] {
        match self {
            Quantity::Rate => &[],
            Quantity::Latency => &[("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("s", 1.0)],
            Quantity::Memory => {
                &[("MB", 1e6), ("MiB", 1_048_576.0), ("kB", 1e3), ("KiB", 1024.0), ("GB", 1e9)]
            }
            Quantity::Errors => &[("%", 0.01)],
        }
    }

    /// The heading of a column of such values.
    pub fn heading(self) -> &'static str {
        match self {
            Quantity::Rate => "rate/s",
            Quantity::Latency => "latency",
            Quantity::Memory => "memory",
            Quantity::Errors => "errors",
        }
    }

    /// A value in the base unit, as people read it.
    pub fn show(self, value: f64) -> String {
        match self {
            Quantity::Rate => grouped(value),
            Quantity::Latency => seconds(value),
            Quantity::Memory => bytes(value),
            Quantity::Errors if value == 0.0 => "0 %".to_owned(),
            Quantity::Errors if value < 1e-5 => format!("{:.1e} %", value * 100.0),
            Quantity::Errors => format!("{} %", three_digits(value * 100.0)),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quantity::Rate => "rate",
            Quantity::Latency => "latency",
            Quantity::Memory => "memory",
            Quantity::Errors => "errors",
        })
    }
}

/// Bytes with three digits and a decimal unit: `57.3 MB`.
pub fn bytes(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 999.5e6 => (value / 1e9, "GB"),
        v if v >= 999.5e3 => (value / 1e6, "MB"),
        v if v >= 999.5 => (value / 1e3, "kB"),
        _ => return format!("{value:.0} bytes"),
    };
    format!("{} {unit}", three_digits(scaled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_become_base_units() {
        assert_eq!(Quantity::Latency.factor("ms"), Some(1e-3));
        assert_eq!(Quantity::Memory.factor("MB"), Some(1e6));
        assert_eq!(Quantity::Errors.factor("%"), Some(0.01));
        assert_eq!(Quantity::Rate.factor("requests per second"), Some(1.0));
        assert_eq!(Quantity::Memory.factor("ms"), None);
        assert_eq!(Quantity::Latency.factor("requests"), None);
    }

    #[test]
    fn values_are_shown_in_their_own_form() {
        assert_eq!(Quantity::Rate.show(784_921.0), "784,921");
        assert_eq!(Quantity::Latency.show(0.010), "10.0 ms");
        assert_eq!(Quantity::Memory.show(57_340_000.0), "57.3 MB");
        assert_eq!(Quantity::Memory.show(640.0), "640 bytes");
        assert_eq!(Quantity::Errors.show(0.0), "0 %");
        assert_eq!(Quantity::Errors.show(0.01), "1.00 %");
        assert_eq!(Quantity::Errors.show(2e-7), "2.0e-5 %");
        assert_eq!(Quantity::Errors.show(5e-6), "5.0e-4 %");
        assert_eq!(Quantity::Errors.show(2e-5), "0.00200 %");
    }
}
