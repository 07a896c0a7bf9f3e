//! The text forms: printing and reading give the same graph or kernel, and no text makes a reader panic.

mod common;

use common::random_graph;
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::graph::Graph;
use lostwax_ir::kernel::*;
use lostwax_ir::ops::Op;
use lostwax_ir::random::Random;
use lostwax_ir::scalar::{BinaryOp, ReduceOp, UnaryOp};
use lostwax_ir::text::{parse_graph, parse_kernel, print_graph, print_kernel};
use lostwax_ir::types::DType;
use lostwax_ir::verify::verify_graph;

fn graph_of(seed: u64) -> Graph {
    let mut random = Random::new(seed);
    random_graph(&mut random, 20).expect("samples fit their ops")
}

#[test]
fn random_graphs_are_valid_and_round_trip() {
    for seed in 0..200 {
        let graph = graph_of(seed);
        assert_eq!(verify_graph(&graph), [], "seed {seed}");
        let printed = print_graph(&graph);
        let read = parse_graph(&printed.text, &printed.data).unwrap_or_else(|error| panic!("{error}\n{}", printed.text));
        let again = print_graph(&read);
        assert_eq!(printed.text, again.text, "seed {seed}");
        assert_eq!(printed.data, again.data, "seed {seed}");
        assert_eq!(verify_graph(&read), []);
    }
}

#[test]
fn every_op_occurs_in_random_graphs() {
    let graphs: Vec<Graph> = (0..100).map(graph_of).collect();
    for op in Op::ALL.iter().filter(|op| **op != Op::State) {
        let occurs = |graph: &Graph| graph.topological().iter().any(|value| graph.op(*value) == *op);
        assert!(graphs.iter().any(occurs), "{op}");
    }
}

const SYMBOLIC: &str = "\
symbols { h: 1..=1024, w: 1.. }
graph \"an \\\"image\\\"\" {
  %0 = input {dims = [1, 3, 2*h + 1, w], dtype = f32, name = \"x\"} : f32[1, 3, 2*h + 1, w]
  %1 = constant [0.5, inf, -1e-9] : f32[1, 3, 1, 1]
  %2 = constant splat(2.0) : f32[1, 3, 1, 4]
  %3 = mul %0, %1 : f32[1, 3, 2*h + 1, w]
  %4 = conv %0, %5 {after = [1, 1], before = [1, 1], channels_last = false, dilations = [1, 1], groups = 3, strides = [2, 1]} : f32[1, 3, h + 1, w]
  constraint w == h, \"the image is a square\"
  output \"y\" %3
}
";

#[test]
fn symbols_constraints_and_names_round_trip() {
    let text = SYMBOLIC.replace("  %4 = conv %0, %5", "  %4 = constant seed(7) : f32[3, 1, 3, 3]\n  %5 = conv %0, %4");
    let graph = parse_graph(&text, &[]).unwrap_or_else(|error| panic!("{error}"));
    let printed = print_graph(&graph);
    let again = parse_graph(&printed.text, &printed.data).expect("printed text is read");
    assert_eq!(printed.text, print_graph(&again).text);
    assert_eq!(printed.data.len(), 1);
    assert!(printed.text.contains("symbols { h: 1..=1024, w: 1.. }"), "{}", printed.text);
    assert!(printed.text.contains("splat(2.0)"), "{}", printed.text);
}

#[test]
fn errors_name_the_place() {
    let error = parse_graph(SYMBOLIC, &[]).expect_err("%5 is not defined");
    assert_eq!((error.line, error.problem.as_str()), (7, "%5 is unknown"));
    let error = parse_graph("graph \"g\" {\n  %0 = full {value = 1.0, dtype = f32, dims = [2]} : f32[3]\n}", &[]);
    assert_eq!(error.map_err(|error| error.to_string()).err(), Some("line 2, column 8: the type is f32[2], not f32[3]".into()));
}

