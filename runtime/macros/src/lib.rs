//! The attributes that put an async function on Covet's cores.
//!
//! They are used through `covet_runtime`, which re-exports them unless its feature `macros` is off.

mod expand;
mod function;
mod options;

use proc_macro::TokenStream;

/// Makes an async `main` the main future of a core, or of several.
///
/// Without options it runs once, on the calling thread, and `main` returns what it returns: the same as
/// `covet_runtime::block_on`. With `cores` it runs once **on each** of those cores, on a pinned thread of its own,
/// and the process ends when all have: the same as `Runtime::builder().start(..)` and `join`. There it may take one
/// argument, the `Core` that it runs on.
///
/// | Option | Meaning | Default |
/// |---|---|---|
/// | `cores = "all"` | every CPU that the process may use; also `"physical"`, a list such as `"0,2-5"`, or a number | the calling thread alone |
/// | `signals = true` | SIGINT and SIGTERM begin the shutdown, as `Builder::handle_signals` | `false` |
/// | `crate = path` | where `covet_runtime` is, for a crate that re-exports it | `::covet_runtime` |
///
/// The function may return whatever a `main` may, so `Result<(), E>` with `E: Debug`. On several cores an error is
/// printed when it happens, the other cores go on, and the exit code tells of it in the end; a panic likewise.
///
/// ```no_run
/// #[covet_runtime::main(cores = "all", signals = true)]
/// async fn main(core: covet_runtime::Core) -> std::io::Result<()> {
///     println!("core {} of {}", core.index(), core.count());
///     covet_runtime::shutdown::requested().await;
///     Ok(())
/// }
/// ```
///
/// # Errors
/// When a core can't be started the reason is printed and the process exits with 1.
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::main(options.into(), item.into()).into()
}

/// Makes an async function a test that runs on a core.
///
/// | Option | Meaning | Default |
/// |---|---|---|
/// | `clock = "test"` | the clock of the core stands still until the test moves it: see `time::TestClock` | `"real"` |
/// | `cores = 2` | the test runs once on each of so many cores, and fails if it fails on one, which ends it on all; it may then take the `Core` as an argument. Also `"all"`, `"physical"` or a list such as `"0,1"` | once, on the test's own thread |
/// | `crate = path` | where `covet_runtime` is, for a crate that re-exports it | `::covet_runtime` |
///
/// The test may return `Result<(), E>`; `#[should_panic]` and `#[ignore]` go below this attribute or above it.
///
/// ```no_run
/// #[covet_runtime::test]
/// async fn a_task_runs() {
///     assert_eq!(covet_runtime::spawn(async { 7 }).await, Ok(7));
/// }
///
/// #[covet_runtime::test(clock = "test")]
/// async fn an_hour_passes() {
///     let clock = covet_runtime::time::TestClock::stop();
///     clock.advance(std::time::Duration::from_secs(3600)).await;
/// }
/// ```
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::test(options.into(), item.into()).into()
}
