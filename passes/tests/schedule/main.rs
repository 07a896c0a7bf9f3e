//! Scheduled kernels in the interpreter, beside the graphs that they come from.

mod threads;

use lostwax_ir::attrs::Attrs;
use lostwax_ir::blocks::{BLOCK_FORMATS, BlockFormat, Factor};
use lostwax_ir::dim::Dim;
use lostwax_ir::eval::eval_kernel;
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::ops::Op;
use lostwax_ir::random::Random;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::{DType, TensorType};
use lostwax_ir::verify::verify_kernel;
use lostwax_passes::Tier;
use lostwax_passes::fuse::fuse;
use lostwax_passes::operations::operations;
use lostwax_passes::schedule::{Argument, Scheduled, View, schedule};
use lostwax_passes::testing::{agree, evaluate};
use lostwax_target_api::{Caps, Memory, MemoryKind, Operation, WorkgroupCaps};

const CAPS: Caps = Caps {
    vector_bytes: 32,
    vector_registers: 16,
    instructions: &[],
    memories: &[Memory { kind: MemoryKind::Core, bytes: 512 << 10 }],
    parallelism: 2,
    item_elements: 16 << 10,
    arguments: u32::MAX,
    binding_bytes: u64::MAX,
    workgroups: None,
    flops_per_ns: 90.0,
    bytes_per_ns: 15.0,
    dispatch_ns: 1000.0,
};

/// A machine with many small work items, without vectors.
const FINE: Caps = Caps { vector_bytes: 4, vector_registers: 64, parallelism: 4096, item_elements: 4, ..CAPS };

/// Such a machine whose workgroups have several threads.
const SHARING: Caps = Caps {
    memories: &[Memory { kind: MemoryKind::Core, bytes: 512 << 10 }, Memory { kind: MemoryKind::Workgroup, bytes: 16 << 10 }],
    workgroups: Some(WorkgroupCaps { threads: 256, count: 4, coalesced: 16 }),
    ..FINE
};

/// Gives the factors of a block that all its groups share an ordinary size.
fn moderate(format: &BlockFormat, block: &mut [u8]) {
    for factor in format.scale.iter().chain(format.min.iter().flat_map(|min| min.factors)) {
        match factor {
            Factor::F16(byte) => block[*byte as usize + 1] = 0x21,
            Factor::HalfE8M0(byte) => block[*byte as usize] = 0x79,
            Factor::Packed(_) => {}
        }
    }
}

/// The parts of a tensor of a block format with scales and minima of ordinary size.
fn parts(graph: &mut Graph, format: &BlockFormat, shape: &[usize], random: &mut Random) -> Vec<Value> {
    let count = shape.iter().product::<usize>() / format.values as usize * format.bytes as usize;
    let mut bytes: Vec<u8> = (0..count).map(|_| random.int(0, 255) as u8).collect();
    bytes.chunks_exact_mut(format.bytes as usize).for_each(|block| moderate(format, block));
    let parts = format.split(shape, &bytes).unwrap();
    parts.into_iter().map(|part| graph.constant(part).unwrap()).collect()
}

/// Such a tensor, decoded in the graph.
fn weights(graph: &mut Graph, format: &BlockFormat, rows: usize, depth: usize, random: &mut Random) -> Value {
    let parts = parts(graph, format, &[rows, depth], random);
    graph.add(Op::Dequantize, Attrs::new().with("format", format.name).with("rows", rows as i64), &parts).unwrap()
}

/// Runs the only kernel of the graph on its inputs. Returns also whether it keeps a local of this name.
/// On machines of both kinds the results agree.
fn run_single(graph: &Graph, inputs: &[Tensor], local: &str) -> (Tensor, bool) {
    let [coarse, fine, sharing] = [&CAPS, &FINE, &SHARING].map(|caps| run_on(caps, graph, inputs, local));
    assert!(agree(&coarse.0, &fine.0, Tier::Reassociate));
    assert!(agree(&coarse.0, &sharing.0, Tier::Reassociate));
    coarse
}

fn run_on(caps: &Caps, graph: &Graph, inputs: &[Tensor], local: &str) -> (Tensor, bool) {
    let scheduled = scheduled_on(caps, graph);
    let keeps = scheduled.kernel.locals.iter().any(|known| known.name == local);
    (run_scheduled(&scheduled, graph, inputs), keeps)
}

