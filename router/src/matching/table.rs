//! The route table: paths in, values and parameter spans out.

use smallvec::SmallVec;
use thiserror::Error;

use super::pattern::{Pattern, PatternError};
use super::static_index::StaticIndex;

/// Where each parameter lies in the path: start and end, in bytes.
pub type Spans = SmallVec<[(u32, u32); 4]>;

/// Maps paths to values by patterns.
///
/// Where several patterns match a path, static text wins over a parameter, segment by segment from
/// the left. `{name}` and `{*name}` at the same place conflict.
///
/// A lookup allocates nothing while the path has at most three parameters and no static route
/// shares the first byte of a parameter (in which case the tree keeps a note for turning back).
///
/// ```
/// use covet_router::matching::{Pattern, RouteTable};
///
/// let mut table = RouteTable::new();
/// table.insert(Pattern::parse("/users/{id}")?, "user")?;
/// let found = table.find("/users/42").expect("the pattern matches");
/// assert_eq!(*found.value, "user");
/// assert_eq!(found.spans[..], [(7, 9)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct RouteTable<T> {
    routes: Vec<(Pattern, T)>,
    /// The paths without a parameter. Such a route wins over all others that match its path.
    statics: StaticIndex,
    /// What stands before the one parameter of patterns like `/users/{id}`. Among the routes that
    /// match such a path only a static one wins over it, or one like `/users/{id}.json`.
    leaves: StaticIndex,
    tree: matchit::Router<u32>,
}

/// A pattern that matched a path.
#[derive(Debug)]
pub struct Found<'t, T> {
    /// The pattern that matched.
    pub pattern: &'t Pattern,
    /// What was stored under it.
    pub value: &'t T,
    /// The parameters, in the order of [`Pattern::names`].
    pub spans: Spans,
}

/// Why a pattern could not be added to a [`RouteTable`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InsertError {
    /// The pattern is there already, or one that matches the same paths under other names.
    #[error("the route `{new}` conflicts with the route `{existing}`")]
    Conflict {
        /// The pattern to be added.
        new: String,
        /// The pattern that is there.
        existing: String,
    },
    /// The matcher cannot express the pattern.
    #[error("the route `{pattern}` cannot be matched: {reason}")]
    Unsupported {
        /// The pattern to be added.
        pattern: String,
        /// What the matcher says.
        reason: String,
    },
    /// The pattern is malformed.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

/// Where the last slash is. Eight bytes are looked at together, as most paths end in a longer word than a loop is cheap
/// for, and in a shorter one than a search is worth setting up for.
#[inline]
fn last_slash(path: &[u8]) -> Option<usize> {
    const LOW: u64 = u64::from_le_bytes([0x7F; 8]);
    let mut rest = path;
    while let Some((before, word)) = rest.split_last_chunk() {
        let differences = u64::from_le_bytes(*word) ^ u64::from_le_bytes([b'/'; 8]);
        // The high bit of each byte that is zero, and of no other: nothing is carried from one byte into the next.
        let slashes = !(((differences & LOW) + LOW) | differences | LOW);
        if slashes != 0 {
            return Some(before.len() + 7 - slashes.leading_zeros() as usize / 8);
        }
        rest = before;
    }
    rest.iter().rposition(|&byte| byte == b'/')
}

impl<T> Default for RouteTable<T> {
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            statics: StaticIndex::default(),
            leaves: StaticIndex::default(),
            tree: matchit::Router::new(),
        }
    }
}

impl<T> RouteTable<T> {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pattern.
    ///
    /// # Errors
    /// [`InsertError::Conflict`] names both patterns; the table is unchanged then.
    pub fn insert(&mut self, pattern: Pattern, value: T) -> Result<&mut T, InsertError> {
        let index = u32::try_from(self.routes.len()).expect("fewer than four billion routes");
        self.tree.insert(pattern.as_str(), index).map_err(|error| match error {
            matchit::InsertError::Conflict { with } => {
                InsertError::Conflict { new: pattern.to_string(), existing: with }
            }
            other => InsertError::Unsupported { pattern: pattern.to_string(), reason: other.to_string() },
        })?;
        if let Some(path) = pattern.static_path() {
            self.statics.insert(path.into(), index);
        }
        self.routes.push((pattern, value));
        self.index_leaves();
        Ok(&mut self.routes[index as usize].1)
    }

