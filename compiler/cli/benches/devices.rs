//! A device by itself: matrix products, products of a vector, attention, and whole models, each with its time, its operations and
//! bytes per second, and how near it comes to what the device reaches at most.
//!
//! `cargo bench --bench devices -- --device NAME[:ADAPTER] [--largest 4096] [--gflops N --gbps N] [MODELS_FOLDER]`

use clap::Parser;
use lostwax_compiler::Registry;
use lostwax_compiler::model::{CompileOptions, compile};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::graph::Graph;
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor as Constant;
use lostwax_ir::types::{DType, TensorType};
use lostwax_runtime::api::Peaks;
use lostwax_runtime::{AlignedBuffer, Device, Model, Outputs, Session, Tensor, TensorView};
use serde_json::Value;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long each case is repeated, at least once.
const SPAN: Duration = Duration::from_secs(1);

/// Square matrix products, up to the largest that is asked for.
const PRODUCTS: [usize; 5] = [256, 512, 1024, 2048, 4096];

/// Rows and columns of the matrices that a vector is multiplied with.
const MATRICES: [(usize, usize); 2] = [(4096, 4096), (32768, 1024)];

/// Queries, heads, keys and values of attention; the size of a head is 64.
const ATTENTIONS: [(usize, usize, usize); 3] = [(1, 16, 2048), (128, 16, 128), (512, 8, 512)];
const HEAD: usize = 64;

/// What `lostwax bench` is told of models whose inputs have no sizes of their own, by file name.
const INPUTS: &[(&str, &str)] = &[
    ("ch_PP-OCRv4_det_infer.onnx", "-i x=1x3x640x640xf32=0..1"),
    ("ch_PP-OCRv4_rec_infer.onnx", "-i x=1x3x48x320xf32=0..1"),
    ("ch_ppocr_mobile_v2.0_cls_infer.onnx", "-i x=1x3x48x192xf32=0..1"),
    ("magika.onnx", "-i bytes=1x2048xi32=0..256"),
    ("nmp.onnx", "-i serving_default_input_2:0=1x43844x1xf32=0..1"),
    ("silero_vad.onnx", "--constant sr=16000"),
];

#[derive(Parser)]
struct Args {
    /// The device, as `lostwax run` takes it.
    #[arg(long)]
    device: String,
    /// The largest matrix product.
    #[arg(long, default_value_t = 1024)]
    largest: usize,
    /// The device's f32 multiply-adds in GFLOP/s; measured unless given.
    #[arg(long)]
    gflops: Option<f64>,
    /// The device's memory bandwidth in GB/s; measured unless given.
    #[arg(long)]
    gbps: Option<f64>,
    /// Tokens of the prompt and of the answer of language models.
    #[arg(long, default_value = "16,4", value_delimiter = ',')]
    tokens: Vec<usize>,
    /// A folder of models; none are measured without it.
    models: Option<PathBuf>,
    /// What cargo gives to benchmarks.
    #[arg(long, hide = true)]
    bench: bool,
}

struct Bench {
    args: Args,
    device: Device,
    target: String,
    peaks: Option<Peaks>,
}

/// What was measured of one case.
struct Row {
    name: String,
    /// Of a whole run, with the way of inputs and outputs.
    run_seconds: f64,
    /// Of the kernels alone, where the device has a clock.
    kernel_seconds: Option<f64>,
    flops: f64,
    bytes: f64,
}

impl Bench {
    fn new(args: Args) -> Result<Self, Box<dyn Error>> {
        let device = Device::from(Registry::default().device(Some(&args.device), &[])?);
        let target = device.name().to_string();
        let measured = device.peaks(0)?;
        let of = |given: Option<f64>, measured: Option<f64>| given.map(|given| given * 1e9).or(measured);
        let flops = of(args.gflops, measured.map(|peaks| peaks.flops_per_second));
        let bytes = of(args.gbps, measured.map(|peaks| peaks.bytes_per_second));
        let peaks = flops.zip(bytes).map(|(flops_per_second, bytes_per_second)| Peaks { flops_per_second, bytes_per_second });
        Ok(Self { args, device, target, peaks })
    }

