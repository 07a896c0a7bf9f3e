//! Whole graphs: evaluation with symbolic shapes, and the rules that the verifier checks.

mod common;

use common::random_graph;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::{Bindings, Dim, Symbol};
use lostwax_ir::eval::{EvalError, eval_graph, eval_value};
use lostwax_ir::graph::{Graph, TypeError, Value};
use lostwax_ir::ops::Op;
use lostwax_ir::random::Random;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::text::parse_graph;
use lostwax_ir::types::{DType, TensorType};
use lostwax_ir::verify::verify_graph;
use std::collections::BTreeMap;

const SYMBOLIC: &str = "\
symbols { h: 1..=8, w: 1.. }
graph \"mean of rows\" {
  %0 = input {name = \"x\", dtype = f32, dims = [4*h, w]}
  %1 = input {name = \"y\", dtype = f32, dims = [w, 2]}
  %2 = matmul %0, %1 : f32[4*h, 2]
  %3 = reshape %2 {dims = [h, 8]}
  %4 = reduce_mean %3 {axes = [1]}
  %5 = dim_value {dims = [4*h + w], dtype = i64}
  constraint h == w, \"square\"
  output \"mean\" %4
  output \"size\" %5
}";

fn symbolic() -> Graph {
    parse_graph(SYMBOLIC, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn inputs(x: [usize; 2], y: [usize; 2]) -> BTreeMap<String, Tensor> {
    let ones = |shape: &[usize]| Tensor::f32(shape, &vec![1.0; shape.iter().product()]).expect("the count fits");
    BTreeMap::from([("x".to_string(), ones(&x)), ("y".to_string(), ones(&y))])
}

#[test]
fn shapes_of_inputs_bind_symbols() {
    let outputs = eval_graph(&symbolic(), &inputs([12, 3], [3, 2])).expect("the inputs fit");
    assert_eq!(outputs["mean"], Tensor::f32(&[3, 1], &[3.0; 3]).expect("the count fits"));
    assert_eq!(outputs["size"].to_i64(), [15]);
}

#[test]
fn unfit_inputs_are_refused() {
    let run = |x, y| eval_graph(&symbolic(), &inputs(x, y)).expect_err("the inputs do not fit");
    assert!(matches!(run([10, 3], [3, 2]), EvalError::WrongInput { name, .. } if name == "x"));
    assert!(matches!(run([12, 3], [4, 2]), EvalError::WrongInput { name, .. } if name == "y"));
    assert!(matches!(run([36, 3], [3, 2]), EvalError::OutOfRange { value: 9, max: 8, .. }));
    assert!(matches!(run([12, 2], [2, 2]), EvalError::Constraint { .. }));
    let missing = eval_graph(&symbolic(), &BTreeMap::new());
    assert_eq!(missing, Err(EvalError::MissingInput("x".to_string())));
}

#[test]
fn constants_are_evaluated_alone() {
    let text = "graph \"g\" {\n%0 = constant [1, 2, 3] : i32[3]\n%1 = neg %0\n\
                %2 = input {name = \"x\", dtype = i32, dims = [3]}\n%3 = add %1, %2\noutput \"y\" %1\noutput \"z\" %3\n}";
    let graph = parse_graph(text, &[]).unwrap_or_else(|error| panic!("{error}"));
    let value = |i: usize| eval_value(&graph, graph.outputs()[i].value, &Bindings::new());
    assert_eq!(value(0).map(|tensor| tensor.to_i64()), Ok(vec![-1, -2, -3]));
    assert_eq!(value(1), Err(EvalError::MissingInput("x".to_string())));
}

#[test]
fn random_graphs_have_values() {
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let graph = random_graph(&mut random, 15).expect("samples fit their ops");
        let input = |value: &Value| {
            let node = graph.node(*value);
            (node.attrs.text("name").to_string(), random.tensor(&node.ty).expect("the type is small"))
        };
        let inputs: BTreeMap<String, Tensor> = graph.inputs().iter().map(input).collect();
        let outputs = eval_graph(&graph, &inputs).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{graph}"));
        for output in graph.outputs() {
            assert_eq!(outputs[&output.name].ty(), *graph.ty(output.value));
        }
    }
}

fn chain() -> Result<(Graph, [Value; 3]), TypeError> {
    let mut graph = Graph::new("chain");
    let x = graph.input("x", &TensorType::new(DType::F32, [2i64]))?;
    let a = graph.add(Op::Relu, Attrs::new(), &[x])?;
    let b = graph.add(Op::Exp, Attrs::new(), &[a])?;
    graph.output("y", b);
    Ok((graph, [x, a, b]))
}

fn problems(graph: &Graph) -> String {
    let problems: Vec<String> = verify_graph(graph).iter().map(ToString::to_string).collect();
    problems.join("\n")
}

#[test]
fn a_graph_without_problems() -> Result<(), TypeError> {
    assert_eq!(problems(&chain()?.0), "");
    Ok(())
}

#[test]
fn cycles_are_found() -> Result<(), TypeError> {
    let (mut graph, [x, _, b]) = chain()?;
    graph.add(Op::Neg, Attrs::new(), &[b])?;
    graph.replace_uses(x, b);
    assert_eq!(problems(&graph), "2 nodes are part of a cycle");
    Ok(())
}

#[test]
fn operands_come_first_and_old_nodes_before_new_ones() -> Result<(), TypeError> {
    let (mut graph, [x, a, b]) = chain()?;
    let negated = graph.add(Op::Neg, Attrs::new(), &[x])?;
    let last = graph.add(Op::Add, Attrs::new(), &[negated, negated])?;
    assert_eq!(graph.topological(), [x, a, b, negated, last]);
    graph.replace_uses(a, negated);
    assert_eq!(graph.topological(), [x, a, negated, b, last]);
    graph.remove_dead();
    assert_eq!(graph.topological(), [x, negated, b]);
    Ok(())
}

#[test]
fn wrong_types_are_found() -> Result<(), TypeError> {
    let (mut graph, [x, ..]) = chain()?;
    let other = graph.input("z", &TensorType::new(DType::F16, [2i64]))?;
    graph.replace_uses(x, other);
    assert_eq!(problems(&graph), "%1 = relu: the type is f32[2], expected f16[2]");
    Ok(())
}

#[test]
fn names_and_outputs_are_checked() -> Result<(), TypeError> {
    let (mut graph, [_, _, b]) = chain()?;
    let longer = random_graph(&mut Random::new(1), 40)?;
    graph.output("y", b);
    graph.output("z", longer.topological().into_iter().max().unwrap_or(b));
    graph.input("x", &TensorType::new(DType::F32, [2i64]))?;
    let problems = problems(&graph);
    for expected in ["two outputs are named `y`", "two inputs are named `x`", "output `z` is %"] {
        assert!(problems.contains(expected), "{problems}");
    }
    Ok(())
}

#[test]
fn symbols_have_one_range_and_a_name() -> Result<(), TypeError> {
    let mut graph = Graph::new("symbols");
    let symbols = [Symbol::new("h", 1, 5), Symbol::new("h", 1, 6), Symbol::new("2 words", 1, 6)];
    for (i, symbol) in symbols.iter().enumerate() {
        graph.input(&format!("x{i}"), &TensorType::new(DType::F32, [Dim::symbol(symbol)]))?;
    }
    assert_eq!(problems(&graph), "`2 words` cannot be the name of a symbol\nsymbol `h` has two ranges");
    Ok(())
}
