//! Which kernels are chosen when nothing is rewritten, and that fusion makes as many of them.

use crate::cost::{CostTable, Roofline};
use crate::egraph::convert::{Loaded, Selection};
use crate::egraph::prices::Prices;
use crate::fuse::fuse;
use lostwax_ir::attrs::Attrs;
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::ops::Op;
use lostwax_ir::random::Random;
use lostwax_ir::types::{DType, TensorType};

struct Network(Graph);

impl Network {
    fn new() -> Self {
        Self(Graph::new("network"))
    }

    fn input(&mut self, dims: &[i64]) -> Value {
        let name = format!("x{}", self.0.inputs().len());
        self.0.input(&name, &TensorType::new(DType::F32, dims.iter().copied())).expect("input")
    }

    fn constant(&mut self, dims: &[i64]) -> Value {
        let tensor = Random::new(7).tensor(&TensorType::new(DType::F32, dims.iter().copied())).expect("tensor");
        self.0.constant(tensor).expect("constant")
    }

    fn add(&mut self, op: Op, attrs: Attrs, operands: &[Value]) -> Value {
        self.0.add(op, attrs, operands).expect("valid node")
    }

    fn map(&mut self, op: Op, operands: &[Value]) -> Value {
        self.add(op, Attrs::new(), operands)
    }

    fn matmul(&mut self, x: Value, columns: i64) -> Value {
        let depth = self.0.ty(x).dims.last().and_then(|dim| dim.as_constant()).expect("a size");
        let weights = self.constant(&[depth, columns]);
        self.map(Op::MatMul, &[x, weights])
    }

    fn sum(&mut self, x: Value) -> Value {
        self.add(Op::ReduceSum, Attrs::new().with("axes", vec![1i64]), &[x])
    }

    /// The number of kernels chosen, and the number that fusion makes.
    fn kernels(mut self, outputs: &[Value]) -> (usize, usize) {
        outputs.iter().enumerate().for_each(|(position, value)| self.0.output(&format!("y{position}"), *value));
        let prices = Prices { model: &Roofline, costs: &CostTable::default(), memory_weight: 1.0 };
        let loaded = Loaded::new(&self.0);
        let selection: Selection = loaded.select(prices).expect("every output");
        let graph = loaded.build(&selection).expect("valid nodes");
        (selection.kernels, fuse(&graph).expect("computes").groups.len())
    }
}

#[test]
fn epilogues_are_absorbed_by_contractions() {
    let mut network = Network::new();
    let (x, residual) = (network.input(&[64, 64]), network.input(&[64, 64]));
    let product = network.matmul(x, 64);
    let bias = network.constant(&[1, 64]);
    let biased = network.map(Op::Add, &[product, bias]);
    let sum = network.map(Op::Add, &[residual, biased]);
    let y = network.map(Op::Silu, &[sum]);
    assert_eq!(network.kernels(&[y]), (1, 1));
}

#[test]
fn contractions_of_two_users_are_stored_once() {
    let mut network = Network::new();
    let x = network.input(&[256, 256]);
    let product = network.matmul(x, 256);
    let (left, right) = (network.map(Op::Relu, &[product]), network.map(Op::Tanh, &[product]));
    assert_eq!(network.kernels(&[left, right]), (3, 3));
}

#[test]
fn one_kernel_holds_one_contraction() {
    let mut network = Network::new();
    let (x, y) = (network.input(&[256, 256]), network.input(&[256, 256]));
    let (left, right) = (network.matmul(x, 256), network.matmul(y, 256));
    let sum = network.map(Op::Add, &[left, right]);
    assert_eq!(network.kernels(&[sum]), (2, 2));
}

#[test]
fn reductions_absorb_what_comes_before_and_after() {
    let mut network = Network::new();
    let x = network.input(&[64, 64]);
    let squares = network.map(Op::Mul, &[x, x]);
    let sum = network.sum(squares);
    let root = network.map(Op::Sqrt, &[sum]);
    assert_eq!(network.kernels(&[root]), (1, 1));
}

#[test]
fn contractions_do_not_absorb_what_comes_before() {
    let mut network = Network::new();
    let x = network.input(&[64, 64]);
    let active = network.map(Op::Tanh, &[x]);
    let product = network.matmul(active, 64);
    assert_eq!(network.kernels(&[product]), (2, 2));
}

#[test]
fn cheap_work_of_two_users_may_be_done_twice() {
    let mut network = Network::new();
    let x = network.input(&[256, 256]);
    let negated = network.map(Op::Neg, &[x]);
    let (left, right) = (network.sum(negated), network.map(Op::Exp, &[negated]));
    let (chosen, _) = network.kernels(&[left, right]);
    assert_eq!(chosen, 2);
}

#[test]
fn softmax_is_four_kernels() {
    let mut network = Network::new();
    let x = network.input(&[64, 64]);
    let largest = network.add(Op::ReduceMax, Attrs::new().with("axes", vec![1i64]), &[x]);
    let shifted = network.map(Op::Sub, &[x, largest]);
    let powers = network.map(Op::Exp, &[shifted]);
    let sum = network.sum(powers);
    let y = network.map(Op::Div, &[powers, sum]);
    let (chosen, made) = network.kernels(&[y]);
    assert!((3..=4).contains(&chosen) && (3..=4).contains(&made), "{chosen} {made}");
}