/// Changes a few bytes of a text.
fn damage(random: &mut Random, text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let pool: Vec<char> = "{}[]()%\"\\=,:.@-9fvbx \n".chars().chain(chars.iter().copied().take(200)).collect();
    for _ in 0..random.int(1, 6) {
        let at = random.size(0, chars.len() - 1);
        match random.int(0, 3) {
            0 => chars[at] = random.pick(&pool, ' '),
            1 => chars.insert(at, random.pick(&pool, ' ')),
            2 => {
                chars.remove(at);
            }
            _ => chars.truncate(at.max(1)),
        }
        if chars.is_empty() {
            return String::new();
        }
    }
    chars.into_iter().collect()
}

#[test]
fn damaged_texts_do_not_panic() {
    for seed in 0..3000 {
        let mut random = Random::new(seed);
        let printed = if seed % 10 == 0 { print_graph(&graph_of(seed % 64)).text } else { SYMBOLIC.to_string() };
        let text = damage(&mut random, &printed);
        if let Ok(graph) = parse_graph(&text, &[]) {
            assert_eq!(verify_graph(&graph), [], "{text}");
        }
        let kernel = print_kernel(&random_kernel(&mut random));
        let _ = parse_kernel(&damage(&mut random, &kernel));
    }
}

#[test]
fn deep_and_large_texts_are_refused() {
    let head = "kernel \"k\" { item %i: 0.. grid (1) ";
    assert!(parse_kernel(&format!("{head}{}", "if [] {".repeat(100_000))).is_err());
    assert!(parse_kernel(&format!("{head}store b0[{}], f32(0)}}", "(".repeat(100_000))).is_err());
    let product = vec!["(a + b)"; 200].join("*");
    let text = format!("symbols {{ a: 0.., b: 0.. }} graph \"g\" {{ %0 = full {{dims = [{product}]}} }}");
    assert!(parse_graph(&text, &[]).is_err());
    let huge = "graph \"g\" { %0 = constant splat(1.0) : f32[100000000000] }";
    assert!(parse_graph(huge, &[]).is_err());
}

fn pick_dim(random: &mut Random, symbols: &[Symbol]) -> Dim {
    let mut dim = Dim::constant(random.int(-5, 40));
    for _ in 0..random.int(0, 2) {
        let symbol = &symbols[random.size(0, symbols.len() - 1)];
        dim = dim + Dim::symbol(symbol) * random.int(1, 9).into();
        if random.one_in(4) {
            dim = dim.floor_div(random.int(2, 8)).minimum(random.int(0, 99));
        }
    }
    dim
}

fn pick_cond(random: &mut Random, symbols: &[Symbol]) -> Cond {
    Cond((0..random.int(0, 2)).map(|_| pick_dim(random, symbols)).collect())
}

fn pick_operand(random: &mut Random) -> Operand {
    match random.int(0, 3) {
        0 => Operand::float(DType::F32, random.float(-1e9, 1e9)),
        1 => Operand::Int(DType::I8, random.int(-128, 127)),
        2 => Operand::float(DType::F64, f64::NEG_INFINITY),
        _ => Operand::Value(ValueId(random.int(0, 99) as u32)),
    }
}

fn pick_place(random: &mut Random, symbols: &[Symbol]) -> Place {
    match random.int(0, 2) {
        0 => Place::Buffer(BufferId(random.int(0, 3) as u32), pick_dim(random, symbols)),
        1 => Place::Local(LocalId(0), pick_dim(random, symbols)),
        _ => Place::Row(RowId(1), pick_dim(random, symbols), pick_dim(random, symbols)),
    }
}

fn pick_scalar(random: &mut Random, symbols: &[Symbol]) -> Scalar {
    let [x, y, z] = [(); 3].map(|()| pick_operand(random));
    match random.int(0, 11) {
        0 => Scalar::Load(pick_place(random, symbols)),
        1 => Scalar::LoadIf { place: pick_place(random, symbols), valid: pick_cond(random, symbols), otherwise: x },
        2 => Scalar::Index(pick_dim(random, symbols), DType::I64),
        3 => Scalar::Unary(random.pick(UnaryOp::ALL, UnaryOp::Neg), x),
        4 => Scalar::Binary(random.pick(BinaryOp::ALL, BinaryOp::Add), x, y),
        5 => Scalar::MulAdd(x, y, z),
        6 => Scalar::Select(x, y, z),
        7 => Scalar::SelectIf(pick_cond(random, symbols), x, y),
        8 => Scalar::Cast(DType::BF16, x),
        9 => Scalar::Bitcast(DType::U32, x),
        10 => Scalar::ShiftLeft(x, 3),
        _ => Scalar::ShiftRight(x, 7),
    }
}

