//! The interpreter of [`Compute`] definitions.

use super::index::{Index, Slots, flat, holds};
use crate::compute::{Axis, Body, Compute, Reduction, Softmax, Step, StepId};
use crate::dim::Bindings;
use crate::number::{Number, int_range};
use crate::scalar::ReduceOp;
use crate::tensor::Tensor;
use crate::types::DType;

/// Evaluates a definition for the given inputs; `bindings` gives the values of model symbols. Sums of floats accumulate in
/// f64. `None` if the definition is ill-formed: it reads outside of an input, does not write each element of the output
/// exactly once, or mixes types.
pub fn eval_compute(compute: &Compute, inputs: &[&Tensor], bindings: &Bindings) -> Option<Tensor> {
    let fits = compute.inputs.iter().zip(inputs).all(|(ty, tensor)| ty.bind(bindings) == tensor.ty());
    if !fits || inputs.len() != compute.inputs.len() {
        return None;
    }
    let mut slots = Slots::default();
    let outer = Loops::new(&compute.axes, &mut slots, bindings)?;
    let coords = slots.compile_all(&compute.coords, bindings)?;
    let reduction = match &compute.reduction {
        Some(reduction) => Some(Folding::new(reduction, &mut slots, bindings)?),
        None => None,
    };
    let result = Program::new(&compute.result, &mut slots, bindings)?;
    let ty = compute.output.bind(bindings);
    let mut output = Tensor::zeros(ty.dtype, &ty.static_shape()?)?;
    let mut written = vec![false; output.len()];
    let mut machine = Machine { inputs, values: vec![0; slots.len()] };
    outer.run(&mut machine, &mut |machine| {
        let reduced = match &reduction {
            Some(folding) => Some(folding.fold(machine)?),
            None => None,
        };
        let value = result.run(machine, reduced)?;
        let at = flat(output.shape(), &coords, &|slot| machine.values[slot])?;
        if value.dtype() != ty.dtype || std::mem::replace(&mut written[at], true) {
            return None;
        }
        value.write(output.bytes_mut().get_mut(at * ty.dtype.size()..)?)
    })?;
    written.iter().all(|written| *written).then_some(output)
}

/// The state of an evaluation: the values of axes and dynamic symbols.
struct Machine<'a> {
    inputs: &'a [&'a Tensor],
    values: Vec<i64>,
}

/// Nested loops over axes.
struct Loops(Vec<(usize, i64)>);

impl Loops {
    fn new(axes: &[Axis], slots: &mut Slots, bindings: &Bindings) -> Option<Self> {
        axes.iter().map(|axis| Some((slots.declare(&axis.symbol), axis.extent.eval(bindings)?))).collect::<Option<_>>().map(Self)
    }

    /// Calls `visit` at each point.
    fn run(&self, machine: &mut Machine, visit: &mut dyn FnMut(&mut Machine) -> Option<()>) -> Option<()> {
        Self::nest(&self.0, machine, visit)
    }

    fn nest(loops: &[(usize, i64)], machine: &mut Machine, visit: &mut dyn FnMut(&mut Machine) -> Option<()>) -> Option<()> {
        let Some(((slot, extent), rest)) = loops.split_first() else { return visit(machine) };
        for value in 0..*extent {
            machine.values[*slot] = value;
            Self::nest(rest, machine, visit)?;
        }
        Some(())
    }
}

/// A compiled reduction.
struct Folding {
    op: ReduceOp,
    dtype: DType,
    loops: Loops,
    value: Program,
    weighting: Option<Weighting>,
}

impl Folding {
    fn new(reduction: &Reduction, slots: &mut Slots, bindings: &Bindings) -> Option<Self> {
        let loops = Loops::new(&reduction.axes, slots, bindings)?;
        let value = Program::new(&reduction.value, slots, bindings)?;
        let weighting = match &reduction.weight {
            Some(weight) => Some(Weighting::new(weight, slots, bindings)?),
            None => None,
        };
        Some(Self { op: reduction.op, dtype: reduction.dtype, loops, value, weighting })
    }

    fn fold(&self, machine: &mut Machine) -> Option<Number> {
        if let Some(weighting) = &self.weighting {
            return self.weighted(machine, weighting);
        }
        let wide = if self.dtype.is_float() { DType::F64 } else { self.dtype };
        let mut total = start(self.op, self.dtype).cast(wide);
        self.loops.run(machine, &mut |machine| {
            let value = self.value.run(machine, None).filter(|value| value.dtype() == self.dtype)?;
            total = total.binary(self.op.combine(), value.cast(wide))?;
            Some(())
        })?;
        Some(total.cast(self.dtype))
    }

    /// The sum of weighted values.
    fn weighted(&self, machine: &mut Machine, weighting: &Weighting) -> Option<Number> {
        if self.op != ReduceOp::Sum || self.dtype != DType::F32 {
            return None;
        }
        let mut scores = Vec::new();
        self.loops.run(machine, &mut |machine| {
            scores.push(weighting.score(machine)?);
            Some(())
        })?;
        let largest = scores.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        let (mut sum, mut total, mut scores) = (0.0, 0.0, scores.into_iter());
        self.loops.run(machine, &mut |machine| {
            let Some(score) = scores.next()? else { return Some(()) };
            let power = (score - largest).exp();
            sum += power * self.value.run(machine, None)?.as_f64();
            total += power;
            Some(())
        })?;
        Some(Number::float(self.dtype, sum / total))
    }
}

/// Compiled weights.
struct Weighting {
    loops: Loops,
    left: Program,
    right: Program,
    score: Program,
    valid: Vec<Index>,
}

