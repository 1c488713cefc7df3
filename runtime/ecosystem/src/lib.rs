//! Other people's crates on Covet's cores.
//!
//! There is nothing here but tests and examples: hyper, h2, axum with tower-http, rustls, tokio-postgres and the
//! combinators of tokio and futures, each against the streams, executors and timers of `covet_runtime::compat`. They
//! are a package of their own so that `cargo test -p covet-runtime` builds none of these crates.
