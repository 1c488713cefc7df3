//! When a certificate is valid (RFC 5280 section 4.1.2.5).

use std::time::{Duration, SystemTime};

/// The first and the last second of a certificate's validity.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) begins: SystemTime,
    pub(super) ends: SystemTime,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

impl Validity {
    /// Reads it out of a DER certificate; `None` if that is none. Nothing else of the certificate is looked at.
    pub(super) fn of(certificate: &[u8]) -> Option<Validity> {
        let mut outer = Der(certificate);
        let mut certificate = Der(outer.take(SEQUENCE)?);
        let mut fields = Der(certificate.take(SEQUENCE)?);
        if fields.0.first() == Some(&VERSION) {
            fields.take(VERSION)?;
        }
        fields.take(INTEGER)?;
        fields.take(SEQUENCE)?;
        fields.take(SEQUENCE)?;
        let mut validity = Der(fields.take(SEQUENCE)?);
        Some(Validity { begins: validity.time()?, ends: validity.time()? })
    }
}

/// What is left of a sequence of DER values.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The contents of the next value, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&[found, first], rest) = self.0.split_first_chunk::<2>()?;
        if found != tag {
            return None;
        }
        let (length, rest) = match usize::from(first) {
            short @ 0..=0x7f => (short, rest),
            long => {
                let digits = long - 0x80;
                if !(1..=4).contains(&digits) || digits > rest.len() {
                    return None;
                }
                let (digits, rest) = rest.split_at(digits);
                (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), rest)
            }
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(contents)
    }

    fn time(&mut self) -> Option<SystemTime> {
        match *self.0.first()? {
            UTC_TIME => {
                let (year, rest) = two_digits(self.take(UTC_TIME)?)?;
                // Two digits stand for the years from 1950 to 2049.
                instant(if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            GENERALIZED_TIME => {
                let (century, rest) = two_digits(self.take(GENERALIZED_TIME)?)?;
                let (year, rest) = two_digits(rest)?;
                instant(century * 100 + year, rest)
            }
            _ => None,
        }
    }
}

fn two_digits(text: &[u8]) -> Option<(i64, &[u8])> {
    let (&[tens, ones], rest) = text.split_first_chunk::<2>()?;
    let digit = |digit: u8| digit.is_ascii_digit().then(|| i64::from(digit - b'0'));
    Some((digit(tens)? * 10 + digit(ones)?, rest))
}

/// The point in time of a year and `MMDDHHMMSSZ`, the only form that certificates may have.
fn instant(year: i64, rest: &[u8]) -> Option<SystemTime> {
    let (month, rest) = two_digits(rest)?;
    let (day, rest) = two_digits(rest)?;
    let (hour, rest) = two_digits(rest)?;
    let (minute, rest) = two_digits(rest)?;
    let (second, rest) = two_digits(rest)?;
    if rest != b"Z" || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let span = Duration::from_secs(seconds.unsigned_abs());
    match seconds {
        0.. => SystemTime::UNIX_EPOCH.checked_add(span),
        _ => SystemTime::UNIX_EPOCH.checked_sub(span),
    }
}

/// Days of the Gregorian calendar, counted in years that begin in March so that the leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
        let mut value = vec![tag, 0x82];
        value.extend_from_slice(&u16::try_from(contents.len()).unwrap().to_be_bytes());
        value.extend_from_slice(contents);
        value
    }

    fn certificate(begins: Vec<u8>, ends: Vec<u8>) -> Vec<u8> {
        let version = der(VERSION, &der(INTEGER, &[2]));
        let validity = der(SEQUENCE, &[begins, ends].concat());
        let fields =
            [version, der(INTEGER, &[7]), der(SEQUENCE, &[]), der(SEQUENCE, b"issuer"), validity].concat();
        der(SEQUENCE, &der(SEQUENCE, &fields))
    }

    #[test]
    fn both_forms_of_time_are_read() {
        let found = Validity::of(&certificate(
            der(UTC_TIME, b"240229235959Z"),
            der(GENERALIZED_TIME, b"20500101000000Z"),
        ));
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(found, Some(Validity { begins: at(1_709_251_199), ends: at(2_524_608_000) }));
        assert_eq!(days_since_1970(1969, 12, 31), -1);
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let whole = certificate(der(UTC_TIME, b"240229235959Z"), der(UTC_TIME, b"250229235959Z"));
        assert!(Validity::of(&whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..length]), None);
        }
        assert_eq!(Validity::of(&certificate(der(UTC_TIME, b"2402292359Z"), der(UTC_TIME, b"x"))), None);
        assert_eq!(Validity::of(&[SEQUENCE, 0x85, 1, 1, 1, 1, 1]), None);
    }
}
