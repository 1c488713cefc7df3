//! Kernels that lack something: the next best way is taken, or what is missing is named.

use std::cell::Cell;

use super::alone::alone;
use super::scratch::Scratch;
use super::*;
use crate::fs::File;
use crate::ring::file_op::FileOp;
use crate::ring::op::Op;
use crate::ring::zero_copy::NEVER;
use crate::{DriverChoice, DriverKind, StartError, spawn};

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
    /// IORING_SEND_ZC_REPORT_USAGE, Linux 6.2; IORING_OP_SEND_ZC itself, Linux 6.0.
    SendZeroCopy,
    /// IORING_OP_FTRUNCATE, Linux 6.9.
    Ftruncate,
    /// IORING_ENTER_NO_IOWAIT, Linux 6.15.
    NoIowait,
}

thread_local! {
    static LACKING: Cell<&'static [Feature]> = const { Cell::new(&[]) };
}

/// Whether the kernel is to be taken for one without this.
pub(in crate::ring) fn lacks(feature: Feature) -> bool {
    LACKING.get().contains(&feature)
}

/// What the present kernel refuses as one without the operation would: with EINVAL.
pub(in crate::ring) fn as_then(op: Op) -> Op {
    match op {
        Op::File(FileOp::Truncate { file, .. }) if lacks(Feature::Ftruncate) => {
            Op::File(FileOp::Truncate { file, len: u64::MAX })
        }
        _ => op,
    }
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
        (&[Feature::NoIowait], "DeferNoArray"),
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

#[test]
fn without_sends_that_do_not_copy_bytes_are_copied() {
    LACKING.set(&[Feature::SendZeroCopy]);
    tiny()
        .driver(DriverChoice::IoUring)
        .zero_copy(Some(4096))
        .block_on(async {
            let (client, server) = pair().await;
            let reader = spawn(async move { receive_all(&server).await });
            for _ in 0..3 {
                client.submit_send(vec![7; 50_000]).unwrap();
                client.flush().await.unwrap();
                assert_eq!(
                    driver(|driver| driver.zero_copy_from),
                    NEVER,
                    "asked once, the core does not ask again"
                );
            }
            drop(client);
            assert!(reader.await.unwrap() == [7; 150_000]);
            assert_nothing_is_lent().await;
        })
        .unwrap();
    LACKING.set(&[]);
}

#[test]
fn without_a_ring_that_cuts_files_a_thread_does() {
    LACKING.set(&[Feature::Ftruncate]);
    let scratch = Scratch::new();
    tiny()
        .driver(DriverChoice::IoUring)
        .block_on(async {
            let file = File::create(scratch.join("file")).await.unwrap();
            file.write_all_at("some bytes", 0).await.0.unwrap();
            for len in [4, 10_000, 0] {
                file.set_len(len).await.unwrap();
                assert_eq!(file.metadata().await.unwrap().len(), len);
            }
            let error = file.set_len(u64::MAX).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "what is wrong stays wrong");
            drop(file);
            assert_nothing_is_lent().await;
        })
        .unwrap();
    LACKING.set(&[]);
}
