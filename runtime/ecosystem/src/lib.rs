//! Other people's crates on Covet's cores.
