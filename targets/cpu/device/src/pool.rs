//! Threads that share the work items of one dispatch at a time.
//!
//! The caller publishes a job by storing the number of its chunks. The thread that decrements that number owns one chunk, and
//! counts it as done after running it. The caller takes chunks too and finally waits until all are done; so it waits only for
//! chunks that some thread has begun, never for a thread to wake up.

use crate::mapping::KernelFn;
use lostwax_target_api::DeviceError;
use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long an idle worker polls for work before it parks: longer than the usual gap between two dispatches of a run.
const WORKER_POLL_TIME: Duration = Duration::from_micros(100);

/// Polls of a worker between two checks of the clock.
const WORKER_POLLS: u32 = 32;

/// Polls of the caller for the last chunks before it yields to other threads.
const CALLER_POLLS: u32 = 2_000;

/// Chunks per thread, so that a delayed thread leaves little to wait for.
const CHUNKS_PER_THREAD: u64 = 4;

/// One kernel call over work items `0..items`.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    pub(crate) kernel: KernelFn,
    pub(crate) buffers: *const *mut u8,
    pub(crate) symbols: *const i64,
    pub(crate) items: u64,
}

impl Job {
    /// Runs the work items `begin..end`.
    ///
    /// # Safety
    /// The buffers and symbols must be those that the kernel was compiled for, and no one else may use what it writes.
    unsafe fn run(&self, begin: u64, end: u64) {
        // SAFETY: the caller guarantees that the arguments are valid.
        unsafe { (self.kernel)(self.buffers, self.symbols, begin as i64, end as i64) }
    }
}

/// A published job and how it is cut.
#[derive(Clone, Copy)]
struct Shared {
    job: Job,
    chunks: u64,
    chunk_items: u64,
}

#[derive(Default)]
struct State {
    /// Chunks of the current job that no one owns yet.
    remaining: AtomicU64,
    stop: AtomicBool,
    shared: UnsafeCell<Option<Shared>>,
    /// Chunks of the current job that were run.
    done: Apart<AtomicU64>,
}

/// A value in cache lines of its own, so that those who write it do not disturb those who read what lies beside it.
#[derive(Default)]
#[repr(align(128))]
struct Apart<T>(T);

// SAFETY: `shared` is written only by the caller while no chunk is left or being run, and read only by owners of a chunk, who
// synchronize with the caller through `remaining` and `done`. The pointers in it are valid for all threads during the job.
unsafe impl Sync for State {}
// SAFETY: as above.
unsafe impl Send for State {}

struct Worker {
    thread: JoinHandle<()>,
    parked: Arc<AtomicBool>,
}

/// That many threads; 0 stands for one per available core.
pub(crate) fn thread_count(threads: usize) -> usize {
    let available = || std::thread::available_parallelism().map_or(1, usize::from);
    if threads == 0 { available() } else { threads }
}

/// The error for a thread that the system cannot start.
pub(crate) fn no_thread(error: std::io::Error) -> DeviceError {
    DeviceError::LimitExceeded { resource: "threads", problem: error.to_string() }
}

/// A fixed set of threads; the one that calls [`Pool::run`] counts as one of them.
pub(crate) struct Pool {
    state: Arc<State>,
    workers: Vec<Worker>,
}

impl Pool {
    /// A pool of that many threads; 0 stands for one per available core.
    pub(crate) fn new(threads: usize) -> Result<Self, DeviceError> {
        let threads = thread_count(threads);
        let mut pool = Self { state: Arc::default(), workers: Vec::new() };
        for _ in 1..threads {
            pool.add_worker()?;
        }
        Ok(pool)
    }

    fn add_worker(&mut self) -> Result<(), DeviceError> {
        let (state, parked) = (Arc::clone(&self.state), Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&parked);
        let thread = std::thread::Builder::new().name("lostwax".into()).spawn(move || work(&state, &flag));
        let thread = thread.map_err(no_thread)?;
        self.workers.push(Worker { thread, parked });
        Ok(())
    }

    /// Runs all work items of a job, on other threads too where that helps.
    ///
    /// # Safety
    /// As for [`Job::run`], for all work items of the job.
    pub(crate) unsafe fn run(&mut self, job: Job) {
        if self.workers.is_empty() || job.items <= 1 {
            if job.items > 0 {
                // SAFETY: the caller guarantees that the job is valid.
                unsafe { job.run(0, job.items) };
            }
            return;
        }
        let threads = self.workers.len() as u64 + 1;
        let chunk_items = job.items.div_ceil(threads * CHUNKS_PER_THREAD);
        let chunks = job.items.div_ceil(chunk_items);
        // SAFETY: the previous job is done, so no worker owns a chunk and reads the cell.
        unsafe { *self.state.shared.get() = Some(Shared { job, chunks, chunk_items }) };
        self.state.done.0.store(0, Ordering::Relaxed);
        self.state.remaining.store(chunks, Ordering::SeqCst);
        self.wake(chunks - 1);
        while self.state.run_chunk() {}
        self.wait_for(chunks);
    }

