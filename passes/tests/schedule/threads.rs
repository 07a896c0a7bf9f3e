//! Kernels for workgroups of several threads, beside the graphs that they come from. The interpreter faults on races.

use super::{SHARING, attention, quantized_inputs, quantized_product, run_scheduled, run_with, scheduled_on, sizes};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::blocks::{BLOCK_FORMATS, BlockFormat};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::graph::Graph;
use lostwax_ir::ops::Op;
use lostwax_ir::random::Random;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::{DType, TensorType};
use lostwax_passes::Tier;
use lostwax_passes::schedule::Scheduled;
use lostwax_passes::testing::{agree, evaluate};

/// Checks that the graph's only kernel has threads or not, whether it stages its factors, and what it computes.
fn check(graph: &Graph, inputs: &[Tensor], threads: Option<u32>, staged: bool) {
    let expected = evaluate(graph, inputs).unwrap();
    let scheduled = scheduled_on(&SHARING, graph);
    assert_eq!(scheduled.kernel.threads(), threads, "{graph:?}");
    assert_eq!(scheduled.kernel.locals.iter().any(|local| local.name == "columns"), staged);
    assert!(agree(&expected[0], &run_scheduled(&scheduled, graph, inputs), Tier::Reassociate));
}

fn inputs(graph: &Graph) -> Vec<Tensor> {
    let mut random = Random::new(11);
    graph.inputs().iter().map(|input| random.tensor(graph.ty(*input)).unwrap()).collect()
}

/// A product of two matrices, or of as many as the batch has.
fn product(batch: i64, [rows, depth, columns]: [i64; 3]) -> Graph {
    let mut graph = Graph::new("test");
    let [x, y] = [("x", [batch, rows, depth]), ("y", [batch, depth, columns])]
        .map(|(name, shape)| graph.input(name, &TensorType::new(DType::F32, shape)).unwrap());
    let z = graph.add(Op::MatMul, Attrs::new(), &[x, y]).unwrap();
    let z = graph.add(Op::Relu, Attrs::new(), &[z]).unwrap();
    graph.output("z", z);
    graph
}

#[test]
fn products_of_many_rows_stage_their_factors() {
    for (batch, sizes, threads) in [
        (1, [64, 32, 64], 128),
        (1, [64, 32, 256], 256),
        (1, [33, 17, 65], 128),
        (1, [130, 20, 257], 256),
        (1, [256, 16, 256], 256),
        (1, [300, 19, 270], 256),
        (3, [16, 40, 37], 128),
        (2, [9, 33, 20], 128),
    ] {
        let graph = product(batch, sizes);
        check(&graph, &inputs(&graph), Some(threads), true);
    }
}

#[test]
fn products_of_quantized_activations_stage_what_rows_and_columns_need() {
    for (format, rows) in BLOCK_FORMATS.iter().flat_map(|format| [6, 21].map(|rows| (format, rows))) {
        let graph = quantized_product(format, &[], rows.into(), 2 * i64::from(format.values));
        check(&graph, &quantized_inputs(&graph), Some(128), true);
    }
}

/// Blocks of all shapes, those that reach past the last row and column, and batches.
#[test]
fn quantized_products_of_all_sizes_are_staged() {
    for (lead, rows, threads) in
        [(vec![], 16, 128), (vec![], 65, 128), (vec![], 130, 128), (vec![3], 33, 128), (vec![2], 66, 128), (vec![4], 67, 256)]
    {
        let graph = quantized_product(block_format("q4_1"), &lead, rows.into(), 64);
        check(&graph, &quantized_inputs(&graph), Some(threads), true);
    }
}

fn block_format(name: &str) -> &'static BlockFormat {
    BLOCK_FORMATS.iter().find(|format| format.name == name).unwrap()
}

/// The last steps along the depth are fewer than what is staged at once.
#[test]
fn staged_steps_need_not_fill_the_depth() {
    for groups in [2, 3, 5, 7] {
        for rows in [8, 40] {
            let graph = quantized_product(block_format("q4_1"), &[], rows.into(), 32 * groups);
            check(&graph, &quantized_inputs(&graph), Some(128), true);
        }
    }
}

/// One kernel for any number of rows, from one to more than a block has.
#[test]
fn any_number_of_rows_is_staged() {
    let symbol = Symbol::new("n", 1, 512);
    let symbolic = quantized_product(block_format("q4_1"), &[], Dim::symbol(&symbol), 96);
    let scheduled = scheduled_on(&SHARING, &symbolic);
    assert_eq!(scheduled.kernel.symbols, [symbol]);
    for rows in [1, 5, 64, 67, 130] {
        let graph = quantized_product(block_format("q4_1"), &[], rows.into(), 96);
        let inputs = quantized_inputs(&graph);
        let expected = evaluate(&graph, &inputs).unwrap();
        assert!(agree(&expected[0], &run_with(&scheduled, &graph, &inputs, &[rows]), Tier::Reassociate), "{rows}");
    }
}

/// Each step sums up several products of bytes, so few steps are enough. With many, each thread has two under way at once.
#[test]
fn quantized_products_of_few_rows_are_split() {
    for (rows, groups, threads) in [(1, 5, 64), (2, 18, 256), (1, 40, 256), (4, 64, 256), (1, 67, 256)] {
        let graph = quantized_product(block_format("q4_1"), &[], rows.into(), 32 * groups);
        check(&graph, &quantized_inputs(&graph), Some(threads), false);
        let scheduled = scheduled_on(&SHARING, &graph);
        assert_eq!(steps_at_once(&scheduled), if groups < 32 { None } else { Some(2) }, "{groups}");
    }
    for format in BLOCK_FORMATS {
        let graph = quantized_product(format, &[], 1.into(), 4 * i64::from(format.values).max(128));
        check(&graph, &quantized_inputs(&graph), Some(256), false);
    }
}