/// The only kernel that the graph becomes.
fn scheduled_on(caps: &Caps, graph: &Graph) -> Scheduled {
    let fused = fuse(graph).unwrap();
    assert_eq!(fused.groups.len(), 1, "{:#?}", fused.groups);
    let group = &fused.groups[0];
    let argument =
        |value: &Value| Argument { view: View::dense(graph.ty(*value)), constant: graph.as_constant(*value).is_some() };
    let arguments: Vec<Argument> = group.inputs.iter().map(argument).collect();
    let scheduled = schedule("test", &group.compute, &arguments, &View::dense(graph.ty(group.output)), caps);
    assert!(scheduled.packing.is_empty());
    assert_eq!(verify_kernel(&scheduled.kernel), []);
    scheduled
}

fn run_scheduled(scheduled: &Scheduled, graph: &Graph, inputs: &[Tensor]) -> Tensor {
    run_with(scheduled, graph, inputs, &[])
}

/// Runs a kernel, scheduled for symbolic sizes, on the sizes that the graph has.
fn run_with(scheduled: &Scheduled, graph: &Graph, inputs: &[Tensor], sizes: &[i64]) -> Tensor {
    let fused = fuse(graph).unwrap();
    let group = &fused.groups[0];
    let mut output = Tensor::zeros(DType::F32, &graph.ty(group.output).static_shape().unwrap()).unwrap();
    let input = |value: &Value| graph.inputs().iter().zip(inputs).find(|(input, _)| *input == value).unwrap().1.clone();
    let tensor = |value: &Value| graph.as_constant(*value).map_or_else(|| input(value), |tensor| tensor.as_ref().clone());
    let mut inputs: Vec<Tensor> = group.inputs.iter().map(tensor).collect();
    let mut buffers: Vec<&mut [u8]> = inputs.iter_mut().map(Tensor::bytes_mut).chain([output.bytes_mut()]).collect();
    eval_kernel(&scheduled.kernel, &mut buffers, sizes).unwrap();
    output
}

#[test]
fn products_with_block_tensors_are_contractions() {
    for (format, rows) in BLOCK_FORMATS.iter().flat_map(|format| [(format, 1), (format, 7)]) {
        let mut random = Random::new(rows as u64);
        let (mut graph, depth) = (Graph::new("test"), 2 * format.values as usize);
        let ty = TensorType::new(DType::F32, [rows, depth as i64]);
        let x = graph.input("x", &ty).unwrap();
        let w = weights(&mut graph, format, 40, depth, &mut random);
        let transposed = graph.add(Op::Transpose, Attrs::new().with("perm", vec![1i64, 0]), &[w]).unwrap();
        let y = graph.add(Op::MatMul, Attrs::new(), &[x, transposed]).unwrap();
        graph.output("y", y);
        let input = random.tensor(&ty).unwrap();
        let expected = evaluate(&graph, std::slice::from_ref(&input)).unwrap();
        let (actual, contracts) = run_single(&graph, std::slice::from_ref(&input), "weights");
        assert!(agree(&expected[0], &actual, Tier::Reassociate), "{}", format.name);
        assert!(contracts, "{}", format.name);
    }
}

#[test]
fn rows_of_block_tensors_are_gathered() {
    for format in BLOCK_FORMATS {
        let (mut random, mut graph) = (Random::new(3), Graph::new("test"));
        let indices = graph.input("indices", &TensorType::new(DType::I32, [3])).unwrap();
        let w = weights(&mut graph, format, 20, format.values as usize, &mut random);
        let y = graph.add(Op::Gather, Attrs::new().with("axis", 0i64), &[w, indices]).unwrap();
        graph.output("y", y);
        let input = Tensor::from_i64(DType::I32, &[3], &[19, 0, 7]).unwrap();
        let expected = evaluate(&graph, std::slice::from_ref(&input)).unwrap();
        assert!(
            agree(&expected[0], &run_single(&graph, std::slice::from_ref(&input), "weights").0, Tier::Reassociate),
            "{}",
            format.name
        );
    }
}

#[test]
fn converted_factors_are_read_only_where_they_are() {
    for (rows, columns) in [(1, 21), (7, 21), (3, 48)] {
        let (mut random, mut graph) = (Random::new(5), Graph::new("test"));
        let ty = TensorType::new(DType::F32, [rows, 8]);
        let x = graph.input("x", &ty).unwrap();
        let half = random.tensor(&TensorType::new(DType::F16, [8, columns])).unwrap();
        let w = graph.constant(half).unwrap();
        let w = graph.add(Op::Cast, Attrs::new().with("dtype", DType::F32), &[w]).unwrap();
        let y = graph.add(Op::MatMul, Attrs::new(), &[x, w]).unwrap();
        graph.output("y", y);
        let input = random.tensor(&ty).unwrap();
        let expected = evaluate(&graph, std::slice::from_ref(&input)).unwrap();
        let (actual, contracts) = run_single(&graph, std::slice::from_ref(&input), "weights");
        assert!(agree(&expected[0], &actual, Tier::Reassociate) && contracts, "{rows} x {columns}");
        let conversion = Operation::Conversion { from: DType::F16, to: DType::F32 };
        assert_eq!(operations(&graph), [conversion, Operation::Arithmetic(DType::F32)].into());
    }
}

