//! What the crate adds computes the same as before, and decides something.

use lostwax_ir::attrs::Attrs;
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::ops::Op;
use lostwax_ir::random::Random;
use lostwax_ir::types::{DType, TensorType};
use lostwax_passes::optimize::optimize;
use lostwax_passes::testing::{agree, check_rules, evaluate, random_inputs};
use lostwax_passes::{Changed, Context, Tier, run_passes};
use lostwax_research::{powers, registry};
use std::sync::Arc;

fn context() -> Context {
    Context { registry: Arc::new(registry()), ..Context::default() }
}

/// Three products of one input with constant matrices.
fn products() -> Graph {
    let mut graph = Graph::new("products");
    let mut random = Random::new(3);
    let x = graph.input("x", &TensorType::new(DType::F32, [5, 8])).unwrap();
    for (name, columns) in [("q", 4), ("k", 2), ("v", 3)] {
        let tensor = random.tensor(&TensorType::new(DType::F32, [8, columns])).unwrap();
        let w = graph.constant(tensor).unwrap();
        let product = graph.add(Op::MatMul, Attrs::new(), &[x, w]).unwrap();
        graph.output(name, product);
    }
    graph
}

fn count(graph: &Graph, op: Op) -> usize {
    graph.topological().into_iter().filter(|value| graph.op(*value) == op).count()
}

fn assert_same(before: &Graph, after: &Graph) {
    let inputs = random_inputs(before, &mut Random::new(1), false).unwrap();
    let (left, right) = (evaluate(before, &inputs).unwrap(), evaluate(after, &inputs).unwrap());
    assert!(left.iter().zip(&right).all(|(left, right)| agree(left, right, Tier::Reassociate)));
}

fn exp_of_input(graph: &mut Graph, name: &str, ty: &TensorType) -> Value {
    let x = graph.input(name, ty).unwrap();
    graph.add(Op::Exp, Attrs::new(), &[x]).unwrap()
}

#[test]
fn the_registry_is_consistent() {
    registry().check().unwrap();
}

#[test]
fn rules_keep_results() {
    check_rules(&powers::GROUP, 17).unwrap();
}

#[test]
fn products_are_merged() {
    let (before, mut after) = (products(), products());
    assert_eq!(run_passes(&["merge_products"], &mut after, &context()).unwrap(), Changed::Yes);
    assert_eq!((count(&before, Op::MatMul), count(&after, Op::MatMul), count(&after, Op::Slice)), (3, 1, 3));
    assert_same(&before, &after);
    let exact = Context { tier: Tier::Exact, ..context() };
    assert_eq!(run_passes(&["merge_products"], &mut products(), &exact).unwrap(), Changed::No);
}

#[test]
fn rules_take_part_and_can_be_disabled() {
    let mut graph = Graph::new("powers");
    let ty = TensorType::new(DType::F32, [1 << 12]);
    let exps: Vec<Value> = ["x", "y"].map(|name| exp_of_input(&mut graph, name, &ty)).into();
    let product = graph.add(Op::Mul, Attrs::new(), &exps).unwrap();
    graph.output("product", product);
    let mut ctx = context();
    assert_eq!(count(&optimize(&graph, &ctx).unwrap().0, Op::Exp), 1);
    ctx.disabled.insert("powers".to_string());
    assert_eq!(count(&optimize(&graph, &ctx).unwrap().0, Op::Exp), 2);
    ctx.disabled.insert("power".to_string());
    let error = optimize(&graph, &ctx).unwrap_err().to_string();
    assert_eq!(error, "there is no rule or rule group `power`; did you mean `powers`?");
}
