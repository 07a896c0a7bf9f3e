//! The interpreter of tensor graphs.

use super::{EvalError, fault};
use crate::attrs::Attrs;
use crate::dim::{Bindings, Dim, Symbol};
use crate::graph::{Graph, Value};
use crate::ops::Op;
use crate::tensor::Tensor;
use crate::types::TensorType;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is told how many operations of how many are done.
pub type ProgressFn<'a> = &'a mut dyn FnMut(usize, usize);

/// Evaluates a graph for the given inputs and gives its outputs by name.
///
/// # Errors
/// [`EvalError`] when inputs are missing or do not fit, a constraint does not hold, or an operation has no value.
pub fn eval_graph(graph: &Graph, inputs: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, EvalError> {
    eval_graph_with(graph, inputs, &Bindings::new())
}

/// As [`eval_graph`], with the values of symbols that no input determines. States are inputs.
///
/// # Errors
/// As [`eval_graph`].
pub fn eval_graph_with(
    graph: &Graph,
    inputs: &BTreeMap<String, Tensor>,
    given: &Bindings,
) -> Result<BTreeMap<String, Tensor>, EvalError> {
    eval_graph_with_progress(graph, inputs, given, &mut |_, _| {})
}

/// As [`eval_graph_with`]; `watch` is called before each operation with the number of those that are done and of all.
///
/// # Errors
/// As [`eval_graph`].
pub fn eval_graph_with_progress(
    graph: &Graph,
    inputs: &BTreeMap<String, Tensor>,
    given: &Bindings,
    watch: ProgressFn<'_>,
) -> Result<BTreeMap<String, Tensor>, EvalError> {
    let bindings = bind_symbols(graph, inputs, given)?;
    check_constraints(graph, &bindings)?;
    let mut run = Run { graph, inputs, bindings: &bindings, tensors: BTreeMap::new() };
    let wanted: Vec<Value> = graph.outputs().iter().map(|output| output.value).collect();
    run.evaluate(&wanted, watch)?;
    let mut results = BTreeMap::new();
    for output in graph.outputs() {
        let tensor = run.tensors.get(&output.value).map(|tensor| Tensor::clone(tensor));
        results.insert(output.name.clone(), tensor.ok_or_else(|| missing(output.value))?);
    }
    Ok(results)
}

/// Evaluates one value that no input of the graph is needed for; `bindings` gives the values of symbols.
///
/// # Errors
/// [`EvalError`] when an input or the value of a symbol is needed, or an operation has no value.
pub fn eval_value(graph: &Graph, value: Value, bindings: &Bindings) -> Result<Arc<Tensor>, EvalError> {
    let mut run = Run { graph, inputs: &BTreeMap::new(), bindings, tensors: BTreeMap::new() };
    run.evaluate(&[value], &mut |_, _| {})?;
    run.tensors.remove(&value).ok_or_else(|| missing(value))
}

/// Evaluates one operation; `bindings` gives the values of symbols in `attrs` and `ty`.
///
/// # Errors
/// [`EvalError::Op`] when the operation has no value: the result does not fit memory, or is not a tensor of that type.
pub fn eval_node(op: Op, attrs: &Attrs, operands: &[&Tensor], ty: &TensorType, bindings: &Bindings) -> Result<Tensor, EvalError> {
    let (attrs, ty) = (attrs.bind(bindings), ty.bind(bindings));
    let no_value = || EvalError::Op { op: op.name(), result: ty.clone() };
    ty.static_shape().ok_or_else(no_value)?;
    let types: Vec<TensorType> = operands.iter().map(|tensor| tensor.ty()).collect();
    let bound = op.infer(&types.iter().collect::<Vec<_>>(), &attrs).map_err(|_| no_value())?;
    if bound != ty {
        return Err(no_value());
    }
    let result = (op.def().eval)(operands, &attrs, &ty);
    result.filter(|tensor| tensor.ty() == ty).ok_or_else(no_value)
}

/// The values of all symbols: those given, and those that the shapes of inputs determine.
///
/// # Errors
/// [`EvalError`] when inputs are missing, do not fit their declared types or put a symbol out of its range.
pub fn bind_symbols(graph: &Graph, inputs: &BTreeMap<String, Tensor>, given: &Bindings) -> Result<Bindings, EvalError> {
    let mut bindings = given.clone();
    for symbol in graph.symbols().values() {
        given.get(symbol.name()).map_or(Ok(()), |value| check_range(symbol, *value))?;
    }
    let mut pending: Vec<(Dim, i64)> = Vec::new();
    for (tensor, ty, _) in declared(graph, inputs)? {
        pending.extend(ty.dims.iter().cloned().zip(tensor.shape().iter().map(|size| *size as i64)));
    }
    for _ in 0..=pending.len() {
        for (dim, size) in &pending {
            if let Some((symbol, value)) = solve(&dim.bind(&bindings), *size) {
                check_range(&symbol, value)?;
                bindings.insert(symbol.name().to_string(), value);
            }
        }
    }
    for (tensor, ty, name) in declared(graph, inputs)? {
        if ty.bind(&bindings) != tensor.ty() {
            return Err(EvalError::WrongInput { name, given: tensor.ty(), expected: ty });
        }
    }
    Ok(bindings)
}

/// The inputs of a graph with their declared types and names.
fn declared<'a>(graph: &Graph, inputs: &'a BTreeMap<String, Tensor>) -> Result<Vec<(&'a Tensor, TensorType, String)>, EvalError> {
    let mut result = Vec::new();
    for value in graph.inputs() {
        let node = graph.node(*value);
        let name = node.attrs.text("name").to_string();
        let tensor = inputs.get(&name).ok_or_else(|| EvalError::MissingInput(name.clone()))?;
        if tensor.dtype() != node.ty.dtype || tensor.shape().len() != node.ty.rank() {
            return Err(EvalError::WrongInput { name, given: tensor.ty(), expected: node.ty.clone() });
        }
        result.push((tensor, node.ty.clone(), name));
    }
    Ok(result)
}

