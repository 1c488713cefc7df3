//! Which nested router an unmatched path belongs to.

use super::pattern::{Pattern, PatternError};
use super::table::{RouteTable, Spans};

/// Maps the paths under prefixes to values: the longest prefix wins, then the one with the fewest
/// parameters, then the first that was added.
///
/// A search tries every prefix in turn, so this is for paths that no route answers.
#[derive(Debug, Clone)]
pub(crate) struct AreaTable<T> {
    areas: Vec<Area<T>>,
}

#[derive(Debug, Clone)]
struct Area<T> {
    prefix: Pattern,
    paths: RouteTable<()>,
    value: T,
}

impl<T> AreaTable<T> {
    pub(crate) fn new() -> Self {
        Self { areas: Vec::new() }
    }

    /// Adds the area of `prefix`: the prefix itself and all that follows a slash after it.
    pub(crate) fn insert(&mut self, prefix: Pattern, value: T) -> Result<(), PatternError> {
        let mut paths = RouteTable::new();
        for rest in ["/", "/{*\u{2026}}"] {
            let below = Pattern::parse(&format!("{prefix}{rest}"))?;
            paths.insert(below, ()).expect("a pattern without a catch-all can be extended");
        }
        paths.insert(prefix.clone(), ()).expect("a pattern and the ones below it do not conflict");
        let rank =
            |prefix: &Pattern| (prefix.as_str().matches('/').count(), usize::MAX - prefix.names().len());
        let at = self.areas.partition_point(|known| rank(&known.prefix) >= rank(&prefix));
        self.areas.insert(at, Area { prefix, paths, value });
        Ok(())
    }

    /// The best area of `path`: its prefix, its value, and the parameters of the prefix.
    pub(crate) fn find(&self, path: &str) -> Option<(&Pattern, &T, Spans)> {
        self.areas.iter().find_map(|area| {
            let mut spans = area.paths.find(path)?.spans;
            spans.truncate(area.prefix.names().len());
            Some((&area.prefix, &area.value, spans))
        })
    }

    /// Every prefix with its value, the best first.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (Pattern, T)> {
        self.areas.into_iter().map(|area| (area.prefix, area.value))
    }

    pub(crate) fn map<U>(self, mut change: impl FnMut(T) -> U) -> AreaTable<U> {
        let change =
            |area: Area<T>| Area { prefix: area.prefix, paths: area.paths, value: change(area.value) };
        AreaTable { areas: self.areas.into_iter().map(change).collect() }
    }

    pub(crate) fn map_ref<U>(&self, mut make: impl FnMut(&T) -> U) -> AreaTable<U> {
        let make = |area: &Area<T>| Area {
            prefix: area.prefix.clone(),
            paths: area.paths.clone(),
            value: make(&area.value),
        };
        AreaTable { areas: self.areas.iter().map(make).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn areas(prefixes: &[&str]) -> AreaTable<usize> {
        let mut table = AreaTable::new();
        for (number, prefix) in prefixes.iter().enumerate() {
            table.insert(Pattern::parse(prefix).unwrap(), number).unwrap();
        }
        table
    }

    fn value(table: &AreaTable<usize>, path: &str) -> Option<usize> {
        table.find(path).map(|(_, value, _)| *value)
    }

    #[test]
    fn an_area_is_its_prefix_and_what_is_below() {
        let table = areas(&["/api"]);
        for inside in ["/api", "/api/", "/api/x", "/api/x/y", "/api//"] {
            assert_eq!(value(&table, inside), Some(0), "{inside}");
        }
        for outside in ["/", "/ap", "/apix", "/x/api", ""] {
            assert_eq!(value(&table, outside), None, "{outside}");
        }
    }

    #[test]
    fn the_longest_prefix_wins_then_static_text_then_the_first() {
        let table = areas(&["/a", "/{t}", "/a/{t}", "/a/b", "/a/b", "/{t}/b"]);
        assert_eq!(value(&table, "/a/x/y"), Some(2));
        assert_eq!(value(&table, "/a/b/y"), Some(3));
        assert_eq!(value(&table, "/z/b/y"), Some(5));
        assert_eq!(value(&table, "/z/y"), Some(1));
        assert_eq!(value(&table, "/a"), Some(0));
    }

    #[test]
    fn only_the_parameters_of_the_prefix_are_given() {
        let table = areas(&["/t/{tenant}"]);
        let (prefix, _, spans) = table.find("/t/acme/x/y").unwrap();
        assert_eq!(prefix.names().len(), 1);
        assert_eq!(spans[..], [(3, 7)]);
    }
}
