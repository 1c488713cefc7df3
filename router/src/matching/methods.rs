//! Method tables: what answers each method of one path.

use std::fmt::Write as _;

use http::Method;

/// What answers each method of one path.
///
/// A lookup of HEAD falls back to GET (RFC 9110 §9.3.2); a value set for any method answers what
/// nothing else does, OPTIONS included.
#[derive(Debug, Clone)]
pub struct MethodTable<T> {
    standard: [Option<T>; STANDARD.len()],
    others: Vec<(Method, T)>,
    any: Option<T>,
}

const STANDARD: [Method; 9] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::HEAD,
    Method::OPTIONS,
    Method::CONNECT,
    Method::TRACE,
];
const GET: usize = 0;
const HEAD: usize = 5;

#[inline]
fn slot(method: &Method) -> Option<usize> {
    Some(match *method {
        Method::GET => GET,
        Method::POST => 1,
        Method::PUT => 2,
        Method::PATCH => 3,
        Method::DELETE => 4,
        Method::HEAD => HEAD,
        Method::OPTIONS => 6,
        Method::CONNECT => 7,
        Method::TRACE => 8,
        _ => return None,
    })
}

impl<T> Default for MethodTable<T> {
    fn default() -> Self {
        Self { standard: [const { None }; STANDARD.len()], others: Vec::new(), any: None }
    }
}

impl<T> MethodTable<T> {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what answers `method`; `None` stands for any method that has no value of its own.
    ///
    /// # Errors
    /// Gives `value` back if the place is taken.
    pub fn insert(&mut self, method: Option<Method>, value: T) -> Result<(), T> {
        let place = match &method {
            None => &mut self.any,
            Some(method) => match slot(method) {
                Some(index) => &mut self.standard[index],
                None if self.others.iter().any(|(known, _)| known == method) => return Err(value),
                None => {
                    self.others.push((method.clone(), value));
                    return Ok(());
                }
            },
        };
        match place {
            Some(_) => Err(value),
            None => {
                *place = Some(value);
                Ok(())
            }
        }
    }

    /// What answers `method`: its own value, for HEAD that of GET, else the value for any method.
    #[inline]
    pub fn get(&self, method: &Method) -> Option<&T> {
        let own = match slot(method) {
            Some(HEAD) => self.standard[HEAD].as_ref().or(self.standard[GET].as_ref()),
            Some(index) => self.standard[index].as_ref(),
            None => self.others.iter().find(|(known, _)| known == method).map(|(_, value)| value),
        };
        own.or(self.any.as_ref())
    }

    /// Whether no method has a value.
    pub fn is_empty(&self) -> bool {
        self.any.is_none() && self.others.is_empty() && self.standard.iter().all(Option::is_none)
    }

    /// The value of the `Allow` field (RFC 9110 §10.2.1): sorted, with HEAD wherever GET is.
    pub fn allow(&self) -> String {
        let mut names: Vec<&str> =
            self.entries().filter_map(|(method, _)| method.map(Method::as_str)).collect();
        if self.standard[GET].is_some() && self.standard[HEAD].is_none() {
            names.push("HEAD");
        }
        names.sort_unstable();
        let mut allow = String::new();
        for name in names {
            let comma = if allow.is_empty() { "" } else { ", " };
            write!(allow, "{comma}{name}").expect("writing to a String cannot fail");
        }
        allow
    }

    /// Every value with its method; `None` is the value for any method.
    pub fn entries(&self) -> impl Iterator<Item = (Option<&Method>, &T)> {
        let standard = STANDARD.iter().zip(&self.standard);
        standard
            .filter_map(|(method, value)| value.as_ref().map(|value| (Some(method), value)))
            .chain(self.others.iter().map(|(method, value)| (Some(method), value)))
            .chain(self.any.iter().map(|value| (None, value)))
    }

    /// As [`MethodTable::entries`], the values mutable.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.standard
            .iter_mut()
            .filter_map(Option::as_mut)
            .chain(self.others.iter_mut().map(|(_, value)| value))
            .chain(self.any.iter_mut())
    }

    /// Every value with its method, out of the table.
    pub fn into_entries(self) -> impl Iterator<Item = (Option<Method>, T)> {
        let standard = STANDARD.into_iter().zip(self.standard);
        standard
            .filter_map(|(method, value)| value.map(|value| (Some(method), value)))
            .chain(self.others.into_iter().map(|(method, value)| (Some(method), value)))
            .chain(self.any.map(|value| (None, value)))
    }

    /// A table with the same methods, whose values are what `make` makes of these.
    pub fn map_ref<U>(&self, mut make: impl FnMut(&T) -> U) -> MethodTable<U> {
        MethodTable {
            standard: self.standard.each_ref().map(|value| value.as_ref().map(&mut make)),
            others: self.others.iter().map(|(method, value)| (method.clone(), make(value))).collect(),
            any: self.any.as_ref().map(&mut make),
        }
    }

    /// The table with every value replaced by what `change` makes of it.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> MethodTable<U> {
        MethodTable {
            standard: self.standard.map(|value| value.map(&mut change)),
            others: self.others.into_iter().map(|(method, value)| (method, change(value))).collect(),
            any: self.any.map(&mut change),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_standard_method_finds_its_own_value() {
        let mut table = MethodTable::new();
        for method in STANDARD {
            table.insert(Some(method.clone()), method).unwrap();
        }
        for method in STANDARD {
            assert_eq!(table.get(&method), Some(&method));
        }
        let purge = Method::from_bytes(b"PURGE").unwrap();
        assert_eq!(table.get(&purge), None);
        table.insert(Some(purge.clone()), purge.clone()).unwrap();
        assert_eq!(table.get(&purge), Some(&purge));
        assert_eq!(table.insert(Some(purge.clone()), Method::GET), Err(Method::GET));
    }

    #[test]
    fn head_is_answered_by_get_unless_it_has_its_own() {
        let mut table = MethodTable::new();
        table.insert(Some(Method::GET), 1).unwrap();
        assert_eq!(table.get(&Method::HEAD), Some(&1));
        table.insert(Some(Method::HEAD), 2).unwrap();
        assert_eq!(table.get(&Method::HEAD), Some(&2));
    }

    #[test]
    fn any_answers_only_what_nothing_else_does() {
        let mut table = MethodTable::new();
        table.insert(None, 0).unwrap();
        table.insert(Some(Method::POST), 1).unwrap();
        assert_eq!(table.get(&Method::POST), Some(&1));
        assert_eq!(table.get(&Method::OPTIONS), Some(&0));
        assert_eq!(table.insert(None, 5), Err(5));
    }

    #[test]
    fn allow_is_sorted_and_adds_head_to_get() {
        let mut table = MethodTable::new();
        for method in [Method::POST, Method::OPTIONS, Method::GET, Method::from_bytes(b"ACL").unwrap()] {
            table.insert(Some(method), ()).unwrap();
        }
        assert_eq!(table.allow(), "ACL, GET, HEAD, OPTIONS, POST");
        assert_eq!(MethodTable::<()>::new().allow(), "");
    }
}
