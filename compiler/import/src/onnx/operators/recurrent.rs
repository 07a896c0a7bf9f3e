//! Recurrent layers, unrolled step by step.

use super::{Importer, Node, Operator, Results};
use crate::onnx::movement::AxisSlice;
use crate::onnx::node_error::{NodeResult, invalid, limit, unsupported};
use crate::onnx::operand::Operand;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("GRU", |cx, node| recurrent(cx, node, &GRU)),
    Operator::standard("LSTM", |cx, node| recurrent(cx, node, &LSTM)),
    Operator::standard("RNN", |cx, node| recurrent(cx, node, &RNN)),
];

/// The longest sequence that is unrolled.
const MAX_STEPS: i64 = 512;

/// A kind of recurrent layer.
struct Kind {
    /// Matrices side by side in the weights.
    gates: i64,
    /// The functions that are used unless the node names others.
    functions: &'static [&'static str],
    step: fn(&mut Importer, &Direction, &Operand, &State) -> NodeResult<State>,
}

const RNN: Kind = Kind { gates: 1, functions: &["Tanh"], step: rnn_step };
const GRU: Kind = Kind { gates: 3, functions: &["Sigmoid", "Tanh"], step: gru_step };
const LSTM: Kind = Kind { gates: 4, functions: &["Sigmoid", "Tanh", "Tanh"], step: lstm_step };

const FUNCTIONS: &[(&str, Op)] =
    &[("relu", Op::Relu), ("sigmoid", Op::Sigmoid), ("softplus", Op::Softplus), ("softsign", Op::Softsign), ("tanh", Op::Tanh)];

/// What is handed on from step to step.
#[derive(Clone)]
struct State {
    /// The output, [batch, hidden].
    hidden: Operand,
    /// The memory of an LSTM, [batch, hidden].
    memory: Option<Operand>,
}

/// The parameters of one direction.
struct Direction {
    size: i64,
    reverse: bool,
    functions: Vec<Op>,
    /// The recurrent weights, [hidden, gates * hidden].
    weights: Operand,
    /// The bias of the recurrent part, [gates * hidden].
    bias: Option<Operand>,
    /// Weights from memory to gates, [3 * hidden].
    peepholes: Option<Operand>,
    linear_before_reset: bool,
    input_forget: bool,
    /// For each step what the input adds to the gates, [steps, batch, gates * hidden].
    inputs: Operand,
    start: State,
}

impl Direction {
    fn part(&self, cx: &mut Importer, x: &Operand, gate: i64) -> NodeResult<Operand> {
        let last = cx.rank(x) - 1;
        cx.slice_axis(x, last, AxisSlice::new(gate * self.size, self.size))
    }

    fn apply(&self, cx: &mut Importer, function: usize, x: &Operand) -> NodeResult<Operand> {
        cx.unary(self.functions[function], x)
    }

    /// `hidden * weights + bias`.
    fn recurrent(&self, cx: &mut Importer, hidden: &Operand) -> NodeResult<Operand> {
        let product = cx.matmul(hidden, &self.weights)?;
        add_optional(cx, &product, self.bias.as_ref())
    }

    /// Adds what an LSTM's memory contributes to a gate.
    fn peep(&self, cx: &mut Importer, gate: &Operand, position: i64, memory: &Operand) -> NodeResult<Operand> {
        let Some(peepholes) = &self.peepholes else { return Ok(gate.clone()) };
        let weights = self.part(cx, peepholes, position)?;
        let seen = cx.mul(memory, &weights)?;
        cx.add(gate, &seen)
    }
}

fn add_optional(cx: &mut Importer, x: &Operand, y: Option<&Operand>) -> NodeResult<Operand> {
    y.map_or(Ok(x.clone()), |y| cx.add(x, y))
}

fn rnn_step(cx: &mut Importer, direction: &Direction, x: &Operand, state: &State) -> NodeResult<State> {
    let recurrent = direction.recurrent(cx, &state.hidden)?;
    let sum = cx.add(x, &recurrent)?;
    Ok(State { hidden: direction.apply(cx, 0, &sum)?, memory: None })
}

fn gru_step(cx: &mut Importer, direction: &Direction, x: &Operand, state: &State) -> NodeResult<State> {
    let recurrent = direction.recurrent(cx, &state.hidden)?;
    let mut gates = Vec::new();
    for gate in 0..2 {
        let (own, old) = (direction.part(cx, x, gate)?, direction.part(cx, &recurrent, gate)?);
        let sum = cx.add(&own, &old)?;
        gates.push(direction.apply(cx, 0, &sum)?);
    }
    let [update, reset] = gates.as_slice() else { return invalid("two gates are expected") };
    let old = if direction.linear_before_reset {
        let old = direction.part(cx, &recurrent, 2)?;
        cx.mul(reset, &old)?
    } else {
        let hidden = cx.mul(reset, &state.hidden)?;
        let old = direction.recurrent(cx, &hidden)?;
        direction.part(cx, &old, 2)?
    };
    let own = direction.part(cx, x, 2)?;
    let candidate = cx.add(&own, &old)?;
    let candidate = direction.apply(cx, 1, &candidate)?;
    let change = cx.sub(&state.hidden, &candidate)?;
    let kept = cx.mul(update, &change)?;
    Ok(State { hidden: cx.add(&candidate, &kept)?, memory: None })
}

