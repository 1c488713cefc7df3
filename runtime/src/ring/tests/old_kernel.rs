//! Kernels that lack something: the next best way is taken, or what is missing is named.

use std::cell::Cell;

use super::alone::alone;
use super::*;
use crate::{DriverChoice, DriverKind, StartError};

/// What a kernel may lack, with the release that brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ring) enum Feature {
    /// IORING_SETUP_NO_SQARRAY, Linux 6.6.
    NoSqArray,
    /// IORING_SETUP_DEFER_TASKRUN, Linux 6.1.
    DeferTaskrun,
    /// IORING_SETUP_SINGLE_ISSUER, Linux 6.0, as multishot receive and zero-copy send.
    SingleIssuer,
    /// IORING_FEAT_EXT_ARG, Linux 5.11: waits with a time limit.
    ExtArg,
    /// IORING_REGISTER_PBUF_RING, Linux 5.19, as multishot accept.
    BufferRings,
    /// IORING_RECV_MULTISHOT, where the release does not tell: on kernels with parts of others.
    MultishotRecv,
}

thread_local! {
    static LACKING: Cell<&'static [Feature]> = const { Cell::new(&[]) };
}

/// Whether the kernel is to be taken for one without this.
pub(in crate::ring) fn lacks(feature: Feature) -> bool {
    LACKING.get().contains(&feature)
}

fn without(features: &'static [Feature], choice: DriverChoice) -> Result<(DriverKind, String), StartError> {
    LACKING.set(features);
    let found = tiny().driver(choice).block_on(async {
        let (client, server) = pair().await;
        for _ in 0..20 {
            client.submit_send(vec![7; 1000]).unwrap();
            let mut got = 0;
            while got < 1000 {
                got += server.recv().await.unwrap().len();
            }
            client.flush().await.unwrap();
        }
        assert!(time::timeout(Duration::from_millis(3), server.recv()).await.is_err());
        drop((client, server));
        assert_nothing_is_lent().await;
        (DriverKind::current().unwrap(), driver(|driver| driver.describe()))
    });
    LACKING.set(&[]);
    found
}

#[test]
fn what_a_ring_can_do_without_costs_speed_only() {
    for (lacking, rung) in [
        (&[][..], "DeferNoArray"),
        (&[Feature::NoSqArray], "(Defer)"),
        (&[Feature::NoSqArray, Feature::DeferTaskrun], "(Coop)"),
    ] {
        let (kind, state) = without(lacking, DriverChoice::IoUring).unwrap();
        assert_eq!(kind, DriverKind::IoUring);
        assert!(state.contains(rung), "without {lacking:?}: {state}");
    }
}

/// Each with a name that the error must have in it.
const NEEDED: [(&[Feature], &str); 4] = [
    (&[Feature::SingleIssuer], "task-run flags"),
    (&[Feature::ExtArg], "task-run flags"),
    (&[Feature::BufferRings], "provided-buffer rings"),
    (&[Feature::MultishotRecv], "multishot receive"),
];

#[test]
fn what_a_ring_needs_is_named() {
    for (lacking, name) in NEEDED {
        let error = without(lacking, DriverChoice::IoUring).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, StartError::KernelTooOld { .. }), "{error:?}");
        assert!(text.contains(name) && text.contains("6.0"), "{text}");
    }
}

#[test]
fn without_what_a_ring_needs_epoll_serves() {
    alone("ring::tests::old_kernel::without_what_a_ring_needs_epoll_serves", || {
        // SAFETY: this process runs this test only.
        unsafe { std::env::remove_var("COVET_DRIVER") };
        for (lacking, _) in NEEDED {
            let (kind, state) = without(lacking, DriverChoice::Auto).unwrap();
            assert_eq!(kind, DriverKind::Epoll, "without {lacking:?}: {state}");
        }
    });
}
