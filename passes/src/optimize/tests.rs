use super::*;
use crate::testing::{agree, evaluate, print, random_inputs};
use crate::tier::Tier;
use lostwax_ir::attrs::{Attr, Attrs};
use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::graph::Value;
use lostwax_ir::ops::Op;
use lostwax_ir::random::Random;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::{DType, TensorType};

/// Builds random networks of images.
struct Network {
    graph: Graph,
    random: Random,
    values: Vec<Value>,
}

impl Network {
    fn new(seed: u64) -> Self {
        let mut network = Self { graph: Graph::new("network"), random: Random::new(seed), values: Vec::new() };
        let channels = network.random.int(1, 4);
        let x = network.graph.input("x", &TensorType::new(DType::F32, [1, channels, 6, 5])).expect("input");
        network.values.push(x);
        network
    }

    fn pick(&mut self) -> Value {
        let position = self.random.size(0, self.values.len() - 1);
        self.values[position]
    }

    fn constant(&mut self, shape: &[i64]) -> Value {
        let tensor = self.random.tensor(&TensorType::new(DType::F32, shape.iter().copied())).expect("tensor");
        self.graph.constant(tensor).expect("constant")
    }

    fn shape(&self, value: Value) -> Vec<i64> {
        self.graph.ty(value).dims.iter().map(|dim| dim.as_constant().expect("static")).collect()
    }

    fn add(&mut self, op: Op, attrs: Attrs, operands: &[Value]) -> Option<Value> {
        self.graph.set_origin([format!("node{}", self.graph.len())]);
        self.graph.add(op, attrs, operands).ok()
    }

    fn conv(&mut self) -> Option<Value> {
        let x = self.pick();
        let channels = self.shape(x)[1];
        let (out, size) = (self.random.int(1, 4), self.random.pick(&[1, 3], 1));
        let depthwise = self.random.one_in(4);
        let shape = if depthwise { [channels, 1, size, size] } else { [out, channels, size, size] };
        let w = self.constant(&shape);
        let pad = vec![if self.random.one_in(4) { 0 } else { size / 2 }; 2];
        let attrs = Attrs::new().with("strides", vec![1, 1]).with("dilations", vec![1, 1]).with("before", pad.clone());
        let attrs = attrs.with("after", pad).with("groups", if depthwise { channels } else { 1 }).with("channels_last", false);
        self.add(Op::Conv, attrs, &[x, w])
    }

    fn affine(&mut self) -> Option<Value> {
        let x = self.pick();
        let channels = self.shape(x)[1];
        let shape = if self.random.one_in(3) { [1, 1, 1, 1] } else { [1, channels, 1, 1] };
        let c = self.constant(&shape);
        let op = self.random.pick(&[Op::Add, Op::Mul, Op::Sub, Op::Mul], Op::Add);
        if self.random.one_in(4) { self.add(op, Attrs::new(), &[c, x]) } else { self.add(op, Attrs::new(), &[x, c]) }
    }

    fn unary(&mut self) -> Option<Value> {
        let x = self.pick();
        let op = self.random.pick(&[Op::Relu, Op::Sigmoid, Op::Neg, Op::Abs, Op::Tanh, Op::HardSwish], Op::Relu);
        self.add(op, Attrs::new(), &[x])
    }

    fn binary(&mut self) -> Option<Value> {
        let (x, y) = (self.pick(), self.pick());
        let op = self.random.pick(&[Op::Add, Op::Mul, Op::Sub, Op::Maximum], Op::Add);
        self.add(op, Attrs::new(), &[x, y])
    }

    fn concat(&mut self) -> Option<Value> {
        let (x, y) = (self.pick(), self.pick());
        self.add(Op::Concat, Attrs::new().with("axis", 1i64), &[x, y])
    }

    fn pool(&mut self) -> Option<Value> {
        let x = self.pick();
        let op = self.random.pick(&[Op::MaxPool, Op::AvgPool], Op::MaxPool);
        let attrs = Attrs::new().with("kernel", vec![3, 3]).with("strides", vec![1, 1]).with("dilations", vec![1, 1]);
        let attrs = attrs.with("before", vec![1, 1]).with("after", vec![1, 1]).with("channels_last", false);
        let attrs = if op == Op::AvgPool { attrs.with("count_include_pad", false) } else { attrs };
        self.add(op, attrs, &[x])
    }

