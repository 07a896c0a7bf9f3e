use super::*;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Symbol;
use lostwax_ir::ops::Op;
use lostwax_ir::types::{DType, TensorType};

/// A cache of four rows that grows by a column, which is an input through `relu`.
struct Cache {
    graph: Graph,
    state: Value,
    next: Value,
}

fn cache() -> Cache {
    let mut graph = Graph::new("cache");
    let column = graph.input("x", &TensorType::new(DType::F32, [4, 1])).unwrap();
    let state = graph.state("cache", &TensorType::new(DType::F32, [4, 16])).unwrap();
    let new = graph.add(Op::Relu, Attrs::new(), &[column]).unwrap();
    let starts = vec![Dim::default(), Dim::symbol(&Symbol::new("past", 0, 15))];
    let next = graph.add(Op::UpdateSlice, Attrs::new().with("starts", starts), &[state, new]).unwrap();
    graph.output("cache", next);
    Cache { graph, state, next }
}

fn outputs(fused: &Fused) -> Vec<Value> {
    fused.groups.iter().map(|group| group.output).collect()
}

#[test]
fn an_update_is_one_kernel_in_the_memory_of_the_state() {
    let Cache { mut graph, state, next } = cache();
    let y = graph.add(Op::Exp, Attrs::new(), &[next]).unwrap();
    graph.output("y", y);
    let fused = fuse(&graph).unwrap();
    let new = graph.operands(next)[1];
    assert_eq!(outputs(&fused), [new, y]);
    assert_eq!(fused.aliases.get(&next), Some(&Alias::Whole(state)));
    assert!(matches!(fused.aliases.get(&new), Some(Alias::Slice(whole, _)) if *whole == next));
}

#[test]
fn old_contents_are_read_before_the_update() {
    let Cache { mut graph, state, next } = cache();
    let new = graph.operands(next)[1];
    let old = graph.add(Op::Exp, Attrs::new(), &[state]).unwrap();
    graph.output("y", old);
    assert_eq!(outputs(&fuse(&graph).unwrap()), [old, new]);
}

#[test]
fn where_old_and_new_contents_are_read_together_the_state_is_copied() {
    let Cache { mut graph, state, next } = cache();
    let both = graph.add(Op::Add, Attrs::new(), &[state, next]).unwrap();
    graph.output("y", both);
    let fused = fuse(&graph).unwrap();
    let new = graph.operands(next)[1];
    assert_eq!(outputs(&fused), [new, next, both, state]);
    assert!(fused.aliases.is_empty());
}

#[test]
fn sums_are_made_in_place_and_products_are_not() {
    let mut graph = Graph::new("sums");
    let ty = TensorType::new(DType::F32, [8, 8]);
    let (x, sum, product) =
        (graph.input("x", &ty).unwrap(), graph.state("sum", &ty).unwrap(), graph.state("product", &ty).unwrap());
    let next_sum = graph.add(Op::Add, Attrs::new(), &[sum, x]).unwrap();
    let next_product = graph.add(Op::MatMul, Attrs::new(), &[product, x]).unwrap();
    graph.output("sum", next_sum);
    graph.output("product", next_product);
    let fused = fuse(&graph).unwrap();
    assert_eq!(outputs(&fused), [next_sum, next_product, product]);
    assert_eq!(fused.aliases, BTreeMap::from([(next_sum, Alias::Whole(sum))]));
}

/// The groups of a product with a matrix whose elements are scaled by `[rows, 32]`.
fn groups_of_a_scaled_product(dtype: DType, rows: i64) -> usize {
    let mut graph = Graph::new("scaled");
    let x = graph.input("x", &TensorType::new(DType::F32, [64, 64])).unwrap();
    let numbers = graph.input("numbers", &TensorType::new(dtype, [64, 32])).unwrap();
    let scales = graph.input("scales", &TensorType::new(DType::F32, [rows, 32])).unwrap();
    let wide = match dtype {
        DType::F32 => numbers,
        _ => graph.add(Op::Cast, Attrs::new().with("dtype", DType::F32), &[numbers]).unwrap(),
    };
    let scaled = graph.add(Op::Mul, Attrs::new(), &[wide, scales]).unwrap();
    let product = graph.add(Op::MatMul, Attrs::new(), &[x, scaled]).unwrap();
    graph.output("y", product);
    fuse(&graph).unwrap().groups.len()
}

#[test]
fn bytes_with_scales_are_read_where_they_lie() {
    assert_eq!(groups_of_a_scaled_product(DType::I8, 1), 1);
    assert_eq!(groups_of_a_scaled_product(DType::I8, 64), 2);
    assert_eq!(groups_of_a_scaled_product(DType::F32, 1), 2);
}

#[test]
fn groups_keep_to_the_most_arguments() {
    let (mut graph, ty) = (Graph::new("sum"), TensorType::new(DType::F32, [7]));
    let mut sum = graph.input("x0", &ty).unwrap();
    for position in 1..12 {
        let next = graph.input(&format!("x{position}"), &ty).unwrap();
        sum = graph.add(Op::Add, Attrs::new(), &[sum, next]).unwrap();
    }
    graph.output("y", sum);
    assert_eq!(fuse(&graph).unwrap().groups.len(), 1);
    for arguments in [3, 4, 8, 13] {
        let groups = fuse_within(&graph, arguments).unwrap().groups;
        assert!(groups.iter().all(|group| group.inputs.len() < arguments as usize), "{arguments}");
        assert_eq!(groups.len(), 11usize.div_ceil(arguments as usize - 2), "{arguments}");
    }
}

/// Rows divided by what is found for each row, or for each column.
fn scaled(sizes: [i64; 2]) -> (Graph, Value, Value) {
    let mut graph = Graph::new("scaled");
    let x = graph.input("x", &TensorType::new(DType::F32, [8, 32])).unwrap();
    let scale = graph.input("scale", &TensorType::new(DType::F32, sizes)).unwrap();
    let inverse = graph.add(Op::Recip, Attrs::new(), &[scale]).unwrap();
    let y = graph.add(Op::Mul, Attrs::new(), &[x, inverse]).unwrap();
    graph.output("y", y);
    (graph, inverse, y)
}

#[test]
fn a_cheap_operation_is_computed_where_neighbours_share_it() {
    let (graph, _, y) = scaled([8, 1]);
    assert_eq!(outputs(&fuse(&graph).unwrap()), [y]);
    let (graph, inverse, y) = scaled([1, 32]);
    assert_eq!(outputs(&fuse(&graph).unwrap()), [inverse, y]);
}

#[test]
fn what_each_neighbour_looks_up_is_computed_before() {
    let mut graph = Graph::new("looked_up");
    let x = graph.input("x", &TensorType::new(DType::F32, [8])).unwrap();
    let at = graph.input("at", &TensorType::new(DType::I64, [32])).unwrap();
    let inverse = graph.add(Op::Recip, Attrs::new(), &[x]).unwrap();
    let y = graph.add(Op::Gather, Attrs::new().with("axis", 0i64), &[inverse, at]).unwrap();
    graph.output("y", y);
    assert_eq!(outputs(&fuse(&graph).unwrap()), [inverse, y]);
}
