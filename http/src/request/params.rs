//! The parameters that a router finds in a path.

use std::rc::Rc;

use smallvec::SmallVec;

/// Names of a route's parameters and where in the path their values are.
///
/// Spans are byte ranges of [`Request::path`](crate::Request::path), so that up to four parameters cost no
/// allocation. Values are as received, percent-encoding included.
#[derive(Clone, Debug, Default)]
pub struct PathParams {
    names: Option<Rc<[Box<str>]>>,
    spans: SmallVec<[(u32, u32); 4]>,
}

impl PathParams {
    /// Pairs the names of a route with the spans (start, end) of their values, in the same order.
    ///
    /// Names without a span and spans without a name are never found.
    pub fn new(names: Rc<[Box<str>]>, spans: SmallVec<[(u32, u32); 4]>) -> Self {
        Self { names: Some(names), spans }
    }

    /// The value of a parameter in `path`, percent-encoded as received.
    pub fn get<'p>(&self, path: &'p str, name: &str) -> Option<&'p str> {
        let at = self.names.as_deref()?.iter().position(|known| **known == *name)?;
        self.value(path, at)
    }

    /// Names and values in the order of the route.
    pub fn iter<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let names = self.names.as_deref().unwrap_or_default();
        names.iter().enumerate().filter_map(move |(at, name)| Some((&**name, self.value(path, at)?)))
    }

    /// The number of parameters.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    fn value<'p>(&self, path: &'p str, at: usize) -> Option<&'p str> {
        let &(start, end) = self.spans.get(at)?;
        path.get(start as usize..end as usize)
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    fn params() -> PathParams {
        PathParams::new(Rc::from(["org".into(), "id".into()]), smallvec![(3, 7), (8, 10)])
    }

    #[test]
    fn values_are_found_by_name() {
        let path = "/o/rust/42";
        assert_eq!(params().get(path, "org"), Some("rust"));
        assert_eq!(params().get(path, "id"), Some("42"));
        assert_eq!(params().get(path, "nope"), None);
        assert_eq!(params().iter(path).collect::<Vec<_>>(), [("org", "rust"), ("id", "42")]);
    }

    #[test]
    fn a_span_outside_of_the_path_is_no_value() {
        assert_eq!(params().get("/o/rust", "id"), None);
        assert_eq!(params().iter("/o/rust").count(), 1);
        assert!(PathParams::default().get("/", "id").is_none());
    }
}
