//! Results of operators whose decomposition is not plain.

use super::model::{FLOAT, Model, Value, floats, ints, node, subgraph};
use crate::ImportOptions;
use crate::Registry;
use lostwax_ir::eval::eval_graph;
use lostwax_ir::tensor::Tensor;
use std::collections::BTreeMap;

/// The values and shape of output `y` for input `x`.
fn run(model: &Model, shape: &[usize], values: &[f32]) -> (Vec<usize>, Vec<f64>) {
    let graph = Registry::default().onnx_bytes(&model.bytes(), None, &ImportOptions::default()).expect("a valid model");
    let x = Tensor::f32(shape, values).expect("a tensor");
    let results = eval_graph(&graph, &BTreeMap::from([("x".to_string(), x)])).expect("a result");
    let y = &results["y"];
    (y.shape().to_vec(), y.to_f64().iter().map(|value| (value * 1e4).round() / 1e4).collect())
}

fn single(opset: i64, dims: &[&str], op: &str, operands: &[&str], attributes: &[(&str, Value)]) -> Model {
    Model::new(opset).input("x", FLOAT, dims).node(op, operands, &["y"], attributes).output("y")
}

#[test]
fn old_softmax_flattens() {
    let uniform = vec![0.25; 4];
    let old = single(11, &["1", "2", "2"], "Softmax", &["x"], &[]);
    assert_eq!(run(&old, &[1, 2, 2], &[3.0; 4]).1, uniform);
    let new = single(13, &["1", "2", "2"], "Softmax", &["x"], &[]);
    assert_eq!(run(&new, &[1, 2, 2], &[3.0; 4]).1, [0.5; 4]);
}

#[test]
fn pools_round_up_for_symbolic_sizes() {
    let attributes = || [("kernel_shape", Value::Ints(&[2])), ("strides", Value::Ints(&[2])), ("ceil_mode", Value::Int(1))];
    for dims in [["1", "1", "5"], ["1", "1", "n"]] {
        let max = single(12, &dims, "MaxPool", &["x"], &attributes());
        assert_eq!(run(&max, &[1, 1, 5], &[1.0, 2.0, 3.0, 4.0, 5.0]), (vec![1, 1, 3], vec![2.0, 4.0, 5.0]));
        let mean = single(12, &dims, "AveragePool", &["x"], &attributes());
        assert_eq!(run(&mean, &[1, 1, 5], &[1.0, 2.0, 3.0, 4.0, 5.0]), (vec![1, 1, 3], vec![1.5, 3.5, 5.0]));
    }
}

/// A window that would start in the padding does not count.
#[test]
fn windows_start_inside() {
    let attributes = || {
        let pads = [("pads", Value::Ints(&[1, 1])), ("ceil_mode", Value::Int(1))];
        pads.into_iter().chain([("kernel_shape", Value::Ints(&[2])), ("strides", Value::Ints(&[3]))]).collect::<Vec<_>>()
    };
    for dims in [["1", "1", "2"], ["1", "1", "n"]] {
        let model = single(12, &dims, "MaxPool", &["x"], &attributes());
        assert_eq!(run(&model, &[1, 1, 2], &[1.0, 2.0]), (vec![1, 1, 1], vec![1.0]));
    }
}

#[test]
fn same_padding_for_symbolic_sizes() {
    for (mode, expected) in [("SAME_UPPER", [3.0, 7.0, 5.0]), ("SAME_LOWER", [1.0, 5.0, 9.0])] {
        for dims in [["1", "1", "5"], ["1", "1", "n"]] {
            let attributes = [("auto_pad", Value::Text(mode)), ("strides", Value::Ints(&[2]))];
            let model = single(11, &dims, "Conv", &["x", "w"], &attributes);
            let model = model.constant(floats("w", &[1, 1, 2], &[1.0; 2]));
            let (shape, values) = run(&model, &[1, 1, 5], &[1.0, 2.0, 3.0, 4.0, 5.0]);
            assert_eq!(shape, [1, 1, 3]);
            assert_eq!(values, expected, "{mode}");
        }
    }
}