/// The symbol of a dim that is affine in one symbol, and the value that makes the dim equal to `size`.
fn solve(dim: &Dim, size: i64) -> Option<(Symbol, i64)> {
    let mut symbols = BTreeSet::new();
    dim.for_each_symbol(&mut |symbol| {
        symbols.insert(symbol.clone());
    });
    let symbol = symbols.pop_first().filter(|_| symbols.is_empty())?;
    let (factor, rest) = dim.affine_in(&symbol)?;
    let (factor, rest) = (factor.as_constant()?, rest.as_constant()?);
    let value = size.checked_sub(rest)?.checked_div(factor)?;
    (dim.bind(&Bindings::from([(symbol.name().to_string(), value)])).is(size)).then_some((symbol, value))
}

fn check_range(symbol: &Symbol, value: i64) -> Result<(), EvalError> {
    let (min, max) = (symbol.min(), symbol.max());
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(EvalError::OutOfRange { name: symbol.name().to_string(), value, min, max })
}

fn check_constraints(graph: &Graph, bindings: &Bindings) -> Result<(), EvalError> {
    for constraint in graph.constraints() {
        let (left, right) = (constraint.left.bind(bindings), constraint.right.bind(bindings));
        if left != right {
            let reason = constraint.reason.clone();
            return Err(EvalError::Constraint { left: left.to_string(), right: right.to_string(), reason });
        }
    }
    Ok(())
}

fn missing(value: Value) -> EvalError {
    EvalError::Fault(format!("{value:?} is not part of the graph"))
}

/// An evaluation of a graph: the tensors that are still needed.
struct Run<'a> {
    graph: &'a Graph,
    inputs: &'a BTreeMap<String, Tensor>,
    bindings: &'a Bindings,
    tensors: BTreeMap<Value, Arc<Tensor>>,
}

impl Run<'_> {
    /// Evaluates `wanted` and what they need; tensors are freed after their last use.
    fn evaluate(&mut self, wanted: &[Value], watch: ProgressFn<'_>) -> Result<(), EvalError> {
        let mut uses = self.count_uses(wanted);
        let (mut done, total) = (0, uses.len());
        for value in self.graph.topological() {
            if !uses.contains_key(&value) {
                continue;
            }
            watch(done, total);
            done += 1;
            let operands = self.graph.operands(value);
            let tensor = self.make(value, &operands)?;
            self.tensors.insert(value, tensor);
            for operand in operands {
                let left = uses.entry(operand).or_default();
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.tensors.remove(&operand);
                }
            }
        }
        Ok(())
    }

    /// How often each needed value is used; `wanted` count once more.
    fn count_uses(&self, wanted: &[Value]) -> BTreeMap<Value, usize> {
        let mut uses: BTreeMap<Value, usize> = BTreeMap::new();
        let operands = self.graph.needed(wanted.iter().copied()).flat_map(|value| self.graph.operands(value));
        for value in operands.chain(wanted.iter().copied()) {
            *uses.entry(value).or_default() += 1;
        }
        uses
    }

    fn make(&self, value: Value, operands: &[Value]) -> Result<Arc<Tensor>, EvalError> {
        let node = self.graph.node(value);
        if let Some(tensor) = self.graph.as_constant(value) {
            return Ok(tensor.clone());
        }
        if node.op.is_input() {
            let name = node.attrs.text("name");
            let tensor = self.inputs.get(name).ok_or_else(|| EvalError::MissingInput(name.to_string()))?;
            return Ok(Arc::new(tensor.clone()));
        }
        let tensors: Vec<&Tensor> = operands.iter().filter_map(|operand| Some(&**self.tensors.get(operand)?)).collect();
        if tensors.len() != operands.len() {
            return fault(format!("the operands of {value:?} are not known; is the graph cyclic?"));
        }
        self.check_known(&node.ty)?;
        Ok(Arc::new(eval_node(node.op, &node.attrs, &tensors, &node.ty, self.bindings)?))
    }

    fn check_known(&self, ty: &TensorType) -> Result<(), EvalError> {
        for dim in &ty.dims {
            let mut unknown = None;
            dim.for_each_symbol(&mut |symbol| {
                if !self.bindings.contains_key(symbol.name()) {
                    unknown = Some(symbol.name().to_string());
                }
            });
            if let Some(name) = unknown {
                return Err(EvalError::UnknownSymbol(name));
            }
        }
        Ok(())
    }
}