    fn gate(&mut self) -> Option<Value> {
        let x = self.pick();
        let mean = self.add(Op::ReduceMean, Attrs::new().with("axes", vec![2, 3]), &[x])?;
        let gate = self.add(Op::Sigmoid, Attrs::new(), &[mean])?;
        self.add(Op::Mul, Attrs::new(), &[x, gate])
    }

    fn shuffle(&mut self) -> Option<Value> {
        let x = self.pick();
        let [n, c, h, w] = self.shape(x)[..] else { return None };
        let reshape = |dims: &[i64]| Attrs::new().with("dims", dims.iter().map(|dim| Dim::from(*dim)).collect::<Vec<_>>());
        let split = self.add(Op::Reshape, reshape(&[n, c / 2, 2, h, w]), &[x])?;
        let swapped = self.add(Op::Transpose, Attrs::new().with("perm", vec![0, 2, 1, 3, 4]), &[split])?;
        self.add(Op::Reshape, reshape(&[n, c, h, w]), &[swapped])
    }

    fn grow(&mut self) {
        let made = match self.random.int(0, 10) {
            0..=2 => self.conv(),
            3..=4 => self.affine(),
            5 => self.unary(),
            6 => self.binary(),
            7 => self.concat(),
            8 => self.pool(),
            9 => self.gate(),
            _ => self.shuffle(),
        };
        self.values.extend(made);
    }

    fn finish(mut self, nodes: usize) -> Graph {
        for _ in 0..nodes {
            self.grow();
        }
        let first = self.values[self.values.len() - 1];
        let second = self.pick();
        self.graph.output("a", first);
        self.graph.output("b", second);
        self.graph
    }
}

fn check(graph: &Graph, ctx: &Context, seed: u64) {
    let (optimized, _) = optimize(graph, ctx).expect("optimized");
    let inputs = random_inputs(graph, &mut Random::new(seed), false).expect("static shapes");
    let (before, after) = (evaluate(graph, &inputs).expect("values"), evaluate(&optimized, &inputs).expect("values"));
    let names = |graph: &Graph| graph.outputs().iter().map(|output| output.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(graph), names(&optimized));
    for (left, right) in before.iter().zip(&after) {
        assert!(agree(left, right, Tier::Reassociate), "seed {seed}\n{}\n{}", print(graph), print(&optimized));
    }
}

#[test]
fn random_networks_keep_their_results() {
    for seed in 0..120 {
        check(&Network::new(seed).finish(14), &Context::default(), seed);
    }
}

#[test]
fn random_networks_keep_their_results_exactly() {
    let ctx = Context { tier: Tier::Exact, ..Context::default() };
    for seed in 0..40 {
        check(&Network::new(seed).finish(14), &ctx, seed);
    }
}

#[test]
fn regions_keep_results() {
    let mut ctx = Context::default();
    ctx.limits.region_nodes = 6;
    for seed in 0..40 {
        check(&Network::new(seed).finish(30), &ctx, seed);
    }
}

#[test]
fn same_graph_same_result() {
    for seed in 0..10 {
        let graph = Network::new(seed).finish(25);
        let run = || print(&optimize(&graph, &Context::default()).expect("optimized").0);
        assert_eq!(run(), run());
    }
}

#[test]
fn norms_fold_into_convolutions() {
    let mut network = Network::new(1);
    let x = network.values[0];
    for _ in 0..3 {
        let conv = network.conv().expect("conv");
        let channels = network.shape(conv)[1];
        let (scale, shift) = (network.constant(&[1, channels, 1, 1]), network.constant(&[1, channels, 1, 1]));
        let scaled = network.add(Op::Mul, Attrs::new(), &[conv, scale]).expect("mul");
        let shifted = network.add(Op::Add, Attrs::new(), &[scaled, shift]).expect("add");
        let relu = network.add(Op::Relu, Attrs::new(), &[shifted]).expect("relu");
        network.values = vec![relu];
    }
    let graph = network.finish(0);
    let (optimized, _) = optimize(&graph, &Context::default()).expect("optimized");
    let count = |op: Op| optimized.topological().into_iter().filter(|value| optimized.op(*value) == op).count();
    assert_eq!((count(Op::Mul), count(Op::Conv), count(Op::Add)), (0, 3, 3), "{}", print(&optimized));
    assert!(count(Op::Transpose) <= 2 && graph.inputs() == [x]);
}

