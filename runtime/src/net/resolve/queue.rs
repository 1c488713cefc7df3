//! Lookups of one runtime, a bounded number at a time.
//!
//! A lookup can't be cancelled once it has begun, and takes ten seconds or more where name servers are silent. The
//! futures that wait for it may be gone long before, so it is the threads that must be counted: callers who give up and
//! try again would fill the pool with lookups that nobody waits for, and files would wait behind names.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::error::{LookupError, LookupErrorKind};
use super::getaddrinfo::getaddrinfo;
use crate::blocking::Pool;
use crate::cores::context;

/// Lookups that run at a time.
const AT_ONCE: usize = 16;

/// The lookups of a runtime that have not begun.
#[derive(Default)]
pub(crate) struct Lookups(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    workers: usize,
    waiting: VecDeque<Job>,
}

struct Job {
    host: String,
    answer: Arc<Mutex<Answer>>,
}

#[derive(Default)]
struct Answer {
    result: Option<Result<Vec<SocketAddr>, LookupError>>,
    waker: Option<Waker>,
}

impl Lookups {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn answer(self, result: Result<Vec<SocketAddr>, LookupError>) {
        let waker = {
            let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
            answer.result = Some(result);
            answer.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

pub(super) async fn resolve(host: &str) -> Result<Vec<SocketAddr>, LookupError> {
    let pool = context::expect_current("a lookup").blocking.clone();
    let answer = Arc::new(Mutex::new(Answer::default()));
    let start = {
        let mut queue = pool.lookups.lock();
        queue.waiting.push_back(Job { host: host.to_owned(), answer: answer.clone() });
        let start = queue.workers < AT_ONCE;
        queue.workers += usize::from(start);
        start
    };
    if start {
        let mut worker = Worker { pool, ended: false };
        crate::spawn_blocking(move || worker.run()).detach();
    }
    poll_fn(move |cx| {
        let waker = cx.waker().clone();
        let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(result) = answer.result.take() {
            return Poll::Ready(result);
        }
        let old = answer.waker.replace(waker);
        // Wakers may be anyone's code: none of it inside the lock.
        drop(answer);
        drop(old);
        Poll::Pending
    })
    .await
}

/// One of the threads that may look names up.
struct Worker {
    pool: Arc<Pool>,
    ended: bool,
}

impl Worker {
    /// Works the queue off.
    fn run(&mut self) {
        while let Some(job) = self.next() {
            // Otherwise its future is gone.
            if Arc::strong_count(&job.answer) > 1 {
                let result = getaddrinfo(&job.host);
                job.answer(result);
            }
        }
    }

    fn next(&mut self) -> Option<Job> {
        let mut queue = self.pool.lookups.lock();
        let job = queue.waiting.pop_front();
        if job.is_none() {
            queue.workers -= 1;
            self.ended = true;
        }
        job
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // The pool has closed, or a waker panicked: who waits must learn of it.
        let stranded = {
            let mut queue = self.pool.lookups.lock();
            queue.workers -= 1;
            if queue.workers == 0 { std::mem::take(&mut queue.waiting) } else { VecDeque::new() }
        };
        for job in stranded {
            let error = LookupError::new(&job.host, LookupErrorKind::Failed, "the blocking pool is closed");
            job.answer(Err(error));
        }
    }
}
