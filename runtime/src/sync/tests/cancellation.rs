use std::future::pending;

use super::{Waiting, foreign, ready, set_hook};
use crate::sync::CancellationToken;

#[test]
fn children_are_cancelled_with_their_parent_only() {
    let parent = CancellationToken::new();
    let (one, other) = (parent.child_token(), parent.child_token());
    let grandchild = one.child_token();
    let mut waiting = Waiting::polled(grandchild.cancelled());
    other.cancel();
    assert!(other.is_cancelled() && !parent.is_cancelled() && !one.is_cancelled());
    parent.clone().cancel();
    assert_eq!(waiting.wakes(), 1);
    waiting.ready();
    assert!(one.is_cancelled() && parent.child_token().is_cancelled());
    ready(parent.cancelled());
}

#[test]
fn a_grandchild_hears_of_it_though_nobody_holds_the_child() {
    let parent = CancellationToken::new();
    let grandchild = parent.child_token().child_token();
    parent.cancel();
    assert!(grandchild.is_cancelled());
}

#[test]
fn all_are_cancelled_before_the_first_is_woken() {
    let parent = CancellationToken::new();
    let child = parent.child_token();
    let seen = child.clone();
    set_hook(move || assert!(seen.is_cancelled()));
    let mut waiting = Waiting::new(parent.cancelled());
    assert!(waiting.poll_with(&foreign()).is_pending());
    // The waker looks at the child when it is woken, and again when it is dropped.
    parent.cancel();
    set_hook(|| {});
    waiting.ready();
}

#[test]
fn a_guard_cancels_unless_it_is_disarmed() {
    let token = CancellationToken::new();
    let same = token.clone().drop_guard().disarm();
    assert!(!same.is_cancelled());
    drop(token.clone().drop_guard());
    assert!(same.is_cancelled());
}

#[test]
fn a_run_ends_with_its_token() {
    let token = CancellationToken::new();
    assert_eq!(ready(token.run_until_cancelled(async { 7 })), Some(7));
    let mut run = Waiting::polled(token.run_until_cancelled(pending::<()>()));
    token.cancel();
    assert_eq!(run.wakes(), 1);
    assert_eq!(run.ready(), None);
    assert_eq!(ready(token.run_until_cancelled(async { 7 })), None);
}

#[test]
fn a_long_line_of_descendants_neither_leaks_nor_overflows_the_stack() {
    let first = CancellationToken::new();
    let mut last = first.clone();
    for _ in 0..if cfg!(miri) { 500 } else { 200_000 } {
        last = last.child_token();
    }
    assert_eq!(first.children(), 1);
    drop(last);
    assert_eq!(first.children(), 0);
    let mut last = first.clone();
    for _ in 0..if cfg!(miri) { 500 } else { 200_000 } {
        last = last.child_token();
    }
    first.cancel();
    assert!(last.is_cancelled());
}
