//! Which route answers a path and a method, as a pure data structure.
//!
//! Nothing here knows of handlers, futures or sockets: a [`RouteTable`] maps a path to a value of
//! any type, and a [`MethodTable`] maps a method to one. The router puts its endpoints in them; a
//! benchmark can put a unit there and time the matching alone.
//!
//! Matching works on the **raw** path, as it stood in the request: `%2F` does not separate
//! segments, and `/a` and `/%61` are different paths. Parameters are decoded later, by the
//! [`Path`](crate::Path) extractor.

mod areas;
mod methods;
mod pattern;
mod static_index;
mod table;

pub(crate) use areas::AreaTable;
pub use methods::MethodTable;
pub use pattern::{Pattern, PatternError};
pub use table::{Found, InsertError, RouteTable, Spans};
