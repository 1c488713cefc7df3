//! Where in the text of a claim file a key stands.

/// The line, from 1, of a key such as `value`, `measure.rate` or `read_as[1].depth`; that of its table where the key is not
/// there, and `None` where that is not either, or is written in one line with others.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
    let (table, index) = match table.split_once('[') {
        Some((table, index)) => (table, index.trim_end_matches(']').parse().ok()?),
        None => (table, 0),
    };
    let mut inside = table.is_empty();
    let (mut seen, mut heading) = (0, None);
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if let Some(header) = line.strip_prefix('[') {
            if inside {
                // The table that was looked for ends here.
                return heading;
            }
            let header = header.split(']').next().unwrap_or_default().trim_start_matches('[');
            if header.trim() == table {
                inside = seen == index;
                seen += 1;
                heading = inside.then_some(number);
            }
        } else if inside && line.split_once('=').is_some_and(|(word, _)| word.trim() == name) {
            return Some(number);
        }
    }
    heading
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "value = 5 # x = 1\n[measure]\nrate = 7\n\n[[read_as]]\ndepth = 1\n[[read_as]]\nlayer = 'a'\ndepth=2\n";

    #[test]
    fn keys_are_found_in_their_tables() {
        let cases = [
            ("value", Some(1)),
            ("measure.rate", Some(3)),
            ("measure.path", Some(2)),
            ("read_as[0].depth", Some(6)),
            ("read_as[1].depth", Some(9)),
            ("read_as[0].quantile", Some(5)),
            ("read_as[2].depth", None),
            ("stated.cores", None),
            ("rate", None),
            ("unit", None),
        ];
        for (key, line) in cases {
            assert_eq!(line_of(TEXT, key), line, "{key}");
        }
        assert_eq!(line_of("measure = { rate = 5 }", "measure.rate"), None);
        assert_eq!(line_of("", "value"), None);
    }
}