#[test]
fn inputs_outputs_and_constraints_stay() {
    let mut graph = Graph::new("shapes");
    let (n, m) = (Dim::symbol(&Symbol::dim("n")), Dim::symbol(&Symbol::dim("m")));
    let ty = |dims: Vec<Dim>| TensorType { dtype: DType::F32, dims };
    let x = graph.input("x", &ty(vec![n.clone(), 3.into()])).expect("input");
    graph.input("unused", &ty(vec![m.clone()])).expect("input");
    graph.require_equal(&n, &m, "the test").expect("possible");
    let one = graph.scalar(DType::F32, 1.0).expect("constant");
    let one = graph.add(Op::Reshape, Attrs::new().with("dims", vec![Dim::from(1), Dim::from(1)]), &[one]).expect("reshape");
    let same = graph.add(Op::Mul, Attrs::new(), &[x, one]).expect("mul");
    graph.output("y", same);
    let (optimized, _) = optimize(&graph, &Context::default()).expect("optimized");
    let names: Vec<&str> = optimized.inputs().iter().map(|input| optimized.node(*input).attrs.text("name")).collect();
    assert_eq!(names, ["x", "unused"]);
    assert_eq!(optimized.outputs()[0].value, optimized.inputs()[0]);
    assert!(optimized.constraints().eq(graph.constraints()));
}

#[test]
fn large_uniform_constants_are_not_expanded() {
    let mut graph = Graph::new("full");
    let dims: Vec<Dim> = vec![1000.into(), 1000.into()];
    let attrs = Attrs::new().with("value", Attr::float(2.0)).with("dtype", DType::F32).with("dims", dims);
    let full = graph.add(Op::Full, attrs, &[]).expect("full");
    let sum = graph.add(Op::ReduceSum, Attrs::new().with("axes", vec![0, 1]), &[full]).expect("sum");
    graph.output("full", full);
    graph.output("sum", sum);
    let mut folded = graph.clone();
    fold_constants(&mut folded, &Context::default()).expect("folded");
    assert_eq!(folded.op(folded.outputs()[0].value), Op::Full);
    let sum = folded.as_constant(folded.outputs()[1].value).map(|tensor| tensor.to_f64());
    assert_eq!(sum, Some(vec![2e6]));
}

#[test]
fn unsound_rules_are_named() {
    use crate::egraph::rule::{Left, Right, Rule};
    static WRONG: Rule = Rule {
        name: "wrong",
        tier: Tier::Exact,
        left: Left::Text(&["(reduce_sum ?a ?x)"]),
        guards: &[],
        right: Right::Text("?x"),
    };
    let mut graph = Graph::new("sum");
    let x = graph.input("x", &TensorType::new(DType::F32, [2, 3])).expect("input");
    let sum = graph.add(Op::ReduceSum, Attrs::new().with("axes", vec![1]), &[x]).expect("sum");
    graph.output("y", sum);
    let mut loaded = Loaded::new(&graph);
    let rule = CompiledRule::new(&WRONG).expect("rule text");
    let result = rewrite::run(&mut loaded.egraph, &[&rule], 3, 100);
    assert!(matches!(result, Err(PassError::UnsoundRule { rule, .. }) if rule == "wrong"));
}

#[test]
fn constants_are_shared() {
    let mut graph = Graph::new("share");
    let x = graph.input("x", &TensorType::new(DType::F32, [2])).expect("input");
    let two = |graph: &mut Graph| graph.constant(Tensor::f32(&[1], &[2.0]).expect("tensor")).expect("constant");
    let (a, b) = (two(&mut graph), two(&mut graph));
    let (left, right) =
        (graph.add(Op::Pow, Attrs::new(), &[x, a]).expect("pow"), graph.add(Op::Pow, Attrs::new(), &[x, b]).expect("pow"));
    let sum = graph.add(Op::Add, Attrs::new(), &[left, right]).expect("add");
    graph.output("y", sum);
    share_common(&mut graph, &Context::default()).expect("shared");
    assert_eq!(graph.len(), 4);
}
