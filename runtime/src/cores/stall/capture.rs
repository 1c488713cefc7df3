//! Copying another thread's registers and stack, by a signal.
//!
//! The handler interrupts its thread anywhere: in malloc, in the loader, halfway through a push. So it does nothing but
//! what is allowed everywhere (signal-safety(7)): it reads its own thread's registers, copies memory, and uses lock-free
//! atomics. It takes no lock, allocates nothing, and does not unwind: an unwinder may take the loader's lock, and
//! follows tables that may be wrong into memory that may not exist. The copy is unwound later by another thread, where
//! a wrong table leads out of the copy at worst.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::io;
use std::panic::Location;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::heartbeat::Thread;
use crate::task;

/// As much of the stack as is copied, from its top frame.
const STACK: usize = 256 * 1024;
/// As much of a task's name as is copied.
const NAME: usize = 64;
/// How long a thread may take to answer: it may have to wait for its CPU first.
const PATIENCE: Duration = Duration::from_millis(250);

/// Nobody asks. What was copied may be read by who holds the lock `ONE`.
const IDLE: u32 = 0;
/// A thread is asked; it may begin to write.
const ASKED: u32 = 1;
/// The handler writes.
const WRITING: u32 = 2;
/// The handler has written.
const WRITTEN: u32 = 3;

struct Slot {
    state: AtomicU32,
    thread: AtomicI32,
    stack_start: AtomicUsize,
    stack_end: AtomicUsize,
    copy: UnsafeCell<Copy>,
}

struct Copy {
    answered: Option<Instant>,
    registers: Registers,
    task: Option<&'static Location<'static>>,
    name: [u8; NAME],
    name_len: usize,
    len: usize,
    stack: [u8; STACK],
}

/// By their DWARF numbers, and the program counter.
#[cfg_attr(not(feature = "backtraces"), allow(dead_code, reason = "only backtraces are made of it"))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Registers {
    pub(super) general: [u64; 32],
    pub(super) program_counter: u64,
}

// SAFETY: `copy` is written by the handler only between its exchange of ASKED for WRITING and its store of WRITTEN, and
// read by the holder of `ONE` only after that store and before it asks again.
unsafe impl Sync for Slot {}

static SLOT: Slot = Slot {
    state: AtomicU32::new(IDLE),
    thread: AtomicI32::new(0),
    stack_start: AtomicUsize::new(0),
    stack_end: AtomicUsize::new(0),
    copy: UnsafeCell::new(Copy {
        answered: None,
        registers: Registers { general: [0; 32], program_counter: 0 },
        task: None,
        name: [0; NAME],
        name_len: 0,
        len: 0,
        stack: [0; STACK],
    }),
};

/// Several runtimes of a process take turns.
static ONE: Mutex<()> = Mutex::new(());

/// What a thread was doing. Without the feature `backtraces` only the task is of use.
#[cfg_attr(not(feature = "backtraces"), allow(dead_code, reason = "only backtraces are made of it"))]
pub(super) struct Capture {
    /// When it answered. It has the CPU then, and is where it was when it was asked.
    pub(super) answered: Option<Instant>,
    pub(super) registers: Registers,
    /// Where the task that it polled was spawned.
    pub(super) task: Option<&'static Location<'static>>,
    /// The beginning of its name, if it has one.
    pub(super) name: Option<String>,
    /// The stack from the stack pointer upwards.
    pub(super) stack: Vec<u8>,
}

/// Chooses the signal and installs its handler, once per process.
pub(super) fn install() -> io::Result<c_int> {
    static SIGNAL: OnceLock<Result<c_int, i32>> = OnceLock::new();
    SIGNAL.get_or_init(choose).map_err(io::Error::from_raw_os_error)
}

fn choose() -> Result<c_int, i32> {
    // SAFETY: sigaction(2) with a zeroed structure to write to, and later with a handler that only does what is allowed
    // in one. The signal is changed only if nobody had a handler for it; a library that installs one at this very
    // moment would win, and our requests would stay unanswered.
    unsafe {
        for signal in (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev() {
            let mut action: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, std::ptr::null(), &raw mut action) != 0
                || action.sa_sigaction != libc::SIG_DFL
            {
                continue;
            }
            action.sa_sigaction =
                on_signal as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
            // On the alternative stack, if there is one: the stalled code may be at the end of its own.
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
            libc::sigfillset(&raw mut action.sa_mask);
            if libc::sigaction(signal, &raw const action, std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL));
            }
            return Ok(signal);
        }
    }
    Err(libc::EBUSY)
}

