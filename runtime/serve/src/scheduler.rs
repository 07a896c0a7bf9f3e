//! The thread that owns the decoders.

use super::error::ApiError;
use super::queue::{Event, Job};
use super::state::State;
use lostwax_runtime::RuntimeError;
use lostwax_runtime::llm::{Decoder, Generation, Generator, Language, Request, StepOutput};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// Starts the thread; it ends when the queue is closed and all texts are complete.
pub fn start(decoders: Vec<Box<dyn Decoder>>, state: &Arc<State>) -> std::io::Result<()> {
    if decoders.is_empty() {
        return Ok(());
    }
    let state = Arc::clone(state);
    let thread = std::thread::Builder::new().name("scheduler".into());
    thread.spawn(move || Scheduler::new(decoders, &state).run()).map(drop)
}

/// Decoders, each with its active sequence.
struct Scheduler<'a> {
    slots: Vec<Slot<'a>>,
    state: &'a State,
}

struct Slot<'a> {
    generator: Generator,
    active: Option<Active<'a>>,
}

/// A sequence that is being generated.
struct Active<'a> {
    generation: Generation<'a>,
    events: UnboundedSender<Event>,
}

impl<'a> Scheduler<'a> {
    fn new(decoders: Vec<Box<dyn Decoder>>, state: &'a State) -> Self {
        let slot = |decoder| Slot { generator: Generator::new(decoder), active: None };
        Self { slots: decoders.into_iter().map(slot).collect(), state }
    }

    /// Runs in rounds: jobs join free slots, then each sequence advances by a step. The tokens that they will append are announced
    /// first, so that one run can append them as a batch.
    fn run(mut self) {
        while self.admit() {
            self.slots.iter_mut().for_each(Slot::announce);
            for slot in &mut self.slots {
                slot.step(self.state);
            }
        }
    }

    /// Fills free slots from the queue; waits if there is nothing else to do. False if the queue is closed and all is done.
    fn admit(&mut self) -> bool {
        loop {
            let busy = self.slots.iter().filter(|slot| slot.active.is_some()).count();
            self.state.metrics.set_busy(busy);
            if busy == self.slots.len() {
                return true;
            }
            match self.state.queue.take(busy == 0) {
                Some(job) => self.place(job),
                None => return busy > 0,
            }
        }
    }

    /// Begins a job in the free slot whose cache has most of its prompt.
    fn place(&mut self, job: Job) {
        let free = self.slots.iter_mut().filter(|slot| slot.active.is_none());
        if let Some(slot) = free.max_by_key(|slot| slot.generator.reusable(&job.prompt)) {
            slot.begin(job, self.state);
        }
    }
}

impl Drop for Scheduler<'_> {
    /// Without this thread no job makes progress, so no client may keep waiting.
    fn drop(&mut self) {
        self.state.queue.close();
        self.state.metrics.set_busy(0);
    }
}

impl<'a> Slot<'a> {
    fn begin(&mut self, job: Job, state: &'a State) {
        let Job { prompt, max_tokens, stop, sampling, events } = job;
        let (language, prompt_chunk): (&'a Language, usize) = (&state.language, state.settings.prompt_chunk);
        let request = Request { max_tokens, stop: &stop, sampling, prompt_chunk, ..Request::new(language, &prompt) };
        match self.generator.begin(language, &request) {
            Ok(generation) => self.active = Some(Active { generation, events }),
            Err(error) => send(&events, Event::Failed(error.into())),
        }
    }

    fn announce(&mut self) {
        if let Some(active) = self.active.as_ref().filter(|active| !active.events.is_closed()) {
            active.generation.announce(&mut self.generator);
        }
    }

    /// Advances by a step; the slot is free after the last one, or when the client has disconnected.
    fn step(&mut self, state: &State) {
        let Some(mut active) = self.active.take() else { return };
        if active.events.is_closed() {
            state.metrics.cancelled();
            return;
        }
        match active.generation.step(&mut self.generator) {
            Ok(StepOutput::End(text)) => active.end(text, state),
            Ok(step) => {
                if let StepOutput::Text(text) = step {
                    active.text(text);
                }
                self.active = Some(active);
            }
            Err(error) => active.fail(error),
        }
    }
}

impl Active<'_> {
    fn text(&self, text: String) {
        if !text.is_empty() {
            send(&self.events, Event::Text(text));
        }
    }

    fn end(self, text: String, state: &State) {
        self.text(text);
        let generated = self.generation.finish();
        state.metrics.generated(&generated.timings);
        send(&self.events, Event::End { finish_reason: generated.finish_reason, timings: generated.timings });
    }

    fn fail(self, error: RuntimeError) {
        send(&self.events, Event::Failed(ApiError::from(error)));
    }
}

/// A disconnected client is noticed at the next step.
fn send(events: &UnboundedSender<Event>, event: Event) {
    let _ = events.send(event);
}
