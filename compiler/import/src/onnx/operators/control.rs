//! Control flow: decided at import where possible; otherwise both branches are computed.

use super::{Importer, Node, Operator, Results};
use crate::onnx::known::Known;
use crate::onnx::node::axis;
use crate::onnx::node_error::{NodeResult, invalid, limit, unsupported};
use crate::onnx::operand::Operand;
use lostwax_ir::dim::Dim;
use lostwax_ir::types::DType;
use onnx_protobuf::GraphProto;

pub(super) const OPERATORS: &[Operator] =
    &[Operator::standard("If", branch), Operator::standard("Loop", repeat), Operator::standard("Scan", scan)];

/// The largest number of steps that is unrolled.
const MAX_STEPS: i64 = 512;
/// The largest graph that loops may grow.
const MAX_NODES: usize = 1 << 18;

fn branch(cx: &mut Importer, node: &Node) -> Results {
    let condition = node.input(0)?;
    match condition.integers().as_deref() {
        Some([0]) => cx.inline(node.graph("else_branch")?, &[]),
        Some([_]) => cx.inline(node.graph("then_branch")?, &[]),
        _ => both(cx, node, condition),
    }
}

/// Computes both branches, whose results must agree in type, and chooses.
fn both(cx: &mut Importer, node: &Node, condition: &Operand) -> Results {
    let then = cx.inline(node.graph("then_branch")?, &[])?;
    let other = cx.inline(node.graph("else_branch")?, &[])?;
    if then.len() != other.len() {
        return invalid("the branches differ in the number of results");
    }
    let condition = cx.reshape(condition, &[])?;
    then.iter().zip(&other).map(|(then, other)| choose(cx, &condition, then, other)).collect()
}

fn choose(cx: &mut Importer, condition: &Operand, then: &Operand, other: &Operand) -> NodeResult<Operand> {
    if let Some(blocked) = [then, other].into_iter().find(|item| cx.is_blocked(item)) {
        return Ok(blocked.clone());
    }
    let (left, right) = (cx.ty(then), cx.ty(other));
    if left.dtype != right.dtype || left.rank() != right.rank() {
        return unsupported(format!(
            "the condition depends on the data and the branches give {left} and {right}; make the input that decides a \
             constant with --constant, fix shapes with --shape, or export the model without the choice"
        ));
    }
    let other = cx.assert_dims(other, &left.dims)?;
    cx.select(condition, then, &other)
}

/// The results of a loop while it is unrolled.
struct Unrolled {
    carried: Vec<Operand>,
    /// The results of each step that are put together, by result.
    collected: Vec<Vec<Operand>>,
}

impl Unrolled {
    fn new(carried: Vec<Operand>, body: &GraphProto, leading: usize) -> NodeResult<Self> {
        match body.output.len().checked_sub(leading + carried.len()) {
            Some(count) => Ok(Self { carried, collected: vec![Vec::new(); count] }),
            None => invalid(format!("the body gives {} results for {} carried values", body.output.len(), carried.len())),
        }
    }

    /// Takes over the results of one step; what comes before carried values is left out.
    fn push(&mut self, results: &[Operand]) {
        let (carried, scanned) = results.split_at(self.carried.len());
        self.carried = carried.to_vec();
        self.collected.iter_mut().zip(scanned).for_each(|(all, item)| all.push(item.clone()));
    }
}

fn check_growth(cx: &Importer) -> NodeResult<()> {
    if cx.graph.len() > MAX_NODES { limit(format!("more than {MAX_NODES} nodes after loops are unrolled")) } else { Ok(()) }
}

/// Whether a condition holds, if that is known at import.
fn decided(condition: Option<&Operand>) -> NodeResult<bool> {
    match condition.map(Operand::integers) {
        None => Ok(true),
        Some(Some(values)) => Ok(values != [0]),
        Some(None) => unsupported("a loop whose condition depends on the data is not supported; export the model without it"),
    }
}