/// A product of activations of `rows` rows, perhaps for each of a batch, that are quantized as `format` wants it, with 40 columns.
fn quantized_product(format: &BlockFormat, lead: &[i64], rows: Dim, depth: i64) -> Graph {
    let (mut random, mut graph, group) = (Random::new(17), Graph::new("test"), i64::from(format.group));
    let mut input = |name: &str, dtype: DType, size: i64| {
        let batch = lead.iter().map(|size| Dim::constant(*size));
        let dims = [batch.collect(), vec![rows.clone(), Dim::constant(depth / group), size.into()]].concat();
        graph.input(name, &TensorType::new(dtype, dims)).unwrap()
    };
    let mut operands = vec![input("words", DType::U32, group / 4), input("scales", DType::F32, 1), input("sums", DType::I32, 1)];
    let shape: Vec<usize> = lead.iter().chain(&[40, depth]).map(|size| *size as usize).collect();
    operands.extend(parts(&mut graph, format, &shape, &mut random));
    let attrs = Attrs::new().with("format", format.name).with("rows", 40i64);
    let y = graph.add(Op::BlockMatMul, attrs, &operands).unwrap();
    graph.output("y", y);
    graph
}

/// Inputs for it, the graph's sizes being known.
fn quantized_inputs(graph: &Graph) -> Vec<Tensor> {
    let mut random = Random::new(23);
    let types: Vec<TensorType> = graph.inputs().iter().map(|input| graph.ty(*input).clone()).collect();
    let shapes: Vec<Vec<usize>> = types.iter().map(|ty| ty.static_shape().unwrap()).collect();
    let count = shapes[0].iter().product::<usize>();
    let words: Vec<u32> = (0..count).map(|_| random.int(0, i64::from(u32::MAX)) as u32).collect();
    let sum = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).map(|byte| i64::from(byte as i8)).sum();
    let sums: Vec<i64> = words.chunks(*shapes[0].last().unwrap()).map(sum).collect();
    vec![
        Tensor::from_slice(DType::U32, &shapes[0], &words).unwrap(),
        random.tensor(&types[1]).unwrap(),
        Tensor::from_i64(DType::I32, &shapes[2], &sums).unwrap(),
    ]
}

#[test]
fn products_of_quantized_activations_sum_bytes() {
    for (format, rows) in BLOCK_FORMATS.iter().flat_map(|format| [1, 7, 9].map(|rows| (format, rows))) {
        let graph = quantized_product(format, &[], rows.into(), 2 * i64::from(format.values));
        let inputs = quantized_inputs(&graph);
        let expected = evaluate(&graph, &inputs).unwrap();
        let (actual, keeps) = run_single(&graph, &inputs, "column");
        assert!(agree(&expected[0], &actual, Tier::Reassociate) && keeps, "{} x {rows}", format.name);
        assert!(operations(&graph).contains(&Operation::DOT4), "{}", format.name);
    }
}

/// Sizes of one attention: queries, groups, heads of a group, size and width of heads.
struct Sizes {
    n: i64,
    groups: i64,
    members: i64,
    size: i64,
    width: i64,
}

const fn sizes(n: i64, groups: i64, members: i64, size: i64, width: i64) -> Sizes {
    Sizes { n, groups, members, size, width }
}

