//! HdrHistogram interval logs, as the Java and Python tools write and read them.

use std::io::{self, Read as _};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{
    IntervalLogHistogram, IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, LogIteratorError, Tag,
};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};
use thiserror::Error;

use crate::record::Hist;

/// The largest encoding that is taken: five digits over the whole range take less.
const LARGEST: u64 = 64 << 20;
/// The first bytes of an encoding, plain and compressed.
const PLAIN: u32 = 0x1c84_9313;
const COMPRESSED: u32 = 0x1c84_9314;
/// Bytes before the counts: cookie, length, offset, digits, lowest, highest and ratio.
const HEADER: usize = 40;

/// Why a log or an encoding cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LogError {
    /// A line that is neither an interval nor a comment.
    #[error("line {line} is not a line of an HdrHistogram interval log")]
    Line {
        /// Its number, from 1.
        line: usize,
    },
    /// An interval whose histogram cannot be decoded.
    #[error("the histogram in line {line} cannot be read: {reason}")]
    Histogram {
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// An encoding outside a log.
    #[error("not an HdrHistogram in the V2 encoding: {0}")]
    Encoding(String),
    /// A log without a single interval.
    #[error("the log has no interval")]
    Empty,
}

/// One interval of a log.
#[derive(Debug, Clone)]
pub struct LogInterval {
    /// The worker or series that it belongs to, where the log says.
    pub tag: Option<String>,
    /// When it began, as the log has it: from the start of the log, or since 1970.
    pub start: Duration,
    /// How long it was.
    pub length: Duration,
    /// The values.
    pub hist: Hist,
}