fn repeat(cx: &mut Importer, node: &Node) -> Results {
    let body = node.graph("body")?;
    let count = match node.optional(0)? {
        None => i64::MAX,
        Some(count) => match count.integers().as_deref() {
            Some([count]) => *count,
            _ => return unsupported("a loop whose number of steps depends on the data or a dynamic size is not supported"),
        },
    };
    let mut runs = decided(node.optional(1)?)?;
    let mut loop_ = Unrolled::new(node.all_from(2)?, body, 1)?;
    let mut step = 0;
    while runs && step < count {
        if step == MAX_STEPS {
            return limit(format!("a loop of more than {MAX_STEPS} steps"));
        }
        check_growth(cx)?;
        let number: Operand = Known::scalar(DType::I64, Dim::constant(step)).into();
        let truth: Operand = Known::scalar(DType::Bool, Dim::constant(1)).into();
        let results = cx.inline(body, &[&[number, truth], &loop_.carried[..]].concat())?;
        if let Some(blocked) = results.iter().find(|item| cx.is_blocked(item)) {
            return Ok(vec![blocked.clone(); node.proto.output.len()]);
        }
        runs = decided(results.first())?;
        loop_.push(&results[1..]);
        step += 1;
    }
    finish(cx, loop_, &[])
}

/// The carried values and the collected ones, joined along the given axes or the first one.
fn finish(cx: &mut Importer, unrolled: Unrolled, axes: &[i64]) -> Results {
    let mut results = unrolled.carried;
    for (position, items) in unrolled.collected.iter().enumerate() {
        let Some(first) = items.first() else {
            return unsupported("a loop without steps that collects results is not supported");
        };
        let at = axis(axes.get(position).copied().unwrap_or(0), cx.rank(first) + 1)?;
        results.push(cx.stack(items, at)?);
    }
    Ok(results)
}

fn scan(cx: &mut Importer, node: &Node) -> Results {
    const WITHOUT_BATCH_SINCE: i64 = 9;
    if node.opset < WITHOUT_BATCH_SINCE {
        return unsupported(format!("Scan before opset {WITHOUT_BATCH_SINCE} is not supported"));
    }
    let (body, items) = (node.graph("body")?, node.all_from(0)?);
    let scanned = usize::try_from(node.int("num_scan_inputs", 0)).ok().and_then(|count| items.len().checked_sub(count));
    let Some((start, sequences)) = scanned.map(|at| items.split_at(at)) else { return invalid("`num_scan_inputs`") };
    let axes = node.ints("scan_input_axes").unwrap_or(vec![0; sequences.len()]);
    let reversed = node.ints("scan_input_directions").unwrap_or(vec![0; sequences.len()]);
    if axes.len() != sequences.len() || reversed.len() != sequences.len() {
        return invalid("axes or directions for another number of inputs");
    }
    let axes = axes.iter().zip(sequences).map(|(at, x)| axis(*at, cx.rank(x))).collect::<NodeResult<Vec<usize>>>()?;
    let lengths: Vec<Dim> = sequences.iter().zip(&axes).map(|(x, axis)| cx.dims(x)[*axis].clone()).collect();
    let Some(steps) = lengths.first().and_then(Dim::as_constant) else {
        return unsupported(format!("a scan over {lengths:?} elements; fix the length with --shape"));
    };
    if steps > MAX_STEPS {
        return limit(format!("a scan of {steps} steps; at most {MAX_STEPS} are unrolled"));
    }
    let mut unrolled = Unrolled::new(start.to_vec(), body, 0)?;
    for step in 0..steps {
        check_growth(cx)?;
        let mut operands = unrolled.carried.clone();
        for ((x, axis), reversed) in sequences.iter().zip(&axes).zip(&reversed) {
            operands.push(cx.take(x, *axis, if *reversed == 0 { step } else { steps - 1 - step })?);
        }
        let results = cx.inline(body, &operands)?;
        if let Some(blocked) = results.iter().find(|item| cx.is_blocked(item)) {
            return Ok(vec![blocked.clone(); node.proto.output.len()]);
        }
        unrolled.push(&results);
    }
    let backwards = node.ints("scan_output_directions").unwrap_or_default();
    for (items, _) in unrolled.collected.iter_mut().zip(&backwards).filter(|(_, direction)| **direction != 0) {
        items.reverse();
    }
    finish(cx, unrolled, &node.ints("scan_output_axes").unwrap_or_default())
}