fn lstm_step(cx: &mut Importer, direction: &Direction, x: &Operand, state: &State) -> NodeResult<State> {
    let Some(memory) = &state.memory else { return invalid("the memory is missing") };
    let recurrent = direction.recurrent(cx, &state.hidden)?;
    let sums = cx.add(x, &recurrent)?;
    let gate = |cx: &mut Importer, position: i64, hole: i64, memory: &Operand| {
        let sum = direction.part(cx, &sums, position)?;
        let sum = direction.peep(cx, &sum, hole, memory)?;
        direction.apply(cx, 0, &sum)
    };
    let input = gate(cx, 0, 0, memory)?;
    let forget = if direction.input_forget { cx.scalar_with(Op::Sub, 1.0, &input)? } else { gate(cx, 2, 2, memory)? };
    let candidate = direction.part(cx, &sums, 3)?;
    let candidate = direction.apply(cx, 1, &candidate)?;
    let (kept, added) = (cx.mul(&forget, memory)?, cx.mul(&input, &candidate)?);
    let memory = cx.add(&kept, &added)?;
    let output = gate(cx, 1, 1, &memory)?;
    let visible = direction.apply(cx, 2, &memory)?;
    Ok(State { hidden: cx.mul(&output, &visible)?, memory: Some(memory) })
}

/// What all directions of a node share.
struct Layer<'a> {
    kind: &'a Kind,
    /// The input, [steps, batch, features].
    x: Operand,
    steps: i64,
    size: i64,
    batch_first: bool,
    /// The number of steps of each sequence, [batch, 1], where they differ.
    lengths: Option<Operand>,
}

impl<'a> Layer<'a> {
    fn new(cx: &mut Importer, node: &Node, kind: &'a Kind) -> NodeResult<Self> {
        let batch_first = node.flag("layout", false);
        let x = if batch_first { cx.transpose(node.input(0)?, &[1, 0, 2])? } else { node.input(0)?.clone() };
        let weights = cx.static_sizes(node.input(2)?, "the weights of a recurrent layer")?;
        let (dims, [_, _, size]) = (cx.dims(&x), weights.as_slice()) else {
            return invalid(format!("recurrent weights of shape {weights:?}; three axes are expected"));
        };
        if dims.len() != 3 {
            return invalid(format!("an input of rank {}; three axes are expected", dims.len()));
        }
        let Some(steps) = dims[0].as_constant() else {
            return unsupported(format!("a sequence of dynamic length {}; fix it with --shape", dims[0]));
        };
        if steps > MAX_STEPS {
            return limit(format!(
                "a sequence of {steps} steps; at most {MAX_STEPS} are unrolled, fix a shorter one with --shape"
            ));
        }
        let lengths = match node.optional(4)? {
            Some(lengths) => Some(cx.reshape(lengths, &[dims[1].clone(), 1.into()])?),
            None => None,
        };
        Ok(Self { kind, x, steps, size: *size, batch_first, lengths })
    }

    /// The state before the first step, [batch, hidden].
    fn start(&self, cx: &mut Importer, given: Option<&Operand>, direction: i64) -> NodeResult<Operand> {
        let Some(given) = given else {
            return cx.full(cx.dtype(&self.x), &[cx.dims(&self.x)[1].clone(), self.size.into()], 0.0);
        };
        cx.take(given, usize::from(self.batch_first), direction)
    }

    fn direction(&self, cx: &mut Importer, node: &Node, position: i64, functions: &[String]) -> NodeResult<Direction> {
        let width = Dim::constant(self.kind.gates * self.size);
        let of = |cx: &mut Importer, operand: usize| -> NodeResult<Option<Operand>> {
            node.optional(operand)?.map(|item| cx.take(item, 0, position)).transpose()
        };
        let weights = |cx: &mut Importer, operand: usize| {
            let item = cx.take(node.input(operand)?, 0, position)?;
            cx.transpose(&item, &[1, 0])
        };
        let (own, recurrent) = (weights(cx, 1)?, weights(cx, 2)?);
        let biases = of(cx, 3)?;
        let bias = |cx: &mut Importer, half: i64| -> NodeResult<Option<Operand>> {
            let part = |item| cx.slice_axis(item, 0, AxisSlice::new(width.clone() * half.into(), width.clone()));
            biases.as_ref().map(part).transpose()
        };
        let (own_bias, bias) = (bias(cx, 0)?, bias(cx, 1)?);
        let inputs = cx.matmul(&self.x, &own)?;
        let memory = if self.kind.gates == LSTM.gates { Some(self.start(cx, node.optional(6)?, position)?) } else { None };
        Ok(Direction {
            size: self.size,
            reverse: position == 1 || node.text("direction", "forward") == "reverse",
            functions: functions.iter().map(|name| function(name)).collect::<NodeResult<_>>()?,
            weights: recurrent,
            bias,
            peepholes: if memory.is_some() { of(cx, 7)? } else { None },
            linear_before_reset: node.flag("linear_before_reset", false),
            input_forget: node.flag("input_forget", false),
            inputs: add_optional(cx, &inputs, own_bias.as_ref())?,
            start: State { hidden: self.start(cx, node.optional(5)?, position)?, memory },
        })
    }

