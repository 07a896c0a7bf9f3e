//! Runs allocate nothing if shapes are known, or if only the value of a symbol is new.

mod common;
#[path = "common/idle.rs"]
mod idle;

use common::plan;
use idle::Idle;
use lostwax_runtime::api::Device;
use lostwax_runtime::format::{Expr, Symbol, Writer, expr::Kind};
use lostwax_runtime::{Model, Outputs, Session, Tensor};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: all calls go to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of this function.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A session of the model with a symbol `past` that only a dispatch depends on.
fn session() -> Session {
    let mut writer = Writer::new("tests 1.0");
    let mut plan = plan(&mut writer);
    plan.variants[0].dispatches[3].symbols[0] = plan.exprs.len() as u32;
    plan.exprs.push(Expr { kind: Some(Kind::Symbol(plan.symbols.len() as u32)) });
    plan.symbols.push(Symbol { name: "past".into(), min: 0, max: 1000 });
    let mut file = Vec::new();
    writer.write(&plan, &mut file).unwrap();
    let device: Arc<dyn Device> = Arc::new(Idle::new(3, 4));
    Model::from_bytes(file).unwrap().session(device).unwrap()
}

#[test]
fn runs_allocate_nothing() {
    let mut session = session();
    let (x, bias) = (Tensor::from_slice(&[0.0f32; 64], &[2, 32]).unwrap(), Tensor::from_slice(&[0.0f32], &[]).unwrap());
    let inputs = [("x", x.as_view()), ("bias", bias.as_view())];
    let mut outputs = Outputs::new();
    session.bind("past", 0).unwrap();
    session.run_into(&inputs, &mut outputs).unwrap();
    let before = COUNT.with(Cell::get);
    for past in 0..10 {
        session.bind("past", past).unwrap();
        session.run_into(&inputs, &mut outputs).unwrap();
        session.run_into(&inputs, &mut outputs).unwrap();
    }
    assert_eq!(COUNT.with(Cell::get), before);
}