#[test]
fn slices_count_from_the_end() {
    let list = |name: &str, value: i64| ints(name, &[1], &[value]);
    let with = |start: i64, end: i64, step: i64| {
        let model = single(13, &["n"], "Slice", &["x", "starts", "ends", "axes", "steps"], &[]);
        model.constant(list("starts", start)).constant(list("ends", end)).constant(list("axes", 0)).constant(list("steps", step))
    };
    let x = [0.0, 1.0, 2.0, 3.0, 4.0];
    assert_eq!(run(&with(-3, i64::MAX, 1), &[5], &x).1, [2.0, 3.0, 4.0]);
    assert_eq!(run(&with(1, -1, 2), &[5], &x).1, [1.0, 3.0]);
    assert_eq!(run(&with(-1, i64::MIN, -2), &[5], &x).1, [4.0, 2.0, 0.0]);
    assert_eq!(run(&with(7, 9, 1), &[5], &x).1, Vec::<f64>::new());
}

#[test]
fn einstein_sums() {
    let model = single(13, &["2", "n"], "Einsum", &["x", "w"], &[("equation", Value::Text("ij,kj->ki"))]);
    let model = model.constant(floats("w", &[1, 3], &[1.0, 10.0, 100.0]));
    assert_eq!(run(&model, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), (vec![1, 2], vec![321.0, 654.0]));
    let model = single(13, &["2", "3"], "Einsum", &["x"], &[("equation", Value::Text("ij->j"))]);
    assert_eq!(run(&model, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), (vec![3], vec![5.0, 7.0, 9.0]));
}

#[test]
fn quantized_values_come_back() {
    let model = Model::new(13)
        .input("x", FLOAT, &["2"])
        .node("DynamicQuantizeLinear", &["x"], &["q", "s", "z"], &[])
        .node("DequantizeLinear", &["q", "s", "z"], &["y"], &[])
        .output("y");
    assert_eq!(run(&model, &[2], &[0.0, 2.55]).1, [0.0, 2.55]);
    assert_eq!(run(&model, &[2], &[0.0, 0.0]).1, [0.0, 0.0]);
}

#[test]
fn the_largest_elements_keep_their_order() {
    let positions = |largest: i64| {
        let attributes = [("largest", Value::Int(largest))];
        let model = Model::new(11).input("x", FLOAT, &["n"]).constant(ints("k", &[1], &[3]));
        model.node("TopK", &["x", "k"], &["v", "y"], &attributes).output("y")
    };
    let x = [1.0, f32::NAN, 3.0, 3.0];
    assert_eq!(run(&positions(1), &[4], &x), (vec![3], vec![1.0, 2.0, 3.0]));
    assert_eq!(run(&positions(0), &[4], &x), (vec![3], vec![0.0, 2.0, 3.0]));
}

#[test]
fn the_data_chooses_a_branch() {
    let then = subgraph(vec![node("Exp", &["x"], &["a"], &[])], "a");
    let other = subgraph(vec![node("Neg", &["x"], &["b"], &[])], "b");
    let branches = [("then_branch", Value::Graph(&then)), ("else_branch", Value::Graph(&other))];
    let model = Model::new(13).input("x", FLOAT, &["1"]).constant(floats("zero", &[1], &[0.0]));
    let model = model.node("LessOrEqual", &["x", "zero"], &["c"], &[]).node("If", &["c"], &["y"], &branches).output("y");
    assert_eq!(run(&model, &[1], &[0.0]).1, [1.0]);
    assert_eq!(run(&model, &[1], &[2.0]).1, [-2.0]);
}

#[test]
fn the_first_query_sees_one_key() {
    let attributes = [("q_num_heads", Value::Int(1)), ("kv_num_heads", Value::Int(1)), ("is_causal", Value::Int(1))];
    let model = single(23, &["1", "n", "2"], "Attention", &["x", "x", "v"], &attributes);
    let model = model.constant(floats("v", &[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]));
    let (shape, values) = run(&model, &[1, 2, 2], &[0.0; 4]);
    assert_eq!((shape, values), (vec![1, 2, 2], vec![1.0, 2.0, 2.0, 3.0]));
}
