//! Static probes (USDT), with the feature `probes`: places at which bpftrace and perf can look, while the process runs.

/// A probe of the provider `covet`: a no-operation instruction, and a note that says where its arguments are. Without
/// the feature the arguments are not even computed.
#[cfg(feature = "probes")]
macro_rules! probe {
    ($name:ident $(, $argument:expr)*) => { ::probe::probe!(covet, $name $(, $argument)*) };
}

#[cfg(not(feature = "probes"))]
macro_rules! probe {
    ($name:ident $(, $argument:expr)*) => {
        if false {
            $(let _ = $argument;)*
        }
    };
}

pub(crate) use probe;
