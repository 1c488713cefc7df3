//! Values that the command line takes in a human form: `1.5s`, `50k`.

use std::time::Duration;

/// No rate and no count is larger.
const MOST: f64 = 1e15;
const TOO_MANY: &str = "more than 10^15";
/// No share is larger: a hundred times as much.
const LARGEST_SHARE: f64 = 100.0;

/// Parses a length of time: a number and `us`, `ms`, `s`, `m` or `h`; a bare number is seconds.
///
/// # Errors
/// A sentence for the terminal when the number or the unit is unknown, or the value is negative or over ten years.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(not_negative(text)?);
    let factor = match unit {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("unknown unit `{unit}`: write 500ms, 30s or 2m")),
    };
    let seconds = positive(number)? * factor;
    if seconds > 10.0 * 365.0 * 86_400.0 {
        return Err("more than ten years".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Parses a rate per second: a number with an optional `k` (thousand) or `m` (million).
///
/// # Errors
/// A sentence for the terminal when the number is not above zero and at most 10^15, or the suffix is unknown.
pub fn rate(text: &str) -> Result<f64, String> {
    let (number, unit) = split_unit(not_negative(text)?);
    let factor = match unit {
        "" => 1.0,
        "k" | "K" => 1e3,
        "m" | "M" => 1e6,
        _ => return Err(format!("unknown suffix `{unit}`: write 5000, 50k or 1.2m")),
    };
    let rate = positive(number)? * factor;
    if rate == 0.0 {
        return Err("a rate must be above zero".to_owned());
    }
    if rate > MOST {
        return Err(TOO_MANY.to_owned());
    }
    Ok(rate)
}

/// Parses a share: a number of percent, with or without its sign. 2 and 2% are 0.02.
///
/// # Errors
/// A sentence for the terminal when it is no number from zero to 10,000.
pub fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    let share = positive(number)? / 100.0;
    if share > LARGEST_SHARE {
        return Err("more than 10,000 %".to_owned());
    }
    Ok(share)
}

/// Parses a number from `least` to `most`.
///
/// # Errors
/// A sentence for the terminal that names the range.
pub fn between(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| (least..=most).contains(number));
    number.ok_or_else(|| format!("write a number from {least} to {most}"))
}

/// Parses how many: a number with an optional `k` (thousand) or `m` (million).
///
/// # Errors
/// A sentence for the terminal when it is not at least one and at most 10^15, or the suffix is unknown.
pub fn count(text: &str) -> Result<f64, String> {
    const RANGE: &str = "write a number from 1 to 10^15";
    let said = |error: String| {
        error.replace("a rate must be above zero", "write 1 or more").replace(TOO_MANY, RANGE)
    };
    let count = rate(text).map_err(said)?;
    if count < 1.0 {
        return Err(RANGE.to_owned());
    }
    Ok(count)
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    text.split_at(end)
}

fn not_negative(text: &str) -> Result<&str, String> {
    if text.starts_with('-') { Err("it cannot be negative".to_owned()) } else { Ok(text) }
}

fn positive(number: &str) -> Result<f64, String> {
    number
        .parse::<f64>()
        .ok()
        .filter(|value| value.is_finite() && *value >= 0.0)
        .ok_or_else(|| format!("`{number}` is not a number of zero or more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_units() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("5x").unwrap_err().contains("500ms"));
        assert_eq!(duration("-1s"), Err("it cannot be negative".to_owned()));
        assert!(duration("").is_err());
        assert!(duration("9999999999h").is_err());
    }

    #[test]
    fn shares_are_in_percent() {
        assert_eq!(percent("2%"), Ok(0.02));
        assert_eq!(percent("0.5"), Ok(0.005));
        assert!(percent("10001").is_err() && percent("1e9").is_err());
        assert!(percent("-2%").is_err() && percent("%").is_err() && percent("two").is_err());
    }

    #[test]
    fn rates_take_suffixes() {
        assert_eq!(rate("50k"), Ok(50_000.0));
        assert_eq!(rate("1.2m"), Ok(1_200_000.0));
        assert_eq!(rate("7"), Ok(7.0));
        assert!(rate("0").is_err());
        assert_eq!(rate("99999999999999999999999"), Err("more than 10^15".to_owned()));
        assert!(rate("many").is_err());
        assert_eq!(rate("-5"), Err("it cannot be negative".to_owned()));
    }

    #[test]
    fn a_range_is_named() {
        assert_eq!(between("0.5", 0.0, 1.0), Ok(0.5));
        for text in ["", "x", "-1", "1.5", "NaN", "inf"] {
            assert_eq!(between(text, 0.0, 1.0), Err("write a number from 0 to 1".to_owned()));
        }
    }

    #[test]
    fn counts_are_whole_and_can_be_counted() {
        assert_eq!(count("1m"), Ok(1e6));
        assert_eq!(count("0"), Err("write 1 or more".to_owned()));
        assert!(count("0.5").is_err() && count("99999999999999999999").is_err() && count("-1").is_err());
    }
}
