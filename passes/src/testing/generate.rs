//! Random graphs that a pattern matches.

use crate::egraph::pattern::{Arg, AttrTerm, Names, Term, parse_guard, parse_term};
use crate::egraph::rule::Rule;
use crate::egraph::site::{inverse, to_first};
use lostwax_ir::attrs::{Attr, Attrs};
use lostwax_ir::dim::Dim;
use lostwax_ir::graph::{Graph, Value};
use lostwax_ir::ops::{Class, Op, Sample};
use lostwax_ir::random::Random;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::{DType, TensorType};
use std::collections::HashMap;

/// Makes graphs whose output is an instance of a pattern.
pub(super) struct Generator<'a> {
    random: &'a mut Random,
    graph: Graph,
    values: HashMap<u32, Value>,
    attrs: HashMap<u32, Attrs>,
    guards: Vec<(String, Vec<Arg>)>,
    samples: HashMap<*const Term, Sample>,
}

fn constants(ty: &TensorType) -> Vec<i64> {
    ty.dims.iter().map(|dim| dim.as_constant().unwrap_or(1)).collect()
}

fn ty(dtype: DType, dims: &[i64]) -> TensorType {
    TensorType::new(dtype, dims.iter().copied())
}

/// Whether the operand types of an op do not follow from the type of its result.
fn is_sampled(op: Op) -> bool {
    matches!(op.def().class, Class::Window) || matches!(op, Op::Conv | Op::ConvTranspose | Op::Resize)
}

/// The sample without padding; the window of an average covers the whole image.
fn unpadded(op: Op, sample: Sample) -> Sample {
    if op == Op::Resize {
        return sample;
    }
    let zeros = vec![0; sample.attrs.ints("before").len()];
    let sample = sample.with("before", zeros.clone()).with("after", zeros.clone());
    if op != Op::AvgPool {
        return sample;
    }
    let first = if sample.attrs.flag("channels_last") { 1 } else { 2 };
    let kernel = constants(&sample.operands[0])[first..first + zeros.len()].to_vec();
    sample.with("kernel", kernel).with("dilations", vec![1; zeros.len()])
}

impl<'a> Generator<'a> {
    /// A graph whose output is an instance of the pattern; `None` if the attempt failed.
    pub(super) fn graph(rule: &Rule, text: &str, random: &'a mut Random) -> Option<Graph> {
        let mut names = Names::default();
        let term = parse_term(text, &mut names).ok()?;
        let guards = rule.guards.iter().map(|guard| parse_guard(guard, &mut names).ok()).collect::<Option<_>>()?;
        let graph = Graph::new("rule");
        let mut generator =
            Generator { random, graph, values: HashMap::new(), attrs: HashMap::new(), guards, samples: HashMap::new() };
        let wanted = generator.natural(&term)?;
        let output = generator.value(&term, &wanted)?;
        let mut graph = generator.graph;
        graph.output("out", output);
        Some(graph)
    }

    fn dtype(&mut self) -> DType {
        self.random.pick(&[DType::F32, DType::F32, DType::F32, DType::F64, DType::I32, DType::Bool], DType::F32)
    }

    fn size(&mut self) -> i64 {
        if self.random.one_in(3) { 1 } else { self.random.int(2, 4) }
    }

    fn any_type(&mut self) -> TensorType {
        let rank = self.random.pick(&[1, 2, 3, 4, 4, 5], 4);
        let dims: Vec<i64> = (0..rank).map(|_| self.size()).collect();
        ty(self.dtype(), &dims)
    }

    /// A type that the term can have.
    fn natural(&mut self, term: &Term) -> Option<TensorType> {
        let Term::Op(op, _, operands) = term else { return Some(self.any_type()) };
        if is_sampled(*op) {
            let sample = (op.def().sample)(self.random);
            let sample = if self.random.one_in(2) { sample } else { unpadded(*op, sample) };
            let types: Vec<&TensorType> = sample.operands.iter().collect();
            let result = op.infer(&types, &sample.attrs).ok();
            self.samples.insert(std::ptr::from_ref(term), sample);
            return result;
        }
        let below = operands.iter().find(|operand| matches!(operand, Term::Op(op, ..) if is_sampled(*op)));
        if op.def().class == Class::Elementwise
            && let Some(below) = below
        {
            return self.natural(below);
        }
        Some(self.any_type())
    }

