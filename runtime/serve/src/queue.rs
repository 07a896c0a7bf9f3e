//! Jobs that wait for a slot.

use super::error::ApiError;
use lostwax_runtime::llm::{FinishReason, Sampling, Timings};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// A sequence to generate. It is cancelled when the receiver of its events is dropped.
pub struct Job {
    pub prompt: Vec<u32>,
    pub max_tokens: usize,
    pub stop: Vec<String>,
    pub sampling: Sampling,
    pub events: UnboundedSender<Event>,
}

/// What happens to a job.
pub enum Event {
    /// More text.
    Text(String),
    /// It is complete.
    End { finish_reason: FinishReason, timings: Timings },
    /// It failed.
    Failed(ApiError),
}

/// A bounded queue with many producers and one consumer.
pub struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    limit: usize,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

impl Queue {
    pub fn new(limit: usize) -> Self {
        Self { waiting: Mutex::default(), changed: Condvar::new(), limit }
    }

    /// Adds a job, unless the queue is full.
    pub fn push(&self, job: Job) -> Result<(), ApiError> {
        let mut waiting = self.lock();
        if waiting.is_closed {
            return Err(ApiError::stopping());
        }
        if waiting.jobs.len() >= self.limit {
            return Err(ApiError::busy(self.limit));
        }
        waiting.jobs.push_back(job);
        self.changed.notify_one();
        Ok(())
    }

    /// The job that waits longest. If there is none and `wait` is set, waits for one; none then means that the queue is closed.
    pub fn take(&self, wait: bool) -> Option<Job> {
        let mut waiting = self.lock();
        while wait && waiting.jobs.is_empty() && !waiting.is_closed {
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.jobs.pop_front()
    }

    /// The number of jobs whose client still waits.
    pub fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Drops all jobs and accepts no more.
    pub fn close(&self) {
        let mut waiting = self.lock();
        waiting.is_closed = true;
        waiting.jobs.clear();
        self.changed.notify_all();
    }

    /// The jobs whose client still waits.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.jobs.retain(|job| !job.events.is_closed());
        waiting
    }
}