    fn index_leaves(&mut self) {
        let partial: Vec<String> =
            self.routes.iter().filter_map(|(pattern, _)| pattern.partial_parent()).collect();
        self.leaves = StaticIndex::default();
        for (index, (pattern, _)) in self.routes.iter().enumerate() {
            if let Some(parent) = pattern.leaf_parent().filter(|parent| !partial.contains(parent)) {
                self.leaves.insert(parent.into(), index as u32);
            }
        }
    }

    /// The value stored under exactly this pattern.
    pub fn get_mut(&mut self, pattern: &Pattern) -> Option<&mut T> {
        self.routes.iter_mut().find(|(known, _)| known == pattern).map(|(_, value)| value)
    }

    /// What matches `path`, which begins with a slash and carries no query.
    #[inline]
    pub fn find(&self, path: &str) -> Option<Found<'_, T>> {
        match self.find_static(path) {
            Some((pattern, value)) => Some(Found { pattern, value, spans: Spans::new() }),
            None => self.find_with_parameters(path),
        }
    }

    /// What matches `path` by static text alone.
    #[inline]
    pub(crate) fn find_static(&self, path: &str) -> Option<(&Pattern, &T)> {
        let (pattern, value) = &self.routes[self.statics.get(path)? as usize];
        Some((pattern, value))
    }

    /// What matches `path`, given that no static pattern does.
    #[inline]
    pub(crate) fn find_with_parameters(&self, path: &str) -> Option<Found<'_, T>> {
        let start = last_slash(path.as_bytes())? + 1;
        if start < path.len()
            && let Some(index) = self.leaves.get(&path[..start])
        {
            let (pattern, value) = &self.routes[index as usize];
            let mut spans = Spans::new();
            spans.push((start as u32, path.len() as u32));
            return Some(Found { pattern, value, spans });
        }
        self.find_in_tree(path)
    }

    fn find_in_tree(&self, path: &str) -> Option<Found<'_, T>> {
        let matched = self.tree.at(path).ok()?;
        let (pattern, value) = &self.routes[*matched.value as usize];
        let base = path.as_ptr().addr();
        let span = |text: &str| {
            let start = text.as_ptr().addr() - base;
            (start as u32, (start + text.len()) as u32)
        };
        Some(Found { pattern, value, spans: matched.params.iter().map(|(_, text)| span(text)).collect() })
    }

    /// Every pattern with its value, in the order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = (&Pattern, &T)> {
        self.routes.iter().map(|(pattern, value)| (pattern, value))
    }

    /// Every value, in the order of insertion.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.routes.iter_mut().map(|(_, value)| value)
    }

    /// Every pattern with its value, out of the table, in the order of insertion.
    pub fn into_entries(self) -> impl Iterator<Item = (Pattern, T)> {
        self.routes.into_iter()
    }

    /// The table with every value replaced by what `change` makes of it.
    pub fn map<U>(self, mut change: impl FnMut(&Pattern, T) -> U) -> RouteTable<U> {
        let change_one = |(pattern, value)| {
            let value = change(&pattern, value);
            (pattern, value)
        };
        RouteTable {
            routes: self.routes.into_iter().map(change_one).collect(),
            statics: self.statics,
            leaves: self.leaves,
            tree: self.tree,
        }
    }

    /// A table with the same patterns, whose values are what `make` makes of these.
    pub fn map_ref<U>(&self, mut make: impl FnMut(&Pattern, &T) -> U) -> RouteTable<U> {
        RouteTable {
            routes: self.iter().map(|(pattern, value)| (pattern.clone(), make(pattern, value))).collect(),
            statics: self.statics.clone(),
            leaves: self.leaves.clone(),
            tree: self.tree.clone(),
        }
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(patterns: &[&str]) -> RouteTable<usize> {
        let mut table = RouteTable::new();
        for (number, pattern) in patterns.iter().enumerate() {
            table.insert(Pattern::parse(pattern).unwrap(), number).unwrap();
        }
        table
    }

    fn texts<'p>(path: &'p str, spans: &Spans) -> Vec<&'p str> {
        spans.iter().map(|&(start, end)| &path[start as usize..end as usize]).collect()
    }

    #[test]
    fn static_text_wins_over_parameters() {
        let table = table(&["/u/{id}", "/u/me", "/f/{*rest}", "/f/top/{name}", "/u/me/{*x}"]);
        for (path, number, parameters) in [
            ("/u/me", 1, vec![]),
            ("/u/7", 0, vec!["7"]),
            ("/u/mex", 0, vec!["mex"]),
            ("/u/me/x/y", 4, vec!["x/y"]),
            ("/f/top", 2, vec!["top"]),
            ("/f/top/a", 3, vec!["a"]),
            ("/f/top/a/b", 2, vec!["top/a/b"]),
        ] {
            let found = table.find(path).unwrap();
            assert_eq!((*found.value, texts(path, &found.spans)), (number, parameters), "{path}");
        }
    }

    #[test]
    fn parameters_are_never_empty_and_stop_at_a_slash() {
        let table = table(&["/u/{id}", "/f/{*rest}"]);
        for path in ["/u/", "/u", "/u/1/", "/f/", "/f", "/", ""] {
            assert!(table.find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn raw_paths_are_not_decoded() {
        let table = table(&["/a", "/u/{id}"]);
        assert!(table.find("/%61").is_none());
        let path = "/u/x%2Fy";
        assert_eq!(texts(path, &table.find(path).unwrap().spans), ["x%2Fy"]);
    }

    #[test]
    fn more_than_four_parameters_are_kept() {
        let table = table(&["/{a}/{b}/{c}/{d}/{e}/{f}"]);
        let path = "/1/22/333/4/5/6";
        assert_eq!(texts(path, &table.find(path).unwrap().spans), ["1", "22", "333", "4", "5", "6"]);
    }

    #[test]
    fn a_conflict_names_both_routes() {
        let mut table = table(&["/users/{id}"]);
        let error = table.insert(Pattern::parse("/users/{name}").unwrap(), 9).unwrap_err();
        assert_eq!(
            error,
            InsertError::Conflict { new: "/users/{name}".into(), existing: "/users/{id}".into() }
        );
        assert_eq!(*table.find("/users/1").unwrap().value, 0);
    }

    proptest! {
        #[test]
        fn the_last_slash_is_found(path in "[a./0\\u{80}]{0,40}") {
            prop_assert_eq!(last_slash(path.as_bytes()), path.rfind('/'));
        }

        /// The indexes are short cuts: they must never give another answer than the tree.
        #[test]
        fn the_indexes_agree_with_the_tree(
            patterns in proptest::collection::vec(
                "(/(a|b|ab|\\{x\\}|\\{y\\}|a\\{z\\}|\\{w\\}b|\\{\\{|\\{\\*r\\})){1,3}",
                1..24,
            ),
            paths in proptest::collection::vec("(/(a|b|ab|aab|c|\\{|)){1,4}", 1..40),
        ) {
            let mut table = RouteTable::new();
            for (number, text) in patterns.iter().enumerate() {
                if let Ok(pattern) = Pattern::parse(text) {
                    let _ = table.insert(pattern, number);
                }
            }
            for path in &paths {
                let fast = table.find(path).map(|found| (*found.value, found.spans));
                let tree = table.find_in_tree(path).map(|found| (*found.value, found.spans));
                prop_assert_eq!(fast, tree);
            }
        }
    }
}
