//! Work items that threads share, beside the graphs that they come from. The interpreter faults on races.

use super::{SHARING, quantized_inputs, quantized_product, run_scheduled, run_with, scheduled_on};
use crate::Tier;
use crate::testing::{agree, evaluate};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::blocks::{BLOCK_FORMATS, BlockFormat};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::graph::Graph;
use lostwax_ir::ops::Op;
use lostwax_ir::random::Random;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::{DType, TensorType};

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

#[test]
fn quantized_products_of_few_rows_are_split() {
    for rows in [1, 2, 4] {
        let graph = quantized_product(block_format("q4_1"), &[], rows.into(), 32 * 40);
        check(&graph, &quantized_inputs(&graph), Some(128), false);
    }
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