/// The sums of one row that each thread of a split reduction has beside the last.
fn steps_at_once(scheduled: &Scheduled) -> Option<u32> {
    scheduled.kernel.locals.iter().find(|local| local.name == "sums").map(|local| local.len)
}

#[test]
fn products_of_few_rows_split_the_depth() {
    for (sizes, threads) in [([1, 64, 64], 256), ([1, 33, 21], 128), ([7, 256, 100], 256), ([3, 100, 16], 256)] {
        let graph = product(1, sizes);
        check(&graph, &inputs(&graph), Some(threads), false);
    }
    let graph = product(1, [4, 8, 64]);
    check(&graph, &inputs(&graph), None, false);
}

/// Borders, strides and taps are part of the flattened depth.
#[test]
fn convolutions_stage_their_factors() {
    for (size, channels, pad, stride) in [(9, 5, 1, 1), (12, 8, 0, 2), (7, 3, 2, 1)] {
        let mut graph = Graph::new("test");
        let x = graph.input("x", &TensorType::new(DType::F32, [1, size, size, channels])).unwrap();
        let w = graph.input("w", &TensorType::new(DType::F32, [3, 3, channels, 24])).unwrap();
        let attrs = Attrs::new().with("channels_last", true).with("strides", vec![stride; 2]);
        let attrs = attrs.with("before", vec![pad; 2]).with("after", vec![pad; 2]).with("dilations", vec![1i64; 2]);
        let y = graph.add(Op::Conv, attrs.with("groups", 1i64), &[x, w]).unwrap();
        graph.output("y", y);
        check(&graph, &inputs(&graph), Some(128), true);
    }
}

#[test]
fn long_reductions_are_split() {
    for (op, shape, threads) in [
        (Op::ReduceSum, vec![3, 1000], Some(128)),
        (Op::ReduceMax, vec![70, 64], Some(64)),
        (Op::ReduceSum, vec![5, 5000], Some(256)),
        (Op::ReduceMin, vec![10, 33], Some(64)),
        (Op::ReduceSum, vec![9, 20], None),
    ] {
        let mut graph = Graph::new("test");
        let x = graph.input("x", &TensorType::new(DType::F32, shape.clone())).unwrap();
        let y = graph.add(op, Attrs::new().with("axes", vec![shape.len() as i64 - 1]), &[x]).unwrap();
        graph.output("y", y);
        check(&graph, &inputs(&graph), threads, false);
    }
}

/// Turns of four steps at once, steps that are left, and lengths that are too short for a turn.
#[test]
fn reductions_of_any_length_take_four_steps_at_once() {
    let reduction = |length: Dim| {
        let mut graph = Graph::new("test");
        let x = graph.input("x", &TensorType::new(DType::F32, [Dim::constant(3), length])).unwrap();
        let y = graph.add(Op::ReduceSum, Attrs::new().with("axes", vec![1i64]), &[x]).unwrap();
        graph.output("y", y);
        graph
    };
    let symbol = Symbol::new("n", 1, 4096);
    let scheduled = scheduled_on(&SHARING, &reduction(Dim::symbol(&symbol)));
    assert_eq!(steps_at_once(&scheduled), Some(4));
    for length in [1, 15, 16, 63, 64, 65, 128, 1000] {
        let graph = reduction(length.into());
        let inputs = inputs(&graph);
        let expected = evaluate(&graph, &inputs).unwrap();
        assert!(agree(&expected[0], &run_with(&scheduled, &graph, &inputs, &[length]), Tier::Reassociate), "{length}");
    }
}

/// Few rows and many keys: groups of threads take blocks of keys alternately, in the last round not all of them, and put together what
/// they found. Some see none of the keys that a window leaves.
#[test]
fn groups_of_threads_share_the_keys_of_few_rows() {
    for (sizes, threads) in [
        (sizes(1, 1, 3, 16, 16), 256),
        (sizes(1, 1, 9, 20, 70), 128),
        (sizes(2, 1, 1, 8, 130), 256),
        (sizes(1, 2, 2, 9, 13), 128),
        (sizes(1, 4, 1, 8, 8), 64),
    ] {
        for (past, window, cap) in [(299, 0, 0.0), (260, 0, 3.0), (299, 70, 0.0), (255, 3, 0.0), (511, 200, 2.0)] {
            let attrs = Attrs::new().with("scale", 0.3).with("cap", cap).with("window", window);
            let (graph, inputs) = attention(&sizes, past + sizes.n, attrs.with("past", vec![Dim::constant(past)]));
            check(&graph, &inputs, Some(threads), false);
        }
    }
}

/// Of windows that lie in one block or two, most groups see no key.
#[test]
fn groups_that_see_no_key_count_nothing() {
    for (n, past) in [(1, 255), (2, 270), (6, 317), (5, 380)] {
        let attrs = Attrs::new().with("scale", 40.0).with("cap", 0.0).with("window", 2i64);
        let attrs = attrs.with("past", vec![Dim::constant(past)]);
        let (graph, inputs) = attention(&sizes(n, 1, 1, 4, 5), past + n, attrs);
        check(&graph, &inputs, Some(256), false);
    }
}
