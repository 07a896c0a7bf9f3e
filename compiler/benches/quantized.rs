//! Products with weights of block formats: time, bytes of weights and operations per second, with 1 and 2 threads.
//!
//! `cargo bench --bench quantized -- [FORMAT ROWS COLUMNS DEPTH]` measures one case; `LISTING=FILE` keeps its assembly.

use lostwax_compiler::Registry;
use lostwax_compiler::model::{CompileOptions, compile};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::blocks::BLOCK_FORMATS;
use lostwax_ir::graph::Graph;
use lostwax_ir::ops::Op;
use lostwax_ir::random::Random;
use lostwax_ir::types::{DType, TensorType};
use lostwax_runtime::{AlignedBuffer, Device, Model, Options, Outputs, Tensor, TensorView};
use lostwax_target_api::OutputKind;
use std::error::Error;
use std::time::Instant;

const CASES: &[(&str, usize, usize, usize)] = &[
    ("q4_0", 1, 49152, 576),
    ("q4_1", 1, 49152, 576),
    ("q8_0", 1, 49152, 576),
    ("q4_k", 1, 16384, 2048),
    ("q5_0", 1, 49152, 576),
    ("q6_k", 1, 16384, 2048),
    ("q4_1", 64, 1536, 576),
    ("q8_0", 64, 1536, 576),
];

/// `x` times the transposed weights; random bytes are weights as good as any.
fn product(format: &str, rows: usize, columns: usize, depth: usize) -> Result<(Graph, usize), Box<dyn Error>> {
    let format = BLOCK_FORMATS.iter().find(|known| known.name == format).ok_or("no such format")?;
    let mut random = Random::new(1);
    let bytes: Vec<u8> =
        (0..columns * depth / format.values as usize * format.bytes as usize).map(|_| random.int(0, 63) as u8).collect();
    let mut graph = Graph::new("product");
    let x = graph.input("x", &TensorType::new(DType::F32, [rows as i64, depth as i64]))?;
    let parts = format.split(&[columns, depth], &bytes).ok_or("the shape does not fit the format")?;
    let parts = parts.into_iter().map(|part| graph.constant(part)).collect::<Result<Vec<_>, _>>()?;
    let attrs = Attrs::new().with("format", format.name).with("rows", columns as i64);
    let weights = graph.add(Op::Dequantize, attrs, &parts)?;
    let weights = graph.add(Op::Transpose, Attrs::new().with("perm", vec![1i64, 0]), &[weights])?;
    let y = graph.add(Op::MatMul, Attrs::new(), &[x, weights])?;
    graph.output("y", y);
    Ok((graph, bytes.len()))
}

/// The least time of a run, in seconds.
fn time(model: &Model, threads: usize, rows: usize, depth: usize) -> Result<f64, Box<dyn Error>> {
    let mut session = model.session_with(Device::cpu(), Options::new().with_threads(threads))?;
    let x = Tensor::zeros(lostwax_runtime::DType::from_name("f32").ok_or("no such type")?, &[rows, depth])?;
    let (mut outputs, mut best) = (Outputs::new(), f64::INFINITY);
    for _ in 0..200 {
        let start = Instant::now();
        session.run_into(&[("x", TensorView::from(&x))], &mut outputs)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn measure((format, rows, columns, depth): (&str, usize, usize, usize)) -> Result<(), Box<dyn Error>> {
    let (graph, bytes) = product(format, rows, columns, depth)?;
    let mut options = CompileOptions::default();
    options.outputs.insert(OutputKind::Listing);
    let mut file = AlignedBuffer::new();
    let compiled = compile(&Registry::default(), &graph.into(), &options, &mut |_| {}, &mut file)?;
    if let Some(path) = std::env::var_os("LISTING") {
        let mut listings = compiled.outputs.iter().filter_map(|outputs| outputs.get(&OutputKind::Listing));
        std::fs::write(path, listings.next().map_or(&[][..], Vec::as_slice))?;
    }
    let model = Model::from_bytes(file)?;
    for threads in [1, 2] {
        let seconds = time(&model, threads, rows, depth)?;
        let operations = 2.0 * (rows * columns * depth) as f64;
        println!(
            "{format:6} {rows:3} x {columns:5} x {depth:4}  {threads} threads  {:8.1} us  {:6.1} GB/s  {:6.1} GFLOP/s",
            seconds * 1e6,
            bytes as f64 / seconds / 1e9,
            operations / seconds / 1e9
        );
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match given.as_slice() {
        [format, rows, columns, depth] => measure((format, rows.parse()?, columns.parse()?, depth.parse()?)),
        _ => CASES.iter().try_for_each(|case| measure(*case)),
    }
}