    fn value(&mut self, term: &Term, wanted: &TensorType) -> Option<Value> {
        match term {
            Term::Var(number) => self.variable(*number, wanted),
            Term::Op(op, attrs, operands) => {
                let sample = match self.samples.remove(&std::ptr::from_ref(term)) {
                    Some(sample) => sample,
                    None => self.sample(*op, wanted, operands.len())?,
                };
                let attrs = self.attributes(attrs.as_ref(), sample.attrs)?;
                let values = operands.iter().zip(&sample.operands).map(|(operand, ty)| self.value(operand, ty));
                let values = values.collect::<Option<Vec<_>>>()?;
                let value = self.graph.add(*op, attrs, &values).ok()?;
                (self.graph.ty(value) == wanted).then_some(value)
            }
        }
    }

    fn attributes(&mut self, term: Option<&AttrTerm>, sampled: Attrs) -> Option<Attrs> {
        match term {
            None => Some(Attrs::new()),
            Some(AttrTerm::Literal(attrs)) => Some(attrs.as_ref().clone()),
            Some(AttrTerm::Var(number)) => {
                let gate =
                    self.guard("hard_swish_gate", *number).map(|_| Attrs::new().with("alpha", 1.0 / 6.0).with("beta", 0.5));
                Some(self.attrs.entry(*number).or_insert(gate.unwrap_or(sampled)).clone())
            }
            Some(AttrTerm::Call(..)) => None,
        }
    }

    fn guard(&self, name: &str, variable: u32) -> Option<Vec<Arg>> {
        let found = self.guards.iter().find(|(known, args)| known == name && args.first() == Some(&Arg::Var(variable)));
        found.map(|(_, args)| args[1..].to_vec())
    }

    fn variable(&mut self, number: u32, wanted: &TensorType) -> Option<Value> {
        if let Some(value) = self.values.get(&number) {
            return (self.graph.ty(*value) == wanted).then_some(*value);
        }
        let value = match self.constant(number, wanted) {
            Some(tensor) => self.graph.constant(tensor?).ok()?,
            None => self.graph.input(&format!("v{number}"), wanted).ok()?,
        };
        self.values.insert(number, value);
        Some(value)
    }

    /// The constant that the guards of a variable demand.
    fn constant(&mut self, number: u32, wanted: &TensorType) -> Option<Option<Tensor>> {
        if let Some(args) = self.guard("splat", number) {
            let choices: Vec<f64> =
                args.iter().filter_map(|arg| if let Arg::Number(value) = arg { Some(*value) } else { None }).collect();
            let value = self.random.pick(&choices, 0.0);
            return Some(self.filled(wanted, value));
        }
        if let Some(args) = self.guard("count_of", number) {
            return Some(self.inverse_count(&args).and_then(|value| self.filled(wanted, value)));
        }
        if self.guard("slope", number).is_some() {
            return Some(self.filled(wanted, 0.25));
        }
        if self.guard("uniform", number).is_some() {
            let value = self.random.int(-3, 3) as f64;
            return Some(self.filled(wanted, value));
        }
        self.guard("const", number).map(|_| self.random.tensor(wanted))
    }

    fn filled(&mut self, wanted: &TensorType, value: f64) -> Option<Tensor> {
        let mut shape = wanted.static_shape()?;
        if self.random.one_in(2) {
            shape.fill(1);
        }
        Tensor::from_f64(wanted.dtype, &shape, &vec![value; shape.iter().product()])
    }

    fn inverse_count(&self, args: &[Arg]) -> Option<f64> {
        let [Arg::Var(attrs), Arg::Var(x)] = args else { return None };
        let dims = constants(self.graph.ty(*self.values.get(x)?));
        let count: i64 = self.attrs.get(attrs)?.ints("axes").iter().map(|axis| dims[*axis as usize]).product();
        Some(1.0 / count as f64)
    }