fn pick_body(random: &mut Random, symbols: &mut Vec<Symbol>, depth: i64) -> Vec<Stmt> {
    let known = symbols.len();
    let body = (0..random.int(0, 4)).map(|_| pick_stmt(random, symbols, depth)).collect();
    symbols.truncate(known);
    body
}

fn pick_stmt(random: &mut Random, symbols: &mut Vec<Symbol>, depth: i64) -> Stmt {
    match random.int(if depth > 3 { 2 } else { 0 }, 7) {
        0 => {
            let extent = pick_dim(random, symbols);
            let kind = match random.int(0, 4) {
                0 => LoopKind::Serial,
                3 => LoopKind::Threads,
                1 => LoopKind::Unrolled,
                2 => LoopKind::Vector { active: None },
                _ => LoopKind::Vector { active: Some(pick_dim(random, symbols)) },
            };
            let var = Symbol::index(format!("%k{}", symbols.len()), &extent);
            symbols.push(var.clone());
            let body = pick_body(random, symbols, depth + 1);
            symbols.pop();
            Stmt::For { var, extent, kind, body }
        }
        1 => {
            let cond = pick_cond(random, symbols);
            let then = pick_body(random, symbols, depth + 1);
            Stmt::If { cond, then, otherwise: pick_body(random, symbols, depth + 1) }
        }
        2 => Stmt::Let { id: ValueId(random.int(0, 99) as u32), value: pick_scalar(random, symbols) },
        3 => Stmt::Store { place: pick_place(random, symbols), value: pick_operand(random) },
        4 => {
            let symbol = Symbol::new(format!("%d{}", symbols.len()), -3, 9);
            symbols.push(symbol.clone());
            Stmt::LetIndex { symbol, value: pick_operand(random) }
        }
        5 => Stmt::Prefetch(BufferId(1), pick_dim(random, symbols)),
        6 => Stmt::Reduce { op: ReduceOp::Max, local: LocalId(random.int(0, 3) as u32), stride: random.int(0, 99) as u32 },
        _ => Stmt::SetRow {
            row: RowId(0),
            at: pick_dim(random, symbols),
            offset: pick_dim(random, symbols),
            valid: pick_cond(random, symbols),
        },
    }
}

fn pick_storage(random: &mut Random) -> Storage {
    match random.int(0, 2) {
        0 => Storage::Registers,
        1 => Storage::Memory,
        _ => Storage::Shared,
    }
}

/// A kernel of the right form that need not keep the rules.
fn random_kernel(random: &mut Random) -> Kernel {
    let parameters = vec![Symbol::dim("n"), Symbol::new("rows.x", 1, 77)];
    let item = Symbol::new("%i", 0, 511);
    let mut symbols = [parameters.clone(), vec![item.clone()]].concat();
    Kernel {
        name: "k_1".to_string(),
        grid: pick_dim(random, &parameters),
        symbols: parameters,
        item,
        buffers: vec![
            BufferDecl { name: "x".to_string(), dtype: DType::F16, writable: false, pieces: 3 },
            BufferDecl { name: "y \"out\"".to_string(), dtype: DType::U64, writable: true, pieces: 1 },
        ],
        locals: vec![LocalDecl { name: "sum".to_string(), dtype: DType::F32, len: 16, storage: pick_storage(random) }],
        rows: vec![RowDecl { name: "line".to_string(), buffer: BufferId(0), len: 6, extent: 64 }],
        body: pick_body(random, &mut symbols, 0),
    }
}

#[test]
fn random_kernels_round_trip() {
    for seed in 0..500 {
        let kernel = random_kernel(&mut Random::new(seed));
        let text = print_kernel(&kernel);
        let read = parse_kernel(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(read, kernel, "{text}");
    }
}
