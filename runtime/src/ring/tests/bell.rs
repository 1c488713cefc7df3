use std::sync::Arc;

use super::driver;
use crate::ring::bell::Bells;
use crate::ring::token::Key;
use crate::{DriverKind, Runtime};

#[test]
fn cores_with_rings_ring_through_them_and_by_eventfd_when_that_fails() {
    let runtime = Runtime::builder()
        .start(|core| async move {
            if core.index() != 0 {
                return;
            }
            let last = core.count() - 1;
            // Its answer shows that it has made its ring.
            core.spawn_on(last, || async {}).await.unwrap();
            let rung = driver(|driver| {
                let bells = driver.bells.as_ref().map(Arc::as_ptr);
                bells.is_some_and(|bells| driver.ring_bell(bells, last))
            });
            assert_eq!(rung, DriverKind::current() == Some(DriverKind::IoUring));
            let of_another_runtime = Bells::new(std::iter::empty());
            assert!(!driver(|driver| driver.ring_bell(Arc::as_ptr(&of_another_runtime), last)));
            driver(|driver| driver.on_bell_failed(Key { index: last as u32, generation: 0 }));
            core.spawn_on(last, || async {}).await.unwrap();
        })
        .unwrap();
    runtime.join().unwrap();
}