    /// Operand types and attributes for which an op makes the wanted type.
    fn sample(&mut self, op: Op, wanted: &TensorType, count: usize) -> Option<Sample> {
        match op.def().class {
            Class::Elementwise => Some(self.elementwise(op, wanted, count)),
            Class::Reduce => self.reduce(wanted),
            Class::Concatenation => self.concat(wanted, count),
            _ => self.other(op, wanted),
        }
    }

    fn elementwise(&mut self, op: Op, wanted: &TensorType, count: usize) -> Sample {
        let mut sample = (op.def().sample)(self.random);
        let source = match op {
            Op::Cast => self.dtype(),
            Op::Equal | Op::Less | Op::LessEqual | Op::IsNan => DType::F32,
            _ => wanted.dtype,
        };
        if op == Op::Cast {
            sample.attrs = Attrs::new().with("dtype", wanted.dtype);
        }
        sample.operands = (0..count).map(|position| self.narrowed(source, wanted, position > 0)).collect();
        if op == Op::Where {
            sample.operands[0].dtype = DType::Bool;
        }
        sample
    }

    /// The wanted dims, some of them 1 if `narrow`.
    fn narrowed(&mut self, dtype: DType, wanted: &TensorType, narrow: bool) -> TensorType {
        let mut dims = constants(wanted);
        if narrow && self.random.one_in(2) {
            let kept = self.random.size(0, dims.len());
            dims.iter_mut().enumerate().for_each(|(axis, dim)| {
                if axis != kept {
                    *dim = 1;
                }
            });
        }
        ty(dtype, &dims)
    }

    fn reduce(&mut self, wanted: &TensorType) -> Option<Sample> {
        let mut dims = constants(wanted);
        let mut axes = Vec::new();
        for (axis, dim) in dims.iter_mut().enumerate() {
            if *dim == 1 && self.random.one_in(2) {
                *dim = if self.random.one_in(2) { 1 } else { self.random.int(1, 4) };
                axes.push(axis as i64);
            }
        }
        axes.first()?;
        Some(Sample { operands: vec![ty(wanted.dtype, &dims)], attrs: Attrs::new().with("axes", axes) })
    }

    fn concat(&mut self, wanted: &TensorType, count: usize) -> Option<Sample> {
        let dims = constants(wanted);
        let axis = self.random.size(0, dims.len() - 1);
        let mut rest = dims[axis];
        let mut operands = Vec::new();
        for position in 0..count as i64 {
            let part = if position + 1 == count as i64 { rest } else { self.random.int(1, (rest - 1).max(1)) };
            rest -= part;
            let mut part_dims = dims.clone();
            part_dims[axis] = part;
            operands.push(ty(wanted.dtype, &part_dims));
        }
        (rest == 0).then(|| Sample { operands, attrs: Attrs::new().with("axis", axis as i64) })
    }

    fn other(&mut self, op: Op, wanted: &TensorType) -> Option<Sample> {
        let dims = constants(wanted);
        match op {
            Op::Transpose => Some(self.transpose(wanted, &dims)),
            Op::Reshape => Some(self.reshape(wanted, &dims)),
            Op::Broadcast => {
                let x = self.narrowed(wanted.dtype, wanted, true);
                Some(Sample { operands: vec![x], attrs: Attrs::new().with("dims", wanted.dims.clone()) })
            }
            Op::Slice => Some(self.slice(wanted, &dims)),
            Op::Pad => self.pad(wanted, &dims),
            Op::Cumsum => {
                let axis = self.random.int(0, dims.len() as i64 - 1);
                let attrs = Attrs::new()
                    .with("axis", axis)
                    .with("exclusive", self.random.one_in(2))
                    .with("reverse", self.random.one_in(2));
                Some(Sample { operands: vec![wanted.clone()], attrs })
            }
            Op::Gather => {
                let axis = self.random.size(0, dims.len() - 1);
                let mut source = dims.clone();
                source[axis] = 10;
                let operands = vec![ty(wanted.dtype, &source), ty(DType::I32, &[dims[axis]])];
                Some(Sample { operands, attrs: Attrs::new().with("axis", axis as i64) })
            }
            Op::MatMul => self.matmul(wanted, &dims),
            _ => None,
        }
    }