    fn head(&self) {
        match self.peaks {
            Some(Peaks { flops_per_second, bytes_per_second }) => println!(
                "{}: at most {:.3} TFLOP/s of f32 multiply-add, {:.1} GB/s of copies",
                self.args.device,
                flops_per_second / 1e12,
                bytes_per_second / 1e9
            ),
            None => println!("{}: no peaks; give --gflops and --gbps", self.args.device),
        }
        println!("{:40} {:>10} {:>10} {:>9} {:>8} {:>9}", "", "run ms", "kernels ms", "TFLOP/s", "GB/s", "% peak");
    }

    fn print(&self, row: &Row) {
        let seconds = row.kernel_seconds.unwrap_or(row.run_seconds);
        let kernels = row.kernel_seconds.map_or("no clock".to_string(), |seconds| format!("{:.3}", seconds * 1e3));
        let least = self.peaks.map(|peaks| peaks.least_seconds(row.flops as u64, row.bytes as u64));
        let part = least.map_or("?".to_string(), |least| format!("{:.1}", 100.0 * least / seconds));
        let (tera, giga) = (row.flops / seconds / 1e12, row.bytes / seconds / 1e9);
        println!("{:40} {:>10.3} {kernels:>10} {tera:>9.4} {giga:>8.2} {part:>9}", row.name, row.run_seconds * 1e3);
    }

    fn measure(&self, name: String, graph: Graph, shapes: &[&[usize]]) -> Result<Row, Box<dyn Error>> {
        let options = CompileOptions { targets: vec![self.target.clone()], ..CompileOptions::default() };
        let mut file = AlignedBuffer::new();
        compile(&Registry::default(), &graph.into(), &options, &mut |_| {}, &mut file)?;
        let mut session = Model::from_bytes(file)?.session(self.device.clone())?;
        let filled = |shape: &&[usize]| Tensor::from_slice(&vec![0.5f32; shape.iter().product()], shape);
        let tensors = shapes.iter().map(filled).collect::<Result<Vec<_>, _>>()?;
        let names: Vec<String> = (0..shapes.len()).map(|position| format!("x{position}")).collect();
        let inputs: Vec<(&str, TensorView)> =
            names.iter().map(String::as_str).zip(tensors.iter().map(TensorView::from)).collect();
        let run_seconds = least_seconds(&mut session, &inputs)?;
        let work = session.profile(&inputs, 0)?;
        let timed = session.profile(&inputs, 3).ok();
        Ok(Row {
            name,
            run_seconds,
            kernel_seconds: timed.map(|steps| steps.iter().map(|step| step.seconds).sum()),
            flops: work.iter().map(|step| step.flops as f64).sum(),
            bytes: work.iter().map(|step| step.bytes as f64).sum(),
        })
    }

    fn kernels(&self) -> Result<(), Box<dyn Error>> {
        for size in PRODUCTS.into_iter().filter(|size| *size <= self.args.largest) {
            let row = self.measure(format!("{size} x {size} x {size}"), product(size, (size, size))?, &[&[size, size]])?;
            self.print(&row);
        }
        for (rows, columns) in MATRICES {
            let row = self.measure(format!("vector x {rows} x {columns}"), product(1, (rows, columns))?, &[&[1, rows]])?;
            self.print(&row);
        }
        for (queries, heads, keys) in ATTENTIONS {
            let shapes: [&[usize]; 3] = [&[queries, heads, HEAD], &[heads, HEAD, keys], &[heads, keys, HEAD]];
            let name = format!("attention {queries} x {keys}, {heads} heads of {HEAD}");
            self.print(&self.measure(name, attention(&shapes)?, &shapes)?);
        }
        Ok(())
    }

    fn models(&self, folder: &Path) -> Result<(), Box<dyn Error>> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "onnx" || extension == "gguf"));
        files.sort();
        for file in files {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match self.model(&name, &file)? {
                Ok(rows) => rows.iter().for_each(|row| self.print(row)),
                Err(problem) => println!("{name:40} {problem}"),
            }
        }
        Ok(())
    }

    /// Runs `lostwax bench`; what it says if it fails.
    fn model(&self, name: &str, file: &Path) -> Result<Result<Vec<Row>, String>, Box<dyn Error>> {
        let extra = INPUTS.iter().find(|(known, _)| *known == name).map_or("", |(_, extra)| *extra);
        let number = |position: usize| self.args.tokens.get(position).copied().unwrap_or(1).to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_lostwax"))
            .args(["bench", "--json", "--profile", "--iters", "1", "--warmup", "1", "--repetitions", "1"])
            .args(["--target", &self.target, "--device", &self.args.device])
            .args(["--prompt", &number(0), "--generate", &number(1)])
            .args(extra.split_whitespace())
            .arg(file)
            .output()?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            return Ok(Err(text.lines().last().unwrap_or_default().to_string()));
        }
        let json: Value = serde_json::from_slice(&output.stdout)?;
        Ok(Ok(if json["tests"].is_null() { vec![network(name, &json)] } else { language(name, &json) }))
    }
}

