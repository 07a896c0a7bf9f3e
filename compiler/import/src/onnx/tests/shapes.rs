//! Arithmetic on shapes disappears at import.

use super::model::{BOOL, FLOAT, INT64, Model, Value, ints, node, subgraph};
use crate::Registry;
use crate::{ImportOptions, ShapeSpec};
use lostwax_ir::graph::Graph;
use lostwax_ir::ops::Op;

fn import(model: &Model) -> Graph {
    Registry::default().onnx_bytes(&model.bytes(), None, &ImportOptions::default()).expect("a valid model")
}

fn output_types(graph: &Graph) -> Vec<String> {
    graph.outputs().iter().map(|output| graph.ty(output.value).to_string()).collect()
}

fn ops(graph: &Graph) -> Vec<Op> {
    graph.topological().into_iter().map(|value| graph.op(value)).collect()
}

/// Reshape to `[batch, -1]` as exporters write it.
#[test]
fn shapes_taken_apart_and_put_together() {
    let model = Model::new(13)
        .input("x", FLOAT, &["batch", "3", "h", "w"])
        .constant(ints("zero", &[], &[0]))
        .constant(ints("axis", &[1], &[0]))
        .constant(ints("rest", &[1], &[-1]))
        .node("Shape", &["x"], &["shape"], &[])
        .node("Gather", &["shape", "zero"], &["batch_size"], &[])
        .node("Unsqueeze", &["batch_size", "axis"], &["batch_list"], &[])
        .node("Concat", &["batch_list", "rest"], &["target"], &[("axis", Value::Int(0))])
        .node("Reshape", &["x", "target"], &["y"], &[])
        .output("y");
    let graph = import(&model);
    assert_eq!(ops(&graph), [Op::Input, Op::Reshape]);
    assert_eq!(output_types(&graph), ["f32[batch, 3*h*w]"]);
}

/// Half the size, computed in floating point.
#[test]
fn sizes_through_floats() {
    let half = super::model::floats("half", &[], &[0.5]);
    let model = Model::new(17)
        .input("x", FLOAT, &["n", "c"])
        .constant(half)
        .constant(ints("zero", &[1], &[0]))
        .constant(ints("one", &[1], &[1]))
        .node("Shape", &["x"], &["n_only"], &[("end", Value::Int(1))])
        .node("Cast", &["n_only"], &["n_float"], &[("to", Value::Int(1))])
        .node("Mul", &["n_float", "half"], &["n_half"], &[])
        .node("Floor", &["n_half"], &["n_floor"], &[])
        .node("Cast", &["n_floor"], &["end"], &[("to", Value::Int(7))])
        .node("Slice", &["x", "zero", "end", "zero"], &["y"], &[])
        .output("y");
    let graph = import(&model);
    assert_eq!(ops(&graph), [Op::Input, Op::Slice]);
    assert_eq!(output_types(&graph), ["f32[floordiv(n, 2), c]"]);
}

#[test]
fn ranges_over_symbolic_sizes() {
    let model = Model::new(13)
        .input("x", FLOAT, &["n"])
        .constant(ints("zero", &[], &[0]))
        .constant(ints("two", &[], &[2]))
        .node("Size", &["x"], &["n"], &[])
        .node("Range", &["zero", "n", "two"], &["y"], &[])
        .output("y");
    let graph = import(&model);
    assert_eq!(output_types(&graph), ["i64[floordiv(n + 1, 2)]"]);
}

#[test]
fn unnamed_and_meaningless_dims_are_distinct() {
    let model = Model::new(13).input("x", FLOAT, &["?", "?", "N", "N"]).node("Relu", &["x"], &["y"], &[]).output("y");
    assert_eq!(output_types(&import(&model)), ["f32[x_d0, x_d1, N, N]"]);
}

#[test]
fn given_shapes_replace_those_of_the_file() {
    let model = Model::new(13).input("x", FLOAT, &["b", "4"]).input("y", FLOAT, &["b"]);
    let model = model.node("Relu", &["x"], &["u"], &[]).node("Relu", &["y"], &["v"], &[]).output("u").output("v");
    let shape: ShapeSpec = "x:2*kx4".parse().expect("a shape");
    let options = ImportOptions { shapes: vec![(shape.name, shape.dims)], ..ImportOptions::default() };
    let graph = Registry::default().onnx_bytes(&model.bytes(), None, &options).expect("a valid model");
    assert_eq!(output_types(&graph), ["f32[2*k, 4]", "f32[2*k]"]);
}

/// Down by two and up again is the same size only for even sizes: checked at run time, and once.
#[test]
fn unprovable_equalities_become_constraints() {
    let model = Model::new(13)
        .input("x", FLOAT, &["1", "2", "h", "8"])
        .constant(super::model::floats("none", &[0], &[]))
        .constant(super::model::floats("twice", &[4], &[1.0, 1.0, 2.0, 2.0]))
        .node("MaxPool", &["x"], &["small"], &[("kernel_shape", Value::Ints(&[2, 2])), ("strides", Value::Ints(&[2, 2]))])
        .node("Resize", &["small", "none", "twice"], &["large"], &[])
        .node("Add", &["x", "large"], &["sum"], &[])
        .node("Concat", &["x", "large", "sum"], &["y"], &[("axis", Value::Int(1))])
        .output("y");
    let graph = import(&model);
    assert_eq!(graph.constraints().count(), 1);
    assert_eq!(output_types(&graph), ["f32[1, 6, h, 8]"]);
}

#[test]
fn conditions_on_shapes_are_decided() {
    let then_branch = subgraph(vec![node("Relu", &["x"], &["t"], &[])], "t");
    let else_branch = subgraph(vec![node("Loop", &["x"], &["e"], &[])], "e");
    let model = Model::new(13)
        .input("x", FLOAT, &["n", "3"])
        .constant(ints("two", &[], &[2]))
        .node("Shape", &["x"], &["shape"], &[])
        .node("Size", &["shape"], &["rank"], &[])
        .node("Equal", &["rank", "two"], &["is_matrix"], &[])
        .node(
            "If",
            &["is_matrix"],
            &["y"],
            &[("then_branch", Value::Graph(&then_branch)), ("else_branch", Value::Graph(&else_branch))],
        )
        .output("y");
    assert_eq!(ops(&import(&model)), [Op::Input, Op::Relu]);
}

#[test]
fn nodes_may_come_in_any_order() {
    let model = Model::new(13).input("x", FLOAT, &["n"]);
    let model = model.node("Exp", &["a"], &["y"], &[]).node("Relu", &["x"], &["a"], &[]).output("y");
    assert_eq!(ops(&import(&model)), [Op::Input, Op::Relu, Op::Exp]);
}

#[test]
fn inputs_may_be_given_as_constants() {
    let model = Model::new(13).input("x", FLOAT, &["6"]).input("shape", INT64, &["2"]).input("unused", BOOL, &[]);
    let model = model.node("Reshape", &["x", "shape"], &["y"], &[]).output("y");
    let shape = lostwax_ir::tensor::Tensor::i64(&[2], &[2, -1]).expect("a tensor");
    let options = ImportOptions { constants: vec![("shape".to_string(), shape.into())], ..ImportOptions::default() };
    let graph = Registry::default().onnx_bytes(&model.bytes(), None, &options).expect("a valid model");
    assert_eq!(output_types(&graph), ["f32[2, 3]"]);
}