/// The lines before the first interval.
pub fn header(series: &str, start: SystemTime) -> String {
    let seconds = start.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    format!(
        "#[Histogram log format version 1.3]\n#[{series} times in nanoseconds, a tag for each worker; covet-bench {}]\n\
         #[StartTime: {seconds:.3} (seconds since epoch)]\n#[BaseTime: {seconds:.3} (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// The line of one interval, compressed as the other tools do it.
///
/// # Errors
/// When `tag` has a comma or white space in it.
pub fn line(tag: &str, start: Duration, length: Duration, hist: &Hist) -> io::Result<Vec<u8>> {
    let tag = Tag::new(tag).ok_or_else(|| io::Error::other("a tag without commas and spaces is needed"))?;
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut writer = IntervalLogWriterBuilder::new().begin_log_with(&mut bytes, &mut serializer)?;
    writer
        .write_histogram(hist, start, length, Some(tag))
        .map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

/// Reads a log whose values are multiples of `unit` nanoseconds (1 for ours, 1000 for microseconds).
///
/// # Errors
/// The first line that cannot be read, or a log without an interval.
pub fn read(log: &[u8], unit: f64) -> Result<Vec<LogInterval>, LogError> {
    let mut owned;
    // The last line of a log that was cut off, or edited, may lack its end.
    let log = if log.last().is_none_or(|&byte| byte == b'\n') {
        log
    } else {
        owned = log.to_vec();
        owned.push(b'\n');
        &owned
    };
    let line_of = |offset: usize| 1 + log[..offset.min(log.len())].iter().filter(|&&b| b == b'\n').count();
    let mut intervals = Vec::new();
    for entry in IntervalLogIterator::new(log) {
        match entry {
            Ok(LogEntry::Interval(interval)) => {
                let place = interval.encoded_histogram().as_ptr() as usize - log.as_ptr() as usize;
                intervals.push(read_interval(&interval, unit, line_of(place))?);
            }
            Ok(LogEntry::StartTime(_) | LogEntry::BaseTime(_)) => {}
            Err(LogIteratorError::ParseError { offset }) => {
                return Err(LogError::Line { line: line_of(offset) });
            }
        }
    }
    if intervals.is_empty() { Err(LogError::Empty) } else { Ok(intervals) }
}

fn read_interval(
    interval: &IntervalLogHistogram<'_>,
    unit: f64,
    line: usize,
) -> Result<LogInterval, LogError> {
    let hist = decode(interval.encoded_histogram(), unit).map_err(|error| LogError::Histogram {
        line,
        reason: match error {
            LogError::Encoding(reason) => reason,
            other => other.to_string(),
        },
    })?;
    Ok(LogInterval {
        tag: interval.tag().map(|tag| tag.as_str().to_owned()),
        start: interval.start_timestamp(),
        length: interval.duration(),
        hist,
    })
}

/// Decodes a histogram in base64, plain or compressed, whose values are multiples of `unit` nanoseconds.
///
/// # Errors
/// [`LogError::Encoding`].
pub fn decode(text: &str, unit: f64) -> Result<Hist, LogError> {
    let wrong = |reason: &str| LogError::Encoding(reason.to_owned());
    let bytes =
        STANDARD.decode(text.trim()).map_err(|error| LogError::Encoding(format!("base64: {error}")))?;
    let plain = match word(&bytes, 0) {
        Some(PLAIN) => bytes,
        Some(COMPRESSED) => inflate(&bytes)?,
        _ => return Err(wrong("it does not begin as one, or is of an older version")),
    };
    // The decoder allocates what the header claims, so the claim is checked first.
    let claimed = word(&plain, 4).ok_or_else(|| wrong("it ends early"))? as usize;
    if plain.len() < HEADER || claimed != plain.len() - HEADER {
        return Err(wrong("its length is not what it says"));
    }
    if plain[HEADER..].windows(9).any(|counts| counts == [0xff; 9]) {
        return Err(wrong("a count that no histogram has"));
    }
    let decoded: Histogram<u64> = Deserializer::new()
        .deserialize(&mut plain.as_slice())
        .map_err(|error| LogError::Encoding(error.to_string()))?;
    let mut hist = Hist::new();
    let total =
        decoded.iter_recorded().try_fold(0u64, |sum, bucket| sum.checked_add(bucket.count_at_value()));
    total.ok_or_else(|| wrong("more values than can be counted"))?;
    let same = decoded.sigfig() == hist.sigfig() && unit == 1.0;
    for bucket in decoded.iter_recorded() {
        let value = bucket.value_iterated_to();
        // In a histogram like ours the value finds the bucket it came from; else the middle is the best guess.
        let nanos = if same { value } else { (decoded.median_equivalent(value) as f64 * unit) as u64 };
        hist.record(Duration::from_nanos(nanos), bucket.count_at_value());
    }
    Ok(hist)
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, LogError> {
    let wrong = |reason: &str| LogError::Encoding(reason.to_owned());
    let body = bytes.get(8..).ok_or_else(|| wrong("it ends early"))?;
    let mut plain = Vec::new();
    ZlibDecoder::new(body)
        .take(LARGEST)
        .read_to_end(&mut plain)
        .map_err(|error| LogError::Encoding(format!("zlib: {error}")))?;
    if word(&plain, 0) != Some(PLAIN) {
        return Err(wrong("what is compressed in it is no histogram"));
    }
    Ok(plain)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hist(values: &[u64]) -> Hist {
        let mut hist = Hist::new();
        values.iter().for_each(|&v| hist.record(Duration::from_nanos(v), 1));
        hist
    }

    fn encode(hist: &Hist) -> String {
        STANDARD.encode(hist.to_v2())
    }

    fn log() -> Vec<u8> {
        let mut log = header("response", SystemTime::UNIX_EPOCH + Duration::from_secs(1000)).into_bytes();
        for second in 0..3 {
            let start = Duration::from_secs(second);
            let hist = hist(&[1_000 + second, 2_000_000]);
            log.extend(line("worker-0", start, Duration::from_secs(1), &hist).unwrap());
        }
        log
    }

    #[test]
    fn a_log_comes_back() {
        let read = read(&log(), 1.0).unwrap();
        assert_eq!(read.len(), 3);
        assert_eq!(read[2].tag.as_deref(), Some("worker-0"));
        assert_eq!((read[2].start, read[2].length), (Duration::from_secs(2), Duration::from_secs(1)));
        assert_eq!(*read[2].hist, *hist(&[1_002, 2_000_000]));
    }

    #[test]
    fn the_line_of_a_fault_is_named() {
        let mut lines: Vec<String> = String::from_utf8(log()).unwrap().lines().map(str::to_owned).collect();
        let good = lines[7].clone();
        lines[7] = "Tag=a,1.0,1.0,nonsense".to_owned();
        assert_eq!(read(lines.join("\n").as_bytes(), 1.0).unwrap_err(), LogError::Line { line: 8 });
        lines[7] = good.replace("HISTFAAA", "HISTXAAA");
        let error = read(lines.join("\n").as_bytes(), 1.0).unwrap_err();
        assert!(matches!(error, LogError::Histogram { line: 8, .. }), "{error}");
        assert_eq!(read(b"#[nothing]\n", 1.0).unwrap_err(), LogError::Empty);
        assert_eq!(read(b"\x7fELF\x02", 1.0).unwrap_err(), LogError::Line { line: 1 });
        lines[7] = good;
        assert_eq!(read(lines.join("\n").as_bytes(), 1.0).unwrap().len(), 3, "without the last end of line");
    }

    #[test]
    fn other_units_are_scaled() {
        let micros = hist(&[1_500, 2_000]);
        let read = decode(&encode(&micros), 1000.0).unwrap();
        assert!((read.quantile(1.0).as_nanos() as f64 / 2e6 - 1.0).abs() < 2e-3);
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn a_claim_of_gigabytes_is_refused() {
        let mut bytes = STANDARD.decode(encode(&hist(&[5]))).unwrap();
        bytes[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        let error = decode(&STANDARD.encode(bytes), 1.0).unwrap_err();
        assert!(error.to_string().contains("length"), "{error}");
    }

    proptest! {
        #[test]
        fn the_encoding_is_exact(values in prop::collection::vec(0u64..4_000_000_000_000, 0..60)) {
            let hist = hist(&values);
            let back = decode(&encode(&hist), 1.0).unwrap();
            prop_assert_eq!(&*back, &*hist);
        }

        #[test]
        fn damage_is_an_error_or_a_histogram_and_never_a_panic(
            values in prop::collection::vec(1u64..1_000_000_000, 1..30),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            compressed in any::<bool>(),
        ) {
            let hist = hist(&values);
            let text = if compressed {
                let line = line("w", Duration::ZERO, Duration::from_secs(1), &hist).unwrap();
                String::from_utf8(line).unwrap().trim_end().rsplit(',').next().unwrap().to_owned()
            } else {
                encode(&hist)
            };
            let mut bytes = STANDARD.decode(text).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = decode(&STANDARD.encode(&bytes), 1.0);
            let _ = decode(&STANDARD.encode(&bytes[..at]), 1.0);
        }
    }
}