/// A network as a whole.
fn network(name: &str, json: &Value) -> Row {
    let run_seconds = json["median_ms"].as_f64().unwrap_or_default() / 1e3;
    of_steps(name.to_string(), run_seconds, &json["profile"]["steps"])
}

/// The prompt and a token of the answer.
fn language(name: &str, json: &Value) -> Vec<Row> {
    let entry = |(test, entry): (&Value, &Value)| {
        let (tokens, rate) = (test["tokens"].as_f64().unwrap_or_default(), test["tps"].as_f64().unwrap_or_default());
        let runs = if entry["entry_point"] == "decode" { tokens } else { 1.0 };
        let name = format!("{name}, {}", test["test"].as_str().unwrap_or_default());
        of_steps(name, tokens / rate / runs, &entry["kernels"])
    };
    let list = |key: &str| json[key].as_array().map(Vec::as_slice).unwrap_or_default();
    list("tests").iter().zip(list("profile")).map(entry).collect()
}

fn of_steps(name: String, run_seconds: f64, steps: &Value) -> Row {
    let sum = |key: &str| steps.as_array().into_iter().flatten().filter_map(|step| step[key].as_f64()).sum::<f64>();
    Row { name, run_seconds, kernel_seconds: Some(sum("ms") / 1e3), flops: sum("flops"), bytes: sum("bytes") }
}

/// `x0` of so many rows times a constant matrix.
fn product(count: usize, (rows, columns): (usize, usize)) -> Result<Graph, Box<dyn Error>> {
    let mut graph = Graph::new("product");
    let x = graph.input("x0", &TensorType::new(DType::F32, [count as i64, rows as i64]))?;
    let values: Vec<f32> = (0..rows * columns).map(|at| (at % 251) as f32 / 251.0 - 0.5).collect();
    let weights = graph.constant(Constant::f32(&[rows, columns], &values).ok_or("no such tensor")?)?;
    let y = graph.add(Op::MatMul, Attrs::new(), &[x, weights])?;
    graph.output("y", y);
    Ok(graph)
}

/// Attention of `x0` to the keys `x1` and values `x2`.
fn attention(shapes: &[&[usize]; 3]) -> Result<Graph, Box<dyn Error>> {
    let mut graph = Graph::new("attention");
    let mut operands = Vec::new();
    for (position, shape) in shapes.iter().enumerate() {
        let dims: Vec<i64> = shape.iter().map(|size| *size as i64).collect();
        operands.push(graph.input(&format!("x{position}"), &TensorType::new(DType::F32, dims))?);
    }
    let attrs = Attrs::new().with("scale", 0.125f64).with("cap", 0.0f64).with("past", Vec::<Dim>::new()).with("window", 0i64);
    let y = graph.add(Op::Attention, attrs, &operands)?;
    graph.output("y", y);
    Ok(graph)
}

/// The least time of a run.
fn least_seconds(session: &mut Session, inputs: &[(&str, TensorView)]) -> Result<f64, Box<dyn Error>> {
    let (start, mut outputs, mut least) = (Instant::now(), Outputs::new(), f64::INFINITY);
    session.run_into(inputs, &mut outputs)?;
    loop {
        let begin = Instant::now();
        session.run_into(inputs, &mut outputs)?;
        least = least.min(begin.elapsed().as_secs_f64());
        if start.elapsed() >= SPAN {
            return Ok(least);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let bench = Bench::new(Args::parse())?;
    bench.head();
    bench.kernels()?;
    bench.args.models.as_deref().map_or(Ok(()), |folder| bench.models(folder))
}