/// Attention of random operands to `tokens` of a longer cache of half-precision numbers, with symbols bound.
fn attention(sizes: &Sizes, tokens: i64, attrs: Attrs) -> (Graph, Vec<Tensor>) {
    let (mut graph, mut random) = (Graph::new("test"), Random::new(tokens as u64));
    let Sizes { n, groups, members, size, width } = *sizes;
    let queries = graph.input("q", &TensorType::new(DType::F32, [n, groups * members, size])).unwrap();
    let mut cached = |name: &str, dims: [i64; 3], axis: usize| {
        let mut whole = dims;
        whole[axis] += 7;
        let state = graph.input(name, &TensorType::new(DType::F16, whole)).unwrap();
        let attrs = Attrs::new().with("starts", vec![Dim::default(); 3]).with("steps", vec![1i64; 3]);
        let sizes = dims.iter().map(|size| Dim::constant(*size)).collect::<Vec<_>>();
        let part = graph.add(Op::Slice, attrs.with("sizes", sizes), &[state]).unwrap();
        graph.add(Op::Cast, Attrs::new().with("dtype", DType::F32), &[part]).unwrap()
    };
    let keys = cached("k", [groups, size, tokens], 2);
    let values = cached("v", [groups, tokens, width], 1);
    let y = graph.add(Op::Attention, attrs, &[queries, keys, values]).unwrap();
    graph.output("y", y);
    let inputs = graph.inputs().iter().map(|input| random.tensor(graph.ty(*input)).unwrap()).collect();
    (graph, inputs)
}

fn check_attention(sizes: &Sizes, past: Option<i64>, window: i64, cap: f64) {
    let tokens = past.map_or(75, |past| past + sizes.n);
    let attrs = Attrs::new().with("scale", 0.3).with("cap", cap).with("window", window);
    let attrs = attrs.with("past", past.into_iter().map(Dim::constant).collect::<Vec<_>>());
    let (graph, inputs) = attention(sizes, tokens, attrs);
    let expected = evaluate(&graph, &inputs).unwrap();
    let fused = fuse(&graph).unwrap();
    assert_eq!(fused.groups.len(), 1, "caches are read where they lie");
    let group = &fused.groups[0];
    let argument = |value: &Value| Argument { view: View::dense(graph.ty(*value)), constant: false };
    let arguments: Vec<Argument> = group.inputs.iter().map(argument).collect();
    let view = View::dense(graph.ty(group.output));
    for caps in [&CAPS, &FINE, &SHARING] {
        let scheduled = schedule("test", &group.compute, &arguments, &view, caps);
        assert_eq!(scheduled.kernel.threads().is_some(), caps.workgroups.is_some());
        assert_eq!(verify_kernel(&scheduled.kernel), []);
        let mut output = Tensor::zeros(DType::F32, expected[0].shape()).unwrap();
        let tensor = |value: &Value| inputs[graph.inputs().iter().position(|input| input == value).unwrap()].clone();
        let mut inputs: Vec<Tensor> = group.inputs.iter().map(tensor).collect();
        let mut buffers: Vec<&mut [u8]> = inputs.iter_mut().map(Tensor::bytes_mut).chain([output.bytes_mut()]).collect();
        eval_kernel(&scheduled.kernel, &mut buffers, &[]).unwrap();
        assert!(agree(&expected[0], &output, Tier::Reassociate), "past {past:?}, window {window}, cap {cap}");
    }
}

/// Vectors and positions that become work items of their own, the last of which have lanes without an element.
#[test]
fn maps_and_reductions_of_all_shapes() {
    let none: &[i64] = &[];
    for shape in [vec![3, 70], vec![1, 1], vec![5, 4, 9], vec![130]] {
        for axes in [none, &[0], &[shape.len() as i64 - 1]] {
            let (mut random, mut graph, ty) = (Random::new(7), Graph::new("test"), TensorType::new(DType::F32, shape.clone()));
            let x = graph.input("x", &ty).unwrap();
            let y = match axes {
                [] => graph.add(Op::Relu, Attrs::new(), &[x]).unwrap(),
                axes => graph.add(Op::ReduceSum, Attrs::new().with("axes", axes.to_vec()), &[x]).unwrap(),
            };
            graph.output("y", y);
            let input = random.tensor(&ty).unwrap();
            let expected = evaluate(&graph, std::slice::from_ref(&input)).unwrap();
            let (actual, _) = run_single(&graph, std::slice::from_ref(&input), "none");
            assert!(agree(&expected[0], &actual, Tier::Reassociate), "{shape:?} over {axes:?}");
        }
    }
}

#[test]
fn attention_runs_once_over_the_keys() {
    for sizes in
        [sizes(5, 2, 3, 16, 16), sizes(1, 1, 5, 20, 24), sizes(7, 1, 1, 1, 1), sizes(33, 2, 1, 9, 13), sizes(1, 3, 1, 8, 300)]
    {
        for (past, window, cap) in
            [(None, 0, 0.0), (Some(0), 0, 0.0), (Some(40), 0, 3.0), (Some(9), 4, 0.0), (Some(70), 20, 0.0), (Some(0), 1, 2.0)]
        {
            check_attention(&sizes, past, window, cap);
        }
    }
}