impl Weighting {
    fn new(weight: &Softmax, slots: &mut Slots, bindings: &Bindings) -> Option<Self> {
        let loops = Loops::new(&weight.axes, slots, bindings)?;
        let mut compile = |body: &Body| Program::new(body, slots, bindings);
        let (left, right, score) = (compile(&weight.left)?, compile(&weight.right)?, compile(&weight.score)?);
        Some(Self { loops, left, right, score, valid: slots.compile_cond(&weight.valid, bindings)? })
    }

    /// The score at one point, if that takes part.
    fn score(&self, machine: &mut Machine) -> Option<Option<f64>> {
        if !holds(&self.valid, &|slot| machine.values[slot]) {
            return Some(None);
        }
        let mut total = 0.0;
        self.loops.run(machine, &mut |machine| {
            total += self.left.run(machine, None)?.as_f64() * self.right.run(machine, None)?.as_f64();
            Some(())
        })?;
        let score = self.score.run(machine, Some(Number::float(DType::F32, total)))?;
        Some(Some(score.as_f64()))
    }
}

/// The value of an empty reduction.
fn start(op: ReduceOp, dtype: DType) -> Number {
    let (low, high) = int_range(dtype);
    match op {
        ReduceOp::Sum => Number::int(dtype, 0),
        ReduceOp::Prod => Number::int(dtype, 1),
        ReduceOp::Max if dtype.is_float() => Number::Float(dtype, f64::NEG_INFINITY),
        ReduceOp::Min if dtype.is_float() => Number::Float(dtype, f64::INFINITY),
        ReduceOp::Max => Number::int(dtype, low),
        ReduceOp::Min => Number::int(dtype, high),
    }
}

/// A compiled body.
struct Program(Vec<Code>);

enum Code {
    Load { input: usize, coords: Vec<Index>, valid: Vec<Index>, otherwise: u64 },
    Index(Index, DType),
    Dynamic(usize, StepId),
    SelectIf(Vec<Index>, StepId, StepId),
    Plain(Step),
}

impl Program {
    fn new(body: &Body, slots: &mut Slots, bindings: &Bindings) -> Option<Self> {
        let compile = |step: &Step| {
            Some(match step {
                Step::Load { input, coords, valid, otherwise } => Code::Load {
                    input: *input as usize,
                    coords: slots.compile_all(coords, bindings)?,
                    valid: slots.compile_cond(valid, bindings)?,
                    otherwise: *otherwise,
                },
                Step::Index(dim, dtype) => Code::Index(slots.compile(dim, bindings)?, *dtype),
                Step::Dynamic(symbol, value) => Code::Dynamic(slots.declare(symbol), *value),
                Step::SelectIf(cond, x, y) => Code::SelectIf(slots.compile_cond(cond, bindings)?, *x, *y),
                other => Code::Plain(other.clone()),
            })
        };
        body.steps.iter().map(compile).collect::<Option<_>>().map(Self)
    }

    fn run(&self, machine: &mut Machine, reduced: Option<Number>) -> Option<Number> {
        let mut results: Vec<Number> = Vec::with_capacity(self.0.len());
        for code in &self.0 {
            let result = code.run(machine, &results, reduced)?;
            results.push(result);
        }
        results.pop()
    }
}

impl Code {
    fn run(&self, machine: &mut Machine, results: &[Number], reduced: Option<Number>) -> Option<Number> {
        let at = |id: &StepId| results.get(id.0 as usize).copied();
        match self {
            Self::Load { input, coords, valid, otherwise } => {
                let (tensor, slots) = (*machine.inputs.get(*input)?, |slot: usize| machine.values[slot]);
                if !holds(valid, &slots) {
                    return Some(Number::from_bits(tensor.dtype(), *otherwise));
                }
                tensor.element(flat(tensor.shape(), coords, &slots)?)
            }
            Self::Index(index, dtype) => Some(Number::int(*dtype, i128::from(index.eval(&|slot| machine.values[slot])))),
            Self::Dynamic(slot, value) => {
                let value = at(value)?;
                machine.values[*slot] = i64::try_from(value.as_i128()).ok()?;
                Some(value)
            }
            Self::SelectIf(cond, x, y) => {
                if holds(cond, &|slot| machine.values[slot]) {
                    at(x)
                } else {
                    at(y)
                }
            }
            Self::Plain(step) => plain(step, &at, reduced),
        }
    }
}

fn plain(step: &Step, at: &dyn Fn(&StepId) -> Option<Number>, reduced: Option<Number>) -> Option<Number> {
    match step {
        Step::Float(dtype, bits) => Some(Number::float(*dtype, f64::from_bits(*bits))),
        Step::Int(dtype, value) => Some(Number::int(*dtype, i128::from(*value))),
        Step::Unary(op, x) => at(x)?.unary(*op),
        Step::Binary(op, x, y) => at(x)?.binary(*op, at(y)?),
        Step::Select(test, x, y) => {
            let (test, x, y) = (at(test)?, at(x)?, at(y)?);
            (test.dtype() == DType::Bool && x.dtype() == y.dtype()).then(|| if test.is_true() { x } else { y })
        }
        Step::Cast(dtype, x) => Some(at(x)?.cast(*dtype)),
        Step::Bitcast(dtype, x) => at(x)?.bitcast(*dtype),
        Step::Dot4(x, y, total) => at(x)?.dot4(at(y)?, at(total)?),
        Step::Reduced => reduced,
        Step::Load { .. } | Step::Index(..) | Step::Dynamic(..) | Step::SelectIf(..) => None,
    }
}