    fn wake(&self, wanted: u64) {
        for worker in self.workers.iter().take(usize::try_from(wanted).unwrap_or(usize::MAX)) {
            if worker.parked.load(Ordering::SeqCst) && worker.parked.swap(false, Ordering::SeqCst) {
                worker.thread.thread().unpark();
            }
        }
    }

    fn wait_for(&self, chunks: u64) {
        let mut spins = 0;
        while self.state.done.0.load(Ordering::Acquire) < chunks {
            spins += 1;
            if spins < CALLER_POLLS { spin_loop() } else { std::thread::yield_now() }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        self.wake(u64::MAX);
        for worker in self.workers.drain(..) {
            // A worker that panicked has nothing left to release.
            let _ = worker.thread.join();
        }
    }
}

impl State {
    /// Takes and runs one chunk, if one is left.
    fn run_chunk(&self) -> bool {
        let take = |left: u64| left.checked_sub(1);
        let Ok(left) = self.remaining.fetch_update(Ordering::Acquire, Ordering::Relaxed, take) else { return false };
        // SAFETY: we own a chunk, so the caller of `Pool::run` waits for us before it writes the cell again, and it wrote it
        // before the store to `remaining` that our update has seen.
        if let Some(shared) = unsafe { *self.shared.get() } {
            let begin = (shared.chunks - left) * shared.chunk_items;
            let end = (begin + shared.chunk_items).min(shared.job.items);
            // SAFETY: the caller of `Pool::run` guarantees that the job is valid; chunks do not overlap.
            unsafe { shared.job.run(begin, end) };
        }
        self.done.0.fetch_add(1, Ordering::Release);
        true
    }

    fn has_request(&self) -> bool {
        self.remaining.load(Ordering::SeqCst) > 0 || self.stop.load(Ordering::SeqCst)
    }

    /// Polls for a while; returns whether there is work or a request to stop.
    fn poll(&self) -> bool {
        let start = Instant::now();
        loop {
            for _ in 0..WORKER_POLLS {
                if self.has_request() {
                    return true;
                }
                spin_loop();
            }
            if start.elapsed() > WORKER_POLL_TIME {
                return false;
            }
        }
    }
}

fn work(state: &State, parked: &AtomicBool) {
    while !state.stop.load(Ordering::SeqCst) {
        while state.run_chunk() {}
        if !state.poll() {
            park(state, parked);
        }
    }
}

/// Sleeps until the caller takes the flag back. The flag is set before the last look for work, and the caller reads it
/// after publishing work, so one of them sees the other.
fn park(state: &State, parked: &AtomicBool) {
    parked.store(true, Ordering::SeqCst);
    if state.has_request() {
        parked.store(false, Ordering::SeqCst);
        return;
    }
    while parked.load(Ordering::SeqCst) {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn count(buffers: *const *mut u8, _: *const i64, begin: i64, end: i64) {
        for item in begin..end {
            // SAFETY: the test passes one buffer with a counter for each item.
            let counter = unsafe { &*(*buffers).cast::<AtomicU64>().add(item as usize) };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn run_jobs(threads: usize, sizes: &[u64]) {
        let mut pool = Pool::new(threads).unwrap();
        for items in sizes {
            let counters: Vec<AtomicU64> = (0..*items).map(|_| AtomicU64::new(0)).collect();
            let buffers = [counters.as_ptr().cast_mut().cast::<u8>()];
            let job = Job { kernel: count, buffers: buffers.as_ptr(), symbols: std::ptr::null(), items: *items };
            // SAFETY: the counters live until the job is done.
            unsafe { pool.run(job) };
            assert!(counters.iter().all(|counter| counter.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn every_item_runs_once() {
        let sizes: Vec<u64> = (0..300).map(|round| round * 7 % 97).collect();
        for threads in [1, 2, 3, 8] {
            run_jobs(threads, &sizes);
        }
    }

    #[test]
    fn parked_workers_wake_for_new_jobs() {
        let mut pool = Pool::new(3).unwrap();
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(5));
            let counters: Vec<AtomicU64> = (0..64).map(|_| AtomicU64::new(0)).collect();
            let buffers = [counters.as_ptr().cast_mut().cast::<u8>()];
            // SAFETY: the counters live until the job is done.
            unsafe { pool.run(Job { kernel: count, buffers: buffers.as_ptr(), symbols: std::ptr::null(), items: 64 }) };
            assert!(counters.iter().all(|counter| counter.load(Ordering::Relaxed) == 1));
        }
    }
}
