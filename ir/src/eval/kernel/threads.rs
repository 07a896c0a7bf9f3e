//! The threads of a workgroup.

use super::{Cell, Code, EvalError, Lanes, Locals, Machine, Rows, fault};
use crate::kernel::{Kernel, Storage};
use crate::scalar::ReduceOp;
use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::{swap, take};

/// The threads other than the one that runs.
pub(super) struct Threads {
    /// The state of each thread that does not run.
    waiting: Vec<(Locals, Rows)>,
    current: usize,
    /// Accesses to elements since the last barrier.
    touched: RefCell<HashMap<(bool, usize, usize), Touch>>,
}

#[derive(Clone, Copy)]
struct Touch {
    /// The last thread that did.
    thread: usize,
    /// Another one that did, if any.
    other: Option<usize>,
    wrote: bool,
}

impl Threads {
    pub(super) fn new(count: Option<u32>) -> Self {
        let waiting = vec![Default::default(); count.unwrap_or(0) as usize];
        Self { waiting, current: 0, touched: RefCell::default() }
    }

    /// Notes that the running thread reads or writes an element.
    pub(super) fn touch(&self, kernel: &Kernel, cell: &Cell, writes: bool) -> Result<(), EvalError> {
        let (element, name) = match *cell {
            _ if self.waiting.is_empty() => return Ok(()),
            Cell::Buffer(buffer, at) if kernel.buffers[buffer].writable => ((true, buffer, at), &kernel.buffers[buffer].name),
            Cell::Local(local, at) if kernel.locals[local].storage == Storage::Shared => {
                ((false, local, at), &kernel.locals[local].name)
            }
            _ => return Ok(()),
        };
        let thread = self.current;
        let mut touched = self.touched.borrow_mut();
        let touch = touched.entry(element).or_insert(Touch { thread, other: None, wrote: false });
        let other = if touch.thread == thread { touch.other } else { Some(touch.thread) };
        *touch = Touch { thread, other, wrote: touch.wrote || writes };
        if let Some(other) = other.filter(|_| touch.wrote) {
            return fault(format!("threads {other} and {thread} touch element {} of `{name}`, and one writes", element.2));
        }
        Ok(())
    }
}

impl Machine<'_, '_> {
    /// Discards what the last work item or workgroup left.
    pub(super) fn begin_item(&mut self) {
        let locals: Locals = self.kernel.locals.iter().map(|local| vec![None; local.len as usize]).collect();
        let rows: Rows = self.kernel.rows.iter().map(|row| vec![None; row.len as usize]).collect();
        self.threads.waiting.fill((locals.clone(), rows.clone()));
        (self.locals, self.rows) = (locals, rows);
    }

    /// Runs a loop of threads, one after another.
    pub(super) fn each_thread(&mut self, slot: usize, body: &[Code]) -> Result<(), EvalError> {
        self.threads.touched.get_mut().clear();
        (0..self.threads.waiting.len()).try_for_each(|thread| {
            self.threads.current = thread;
            self.slots[slot] = Lanes::Same(thread as i64);
            self.switch(thread);
            let result = self.run(body);
            self.switch(thread);
            result
        })
    }

    /// Reduces each row of a shared local by halves; elements other than the results have no value afterwards.
    pub(super) fn reduce(&mut self, op: ReduceOp, local: usize, stride: usize) -> Result<(), EvalError> {
        let (decl, mut width) = (&self.kernel.locals[local], self.threads.waiting.len());
        let misfits = !self.locals[local].len().is_multiple_of(width.max(1)) || stride == 0 || !width.is_multiple_of(stride);
        if width == 0 || misfits || decl.storage != Storage::Shared {
            return fault(format!("local `{}` cannot be reduced among threads", decl.name));
        }
        for row in self.locals[local].chunks_mut(width) {
            while width > stride {
                let (kept, rest) = row.split_at_mut(width / 2);
                for (low, high) in kept.iter_mut().zip(rest) {
                    let pair = low.zip(high.take());
                    *low = pair.and_then(|(low, high)| low.binary(op.combine(), high));
                    if low.is_none() {
                        return fault(format!("an element of `{}` was never written", decl.name));
                    }
                }
                width /= 2;
            }
            width = self.threads.waiting.len();
        }
        Ok(())
    }

    /// Exchanges the state at hand with that of a thread, except for what all share.
    fn switch(&mut self, thread: usize) {
        let (mut locals, mut rows) = take(&mut self.threads.waiting[thread]);
        swap(&mut self.rows, &mut rows);
        let shared = self.kernel.locals.iter().map(|local| local.storage == Storage::Shared);
        for ((mine, other), _) in self.locals.iter_mut().zip(&mut locals).zip(shared).filter(|(_, shared)| !shared) {
            swap(mine, other);
        }
        self.threads.waiting[thread] = (locals, rows);
    }
}
