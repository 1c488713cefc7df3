//! Numbers as people read them.

use std::time::Duration;

/// A number of zero or more with thousands separated, without decimals: `784,921`.
pub fn grouped(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0.0 && digits != "0" {
        text.push('-');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with three significant digits and a suffix: `785 k`, `2.22 M`.
pub fn short(value: f64) -> String {
    let (scaled, suffix) = match value.abs() {
        v if v >= 999.5e6 => (value / 1e9, " G"),
        v if v >= 999.5e3 => (value / 1e6, " M"),
        v if v >= 999.5 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    format!("{}{suffix}", three_digits(scaled))
}

/// A length of time with three significant digits in ns, µs, ms or s: `405 µs`.
pub fn time(value: Duration) -> String {
    seconds(value.as_secs_f64())
}

/// As [`time`], from seconds. The bounds of wide intervals may be longer than a [`Duration`] holds: `4.10e20 s`, `inf s`.
pub fn seconds(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 1e9 => return format!("{value:.2e} s"),
        v if v >= 0.9995 => (value, "s"),
        v if v >= 0.9995e-3 => (value * 1e3, "ms"),
        v if v >= 0.9995e-6 => (value * 1e6, "µs"),
        _ => (value * 1e9, "ns"),
    };
    format!("{} {unit}", three_digits(scaled))
}

/// Microseconds with three significant digits and no unit, for a column that names it.
pub fn micros(value: Duration) -> String {
    three_digits(value.as_secs_f64() * 1e6)
}

/// A share as a percentage with at most one decimal: `99.4 %`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent.abs() >= 99.95 || percent == 0.0 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

/// A ratio as a change: `+5.0 %`, and as a factor from ten times on.
pub fn change(ratio: f64) -> String {
    match ratio {
        r if r >= 1000.0 => "over ×1000".to_owned(),
        r if r >= 10.0 => format!("×{r:.1}"),
        r => format!("{:+.1} %", (r - 1.0) * 100.0),
    }
}

/// Both ends of an interval, each as `show` writes it: `[1.2 ms, 1.4 ms]`.
pub fn range(lower: f64, upper: f64, show: impl Fn(f64) -> String) -> String {
    format!("[{}, {}]", show(lower), show(upper))
}

/// Three significant digits without an exponent; below 0.001 three decimals.
pub fn three_digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 99.95 || v == 0.0 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        v if v >= 0.09995 => 3,
        v if v >= 0.009995 => 4,
        v if v >= 0.0009995 => 5,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// The ordinary name of a quantile: 0.5 is `p50`, 0.9999 is `p99.99`.
pub fn percentile(q: f64) -> String {
    let text = format!("{:.4}", q * 100.0);
    format!("p{}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let cases =
            [(0.0, "0"), (999.4, "999"), (999.6, "1,000"), (784_921.0, "784,921"), (1e9, "1,000,000,000")];
        for (value, text) in cases {
            assert_eq!(grouped(value), text);
        }
        assert_eq!(grouped(-1234.0), "-1,234");
        assert_eq!(grouped(f64::NAN), "-");
    }

    #[test]
    fn small_values_have_three_digits_too() {
        let cases =
            [(0.0, "0"), (0.0002, "0.000"), (0.00156, "0.00156"), (0.0326, "0.0326"), (0.09996, "0.100")];
        for (value, text) in cases {
            assert_eq!(three_digits(value), text);
        }
    }

    #[test]
    fn units_follow_the_size_after_rounding() {
        assert_eq!(short(784_921.0), "785 k");
        assert_eq!(short(999_600.0), "1.00 M");
        assert_eq!(short(42.0), "42.0");
        assert_eq!(time(Duration::from_nanos(405_400)), "405 µs");
        assert_eq!(time(Duration::from_nanos(999_960)), "1.00 ms");
        assert_eq!(time(Duration::from_micros(12_340)), "12.3 ms");
        assert_eq!(time(Duration::from_secs(2)), "2.00 s");
        assert_eq!(time(Duration::ZERO), "0 ns");
        assert_eq!(seconds(4.1e20), "4.10e20 s");
        assert_eq!(seconds(f64::INFINITY), "inf s");
        assert_eq!(micros(Duration::from_nanos(2_804)), "2.80");
    }

    #[test]
    fn percentiles_have_their_usual_names() {
        assert_eq!(percentile(0.5), "p50");
        assert_eq!(percentile(0.999), "p99.9");
        assert_eq!(percentile(0.9999), "p99.99");
        assert_eq!(percent(0.994), "99.4 %");
        assert_eq!(percent(1.0), "100 %");
    }
}