    fn transpose(&mut self, wanted: &TensorType, dims: &[i64]) -> Sample {
        let mut perm: Vec<i64> = (0..dims.len() as i64).collect();
        match self.random.int(0, 3) {
            0 => (),
            1 if dims.len() > 2 => perm = to_first(dims.len()),
            2 if dims.len() == 5 => perm = vec![0, 3, 4, 1, 2],
            _ => (1..perm.len()).for_each(|i| perm.swap(i, self.random.size(0, i))),
        }
        let source: Vec<i64> = inverse(&perm).iter().map(|axis| dims[*axis as usize]).collect();
        Sample { operands: vec![ty(wanted.dtype, &source)], attrs: Attrs::new().with("perm", perm) }
    }

    fn reshape(&mut self, wanted: &TensorType, dims: &[i64]) -> Sample {
        let mut source = dims.to_vec();
        match self.random.int(0, 4) {
            0 => source = vec![dims.iter().product()],
            1 => source.insert(self.random.size(0, dims.len()), 1),
            2 if dims.len() > 1 => {
                let axis = self.random.size(0, dims.len() - 2);
                let joined = source.remove(axis);
                source[axis] *= joined;
            }
            3 => {
                let axis = self.random.size(0, dims.len() - 1);
                if source[axis] == 4 {
                    source[axis] = 2;
                    source.insert(axis, 2);
                }
            }
            _ => (),
        }
        Sample { operands: vec![ty(wanted.dtype, &source)], attrs: Attrs::new().with("dims", wanted.dims.clone()) }
    }

    fn slice(&mut self, wanted: &TensorType, dims: &[i64]) -> Sample {
        let (mut starts, mut steps, mut source) = (Vec::new(), Vec::new(), Vec::new());
        let whole = self.random.one_in(3);
        for size in dims {
            let step: i64 = if whole || self.random.one_in(2) { 1 } else { self.random.pick(&[1, 2, -1, -2], 1) };
            let (before, after) = if whole { (0, 0) } else { (self.random.int(0, 2), self.random.int(0, 2)) };
            let span = (size - 1) * step.abs();
            starts.push(Dim::constant(if step > 0 { before } else { before + span }));
            steps.push(step);
            source.push(before + span + 1 + after);
        }
        let attrs = Attrs::new().with("starts", starts).with("sizes", wanted.dims.clone()).with("steps", steps);
        Sample { operands: vec![ty(wanted.dtype, &source)], attrs }
    }

    fn pad(&mut self, wanted: &TensorType, dims: &[i64]) -> Option<Sample> {
        let (mut before, mut after, mut source) = (Vec::new(), Vec::new(), Vec::new());
        let none = self.random.one_in(3);
        for (axis, size) in dims.iter().enumerate() {
            let inner = axis > 1 || self.random.one_in(3);
            let high = if none || !inner { 0 } else { self.random.int(0, 1) };
            let (a, b) = (self.random.int(0, high), self.random.int(0, high));
            before.push(Dim::constant(a));
            after.push(Dim::constant(b));
            source.push(size - a - b);
        }
        let mode = self.random.pick(&["constant", "constant", "constant", "edge"], "constant");
        let attrs = Attrs::new().with("before", before).with("after", after).with("mode", mode);
        let attrs = attrs.with("value", Attr::float(0.0));
        source.iter().all(|size| *size > 0).then(|| Sample { operands: vec![ty(wanted.dtype, &source)], attrs })
    }

    fn matmul(&mut self, wanted: &TensorType, dims: &[i64]) -> Option<Sample> {
        let (row, column) = (dims.len().checked_sub(2)?, dims.len() - 1);
        let depth = self.size();
        let (mut left, mut right) = (dims.to_vec(), dims.to_vec());
        (left[column], right[row]) = (depth, depth);
        if self.random.one_in(2) {
            right[..row].fill(1);
        }
        Some(Sample { operands: vec![ty(wanted.dtype, &left), ty(wanted.dtype, &right)], attrs: Attrs::new() })
    }
}
