//! What a run costs whose only news is the value of a symbol: a plan of 500 steps on a device that computes nothing.

#[path = "../tests/common/idle.rs"]
mod idle;

use idle::Idle;
use lostwax_runtime::api::Device;
use lostwax_runtime::format::{
    Buffer, Dispatch, EntryPoint, Exprs, Plan, Region, State, Step, Symbol, TensorSpec, Variant, Writer,
};
use lostwax_runtime::{Model, Outputs, Session, Tensor};
use std::sync::Arc;
use std::time::{Duration, Instant};

const STEPS: u32 = 500;
const RUNS: i64 = 1000;

fn tensor(name: &str, dims: &[u32]) -> TensorSpec {
    TensorSpec { name: name.into(), dtype: "f32".into(), dims: dims.to_vec() }
}

/// Steps with three buffers each at offsets that depend on `past`, and as many expressions of their own.
fn plan(writer: &mut Writer<'_>) -> Plan {
    let code_section = writer.code("idle", "any", "plain", b"code".as_slice()).unwrap();
    let mut exprs = Exprs::new();
    let (zero, eight, past) = (exprs.constant(0), exprs.constant(8), exprs.symbol(0));
    let bytes = exprs.constant(32);
    let (mut steps, mut dispatches, mut end) = (Vec::new(), Vec::new(), bytes);
    for at in 1..=STEPS {
        let scale = exprs.constant(at.into());
        let scaled = exprs.multiply(past, scale).unwrap();
        let (offset, grid) = (end, exprs.floor_divide(scaled, eight).unwrap());
        end = exprs.add(offset, scaled).unwrap();
        end = exprs.add(end, bytes).unwrap();
        let buffer = |region: Region, offset, bytes| Buffer { region: region.into(), index: 0, offset, bytes };
        let buffers =
            vec![buffer(Region::State, zero, bytes), buffer(Region::Arena, offset, scaled), buffer(Region::Arena, offset, bytes)];
        steps.push(Step { buffers, label: format!("step{at}"), nodes: Vec::new(), flops: scaled, bytes: scaled });
        dispatches.push(Dispatch { kernel: 0, grid, symbols: vec![past, scaled], buffers: Vec::new() });
    }
    let entry = EntryPoint {
        name: "decode".into(),
        inputs: vec![tensor("x", &[eight])],
        outputs: vec![tensor("y", &[eight])],
        arena_bytes: end,
        arena_lower_bound_bytes: end,
        step_count: STEPS,
        ..EntryPoint::default()
    };
    let variant = Variant {
        device: "idle".into(),
        arch: "any".into(),
        name: "plain".into(),
        code_section,
        kernels: vec!["kernel".into()],
        dispatches,
        ..Variant::default()
    };
    Plan {
        model_name: "sample".into(),
        symbols: vec![Symbol { name: "past".into(), min: 0, max: 100_000 }],
        states: vec![State { tensor: Some(tensor("cache", &[eight])), initial_weight: None }],
        entry_points: vec![entry],
        steps,
        variants: vec![variant],
        exprs: exprs.finish(),
        ..Plan::default()
    }
}

fn session() -> Session {
    let mut writer = Writer::new("bench");
    let plan = plan(&mut writer);
    let mut file = Vec::new();
    writer.write(&plan, &mut file).unwrap();
    println!("{} steps, {} expressions", plan.steps.len(), plan.exprs.len());
    let device: Arc<dyn Device> = Arc::new(Idle::new(1, 32));
    Model::from_bytes(file).unwrap().session(device).unwrap()
}

fn main() {
    let mut session = session();
    let x = Tensor::from_slice(&[0.0f32; 8], &[8]).unwrap();
    let (inputs, mut outputs) = ([("x", x.as_view())], Outputs::new());
    let mut times: Vec<Duration> = Vec::new();
    for past in 0..RUNS {
        session.bind("past", past).unwrap();
        let start = Instant::now();
        session.run_into(&inputs, &mut outputs).unwrap();
        times.push(start.elapsed());
    }
    times.sort();
    println!("a run with a new value: median {:?}, worst {:?}", times[times.len() / 2], times[times.len() - 1]);
    let start = Instant::now();
    (0..RUNS).for_each(|_| session.run_into(&inputs, &mut outputs).unwrap());
    println!("a run with the same value: {:?}", start.elapsed() / RUNS as u32);
}
