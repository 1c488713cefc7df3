//! Text in lines that fit.

/// Appends `text` in lines of at most `width` columns; the first begins with `label`, the others are indented by as
/// much.
pub(crate) fn wrap(out: &mut String, label: &str, text: &str, width: usize) {
    let indent = label.chars().count();
    let mut line = label.to_owned();
    let mut used = indent;
    let mut empty = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !empty && used + 1 + length > width {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(indent);
            used = indent;
            empty = true;
        }
        if !empty {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += length;
        empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// Where the words of a line begin that has a label before them: `  passed      closure: ...`.
const LABEL: usize = 14;

/// The text with its long lines taken apart, so that none is wider than `width` unless a word is.
pub(crate) fn fitted(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if line.chars().count() <= width {
            out.push_str(line);
            out.push('\n');
            continue;
        }
        let labelled = line.starts_with("  ") && width > 2 * LABEL;
        let place = line.char_indices().nth(LABEL).map_or(0, |(place, _)| place);
        let (label, words) = if labelled { line.split_at(place) } else { ("", line) };
        wrap(&mut out, label, words, width);
    }
    out
}

/// A name in at most `width` columns: its end, since that is where paths differ.
pub(crate) fn shortened(name: &str, width: usize) -> String {
    let length = name.chars().count();
    if length <= width {
        return name.to_owned();
    }
    std::iter::once('…').chain(name.chars().skip(length + 1 - width)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_are_indented() {
        let mut out = String::new();
        wrap(&mut out, "note  ", "one two three four five", 16);
        assert_eq!(out, "note  one two\n      three four\n      five\n");
    }

    #[test]
    fn long_lines_keep_their_label_and_short_ones_stay() {
        let text = "80 requests/s\n  passed      closure: Little's law holds as it should\n\n  a  b\n";
        let expected = "80 requests/s\n  passed      closure: Little's law\n              holds as it should\n\n  a  b\n";
        assert_eq!(fitted(text, 40), expected);
        assert_eq!(fitted(text, 100), text);
    }

    #[test]
    fn long_names_keep_their_ends() {
        assert_eq!(shortened("results/after", 8), "…s/after");
        assert_eq!(shortened("after", 5), "after");
    }
}