/// Lets the signal through on the calling thread, which may have inherited a mask that blocks it.
pub(super) fn unblock(signal: c_int) {
    // SAFETY: the set is initialised by sigemptyset before it is used.
    unsafe {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// Asks a thread what it is doing. `None` if it does not answer: it waits for its CPU, or sleeps in the kernel in a way
/// that no signal interrupts.
///
/// The thread must exist: the caller keeps it from ending.
pub(super) fn capture(thread: &Thread, signal: c_int) -> Option<Capture> {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    SLOT.thread.store(thread.id, Ordering::Relaxed);
    SLOT.stack_start.store(thread.stack.start, Ordering::Relaxed);
    SLOT.stack_end.store(thread.stack.end, Ordering::Relaxed);
    SLOT.state.store(ASKED, Ordering::Release);
    // SAFETY: tgkill(2) has no preconditions in memory; the signal has our handler.
    if unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread.id, signal) } != 0 {
        SLOT.state.store(IDLE, Ordering::Relaxed);
        return None;
    }
    let end = Instant::now() + PATIENCE;
    while SLOT.state.load(Ordering::Acquire) != WRITTEN {
        if Instant::now() >= end
            && SLOT.state.compare_exchange(ASKED, IDLE, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            // A handler that runs later finds that nobody asks.
            return None;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    // SAFETY: WRITTEN was seen by an Acquire load, so the handler is through, and no other will write until the state
    // is ASKED again, for which `ONE` is needed.
    let copy = unsafe { &*SLOT.copy.get() };
    let name = String::from_utf8_lossy(&copy.name[..copy.name_len]);
    let capture = Capture {
        answered: copy.answered,
        registers: copy.registers,
        task: copy.task,
        name: (!name.is_empty()).then(|| name.into_owned()),
        stack: copy.stack[..copy.len].to_vec(),
    };
    SLOT.state.store(IDLE, Ordering::Release);
    Some(capture)
}

extern "C" fn on_signal(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: gettid(2) has no preconditions, and does not fail, so errno stays as it was.
    let me = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
    if SLOT.thread.load(Ordering::Relaxed) != me
        || SLOT.state.compare_exchange(ASKED, WRITING, Ordering::Acquire, Ordering::Relaxed).is_err()
    {
        return;
    }
    // SAFETY: WRITING was taken by this handler, so nobody else touches the copy. The kernel passes the interrupted
    // context. What is copied lies between the stack pointer and the end of this thread's stack, which is mapped.
    unsafe {
        let copy = SLOT.copy.get();
        // clock_gettime(2), which is allowed in a handler.
        (*copy).answered = Some(Instant::now());
        let registers = registers(&*context.cast::<libc::ucontext_t>());
        (*copy).registers = registers;
        (*copy).name_len = 0;
        (*copy).task = task::with_running(|origin| {
            if let Some(name) = origin.name() {
                let len = name.len().min(NAME);
                std::ptr::copy_nonoverlapping(name.as_ptr(), (&raw mut (*copy).name).cast(), len);
                (*copy).name_len = len;
            }
            origin.at()
        });
        let from = registers.general[STACK_POINTER] as usize;
        let end = SLOT.stack_end.load(Ordering::Relaxed);
        let len = if (SLOT.stack_start.load(Ordering::Relaxed)..end).contains(&from) {
            (end - from).min(STACK)
        } else {
            0
        };
        copy_stack(from as *const u8, (&raw mut (*copy).stack).cast(), len);
        (*copy).len = len;
    }
    SLOT.state.store(WRITTEN, Ordering::Release);
}

/// Copies a stack as bytes: all of it, whatever objects it has and what lies between them. That is no access to any
/// object, so on x86-64 it is no access of the language either; AddressSanitizer would take it for one that goes astray.
///
/// # Safety
/// `len` bytes at `from` are mapped, and as many at `to` are the caller's to write; they do not overlap.
unsafe fn copy_stack(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: as above; the direction flag is clear at the entry of a signal handler (System V ABI).
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rcx") len => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags)
        );
    }
    // SAFETY: as above.
    #[cfg(not(target_arch = "x86_64"))]
    unsafe {
        std::ptr::copy_nonoverlapping(from, to, len);
    }
}

/// The DWARF number of the stack pointer.
#[cfg(target_arch = "x86_64")]
pub(super) const STACK_POINTER: usize = 7;
#[cfg(not(target_arch = "x86_64"))]
pub(super) const STACK_POINTER: usize = 31;

#[cfg(target_arch = "x86_64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    // The kernel's order by DWARF number: System V ABI for x86-64, figure 3.36.
    const ORDER: [c_int; 16] = [
        libc::REG_RAX,
        libc::REG_RDX,
        libc::REG_RCX,
        libc::REG_RBX,
        libc::REG_RSI,
        libc::REG_RDI,
        libc::REG_RBP,
        libc::REG_RSP,
        libc::REG_R8,
        libc::REG_R9,
        libc::REG_R10,
        libc::REG_R11,
        libc::REG_R12,
        libc::REG_R13,
        libc::REG_R14,
        libc::REG_R15,
    ];
    let saved = &context.uc_mcontext.gregs;
    let mut general = [0; 32];
    for (number, place) in ORDER.into_iter().enumerate() {
        general[number] = saved[place as usize].cast_unsigned();
    }
    Registers { general, program_counter: saved[libc::REG_RIP as usize].cast_unsigned() }
}

#[cfg(target_arch = "aarch64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let saved = &context.uc_mcontext;
    let mut general = [0; 32];
    general[..31].copy_from_slice(&saved.regs);
    general[STACK_POINTER] = saved.sp;
    Registers { general, program_counter: saved.pc }
}

/// Elsewhere the report goes without a backtrace.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn registers(_context: &libc::ucontext_t) -> Registers {
    Registers { general: [0; 32], program_counter: 0 }
}