    /// The results of all steps in order of time, and the last state.
    fn run(&self, cx: &mut Importer, direction: &Direction) -> NodeResult<(Vec<Operand>, State)> {
        let mut state = direction.start.clone();
        let mut results = Vec::new();
        for i in 0..self.steps {
            let step = if direction.reverse { self.steps - 1 - i } else { i };
            let x = cx.take(&direction.inputs, 0, step)?;
            let next = (self.kind.step)(cx, direction, &x, &state)?;
            let (result, next) = self.masked(cx, step, next, &state)?;
            results.push(result);
            state = next;
        }
        if direction.reverse {
            results.reverse();
        }
        Ok((results, state))
    }

    /// Result and state of a step, where sequences that are over keep their state and give 0.
    fn masked(&self, cx: &mut Importer, step: i64, next: State, old: &State) -> NodeResult<(Operand, State)> {
        let Some(lengths) = &self.lengths else { return Ok((next.hidden.clone(), next)) };
        let runs = cx.scalar_with(Op::Less, step as f64, lengths)?;
        let zero = cx.scalar_like(&next.hidden, 0.0)?;
        let result = cx.select(&runs, &next.hidden, &zero)?;
        let hidden = cx.select(&runs, &next.hidden, &old.hidden)?;
        let memory = match (&next.memory, &old.memory) {
            (Some(next), Some(old)) => Some(cx.select(&runs, next, old)?),
            (next, _) => next.clone(),
        };
        Ok((result, State { hidden, memory }))
    }
}

fn function(name: &str) -> NodeResult<Op> {
    match FUNCTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        Some((_, op)) => Ok(*op),
        None => unsupported(format!("the activation `{name}` is not supported in recurrent layers")),
    }
}

/// The names of the functions of each direction.
fn functions(node: &Node, kind: &Kind, directions: usize) -> NodeResult<Vec<Vec<String>>> {
    let defaults = || kind.functions.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let given = node.texts("activations").filter(|names| !names.is_empty());
    let Some(given) = given else { return Ok(vec![defaults(); directions]) };
    if given.len() != directions * kind.functions.len() {
        return invalid(format!(
            "{given:?} name {} activations, {directions} times {:?} are expected",
            given.len(),
            kind.functions
        ));
    }
    Ok(given.chunks(kind.functions.len()).map(<[String]>::to_vec).collect())
}

fn recurrent(cx: &mut Importer, node: &Node, kind: &Kind) -> Results {
    if node.has("clip") {
        return unsupported("clipping inside of recurrent layers is not supported");
    }
    let layer = Layer::new(cx, node, kind)?;
    let count = if node.text("direction", "forward") == "bidirectional" { 2 } else { 1 };
    let functions = functions(node, kind, count)?;
    let (mut steps, mut states) = (vec![Vec::new(); layer.steps as usize], Vec::new());
    for (position, functions) in functions.iter().enumerate() {
        let direction = layer.direction(cx, node, position as i64, functions)?;
        let (results, state) = layer.run(cx, &direction)?;
        steps.iter_mut().zip(results).for_each(|(step, result)| step.push(result));
        states.push(state);
    }
    results(cx, node, &layer, &steps, states)
}

fn results(cx: &mut Importer, node: &Node, layer: &Layer, steps: &[Vec<Operand>], states: Vec<State>) -> Results {
    let (time, directions) = if layer.batch_first { (1, 1) } else { (0, 0) };
    let mut results = Vec::new();
    if node.has_output(0) {
        let axis = if layer.batch_first { 1 } else { 0 };
        let steps = steps.iter().map(|step| cx.stack(step, axis)).collect::<NodeResult<Vec<Operand>>>()?;
        results.push(cx.stack(&steps, time)?);
    } else {
        results.push(Operand::absent("the output of all steps was not asked for"));
    }
    let hidden: Vec<Operand> = states.iter().map(|state| state.hidden.clone()).collect();
    results.push(cx.stack(&hidden, directions)?);
    let memory: Vec<Operand> = states.into_iter().filter_map(|state| state.memory).collect();
    if !memory.is_empty() {
        results.push(cx.stack(&memory, directions)?);
    }
    Ok(results)
}
