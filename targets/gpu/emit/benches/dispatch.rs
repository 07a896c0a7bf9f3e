//! What a token of a language model costs beside its kernels: 300 dispatches that do next to nothing, and whose caches grow by one
//! element with each run.

use lostwax_ir::text::parse_kernel;
use lostwax_target_api::{BufferRef, Dispatch, EmitOptions, Executor, Io, Prepared, Region};
use lostwax_target_gpu::{device, target};
use std::sync::Arc;
use std::time::{Duration, Instant};

const STEPS: u64 = 300;
const TOKENS: u64 = 200;
const CONTEXT: u64 = 4096;

/// Adds the first element of a cache, whose size is a symbol, to a weight.
const ADD: &str = r#"kernel "add" {
  symbols n: 1..
  item %i: 0..
  grid (1)
  buffer "cache": f32
  buffer "w": f32
  buffer "y": f32 writable
  v0 = load b0[n + %i - 1]
  v1 = load b1[%i]
  v2 = add v0, v1
  store b2[%i], v2
}
"#;

fn executor() -> Box<dyn Executor> {
    let target = target();
    let kernel = parse_kernel(ADD).expect("the kernel is valid");
    let variants = target.variants("").expect("there is a variant");
    let code = target.emit(&variants[0], &[kernel], &EmitOptions::default()).expect("the kernel can be written").code;
    let weights = Arc::new(vec![0u8; STEPS as usize * 256]);
    device().load(&code, weights).expect("there is a GPU").executor(1).expect("it has memory")
}

fn plan(tokens: u64) -> Prepared {
    let dispatch = |step: u64| {
        let part = |region, offset, bytes| BufferRef { region, offset, bytes };
        let buffers = vec![
            part(Region::State(step as u32 % 30), 0, 4 * tokens),
            part(Region::Weights, step * 256, 4),
            part(Region::Arena, step % 7 * 1024, 4),
        ];
        Dispatch { kernel: 0, buffers, symbols: vec![tokens as i64], grid: 1 }
    };
    Prepared {
        arena_bytes: 7 * 1024,
        state_bytes: vec![4 * CONTEXT; 30],
        dispatches: (0..STEPS).map(dispatch).collect(),
        ..Prepared::default()
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn main() {
    let mut executor = executor();
    let (mut prepared, mut run) = (Vec::new(), Vec::new());
    for token in 1..=TOKENS {
        let plan = plan(token);
        let start = Instant::now();
        executor.prepare(&plan).expect("the plan is valid");
        prepared.push(start.elapsed());
        let start = Instant::now();
        executor.run(&mut Io { inputs: &[], outputs: &mut [] }).expect("the GPU answers");
        run.push(start.elapsed());
    }
    println!("{STEPS} dispatches: median {:?} to prepare, {:?} to run", median(prepared), median(run));
}
