//! From the shapes of the inputs to the values of the symbols.

use crate::expr::{describe, evaluate, value};
use crate::{Bindings, RuntimeError};
use lostwax_format::{EntryPoint, Expr, Operands, Plan, Symbol, TensorSpec, expr::Kind};

/// The values of symbols and expressions for one choice of shapes. Binding anew uses the memory of the last time.
#[derive(Default)]
pub(crate) struct Bound {
    symbols: Vec<Option<i64>>,
    values: Vec<Option<i64>>,
    forms: Vec<Form>,
}

impl Bound {
    /// Binds from given values and the shapes of all inputs, and evaluates the expressions `needed`, in order and with all that
    /// they depend on.
    pub(crate) fn bind(
        &mut self,
        plan: &Plan,
        entry: &EntryPoint,
        needed: &[u32],
        given: &[Option<i64>],
        shapes: &[&[usize]],
    ) -> Result<(), RuntimeError> {
        self.symbols.clear();
        self.symbols.extend_from_slice(given);
        entry.inputs.iter().zip(shapes).try_for_each(|(spec, shape)| check_rank(plan, spec, shape))?;
        while self.symbols.contains(&None) && self.solve(plan, entry, shapes)? {}
        evaluate(&plan.exprs, needed, &self.symbols, &mut self.values);
        sizes(entry, shapes).try_for_each(|size| check_size(plan, self, &size))?;
        check_constraints(plan, entry, self)
    }

    /// The value of an expression.
    pub(crate) fn value(&self, plan: &Plan, entry: &EntryPoint, id: u32) -> Result<i64, RuntimeError> {
        let invalid = |problem| RuntimeError::InvalidPlan { entry_point: entry.name.clone(), problem };
        value(plan, &self.values, &self.symbols, id).map_err(invalid)
    }

    /// Solves for symbols that are alone in an input size; tells whether there was one.
    fn solve(&mut self, plan: &Plan, entry: &EntryPoint, shapes: &[&[usize]]) -> Result<bool, RuntimeError> {
        let count = sizes(entry, shapes).map(|size| size.expr as usize + 1).max().unwrap_or(0);
        self.forms.clear();
        for expr in plan.exprs.get(..count).unwrap_or_default() {
            let form = form(expr, &self.forms, &self.symbols).unwrap_or(Form::Other);
            self.forms.push(form);
        }
        let mut found = false;
        for size in sizes(entry, shapes) {
            let Some(Form::Affine { symbol, scale, offset }) = self.forms.get(size.expr as usize).copied() else { continue };
            let Some((slot, declared)) = self.symbols.get_mut(symbol).zip(plan.symbols.get(symbol)) else { continue };
            if slot.is_none() {
                *slot = Some(solve_one(plan, &size, declared, (scale, offset))?);
                found = true;
            }
        }
        Ok(found)
    }
}

/// Binds everything from given values, and from the shapes of all inputs if there are any.
pub(crate) fn bind_all(plan: &Plan, entry: &EntryPoint, given: &Bindings, shapes: &[&[usize]]) -> Result<Bound, RuntimeError> {
    let mut bound = Bound::default();
    let needed: Vec<u32> = (0..).take(plan.exprs.len()).collect();
    bound.bind(plan, entry, &needed, &given_symbols(plan, given)?, shapes)?;
    Ok(bound)
}

/// One size of an input: what the plan says and what was given.
struct Size<'a> {
    input: &'a str,
    axis: usize,
    expr: u32,
    found: i64,
}

impl Size<'_> {
    fn error(&self, plan: &Plan, problem: &str) -> RuntimeError {
        let Size { input, axis, expr, found } = self;
        let expected = describe(plan, *expr);
        RuntimeError::input(format!("input `{input}`"), format!("dimension {axis} is {found}, expected {expected}{problem}"))
    }
}

fn check_rank(plan: &Plan, spec: &TensorSpec, shape: &[usize]) -> Result<(), RuntimeError> {
    if spec.dims.len() == shape.len() {
        return Ok(());
    }
    let expected: Vec<String> = spec.dims.iter().map(|dim| describe(plan, *dim)).collect();
    let problem = format!("has shape {shape:?}, expected [{}]", expected.join(", "));
    Err(RuntimeError::input(format!("input `{}`", spec.name), problem))
}

fn sizes<'a>(entry: &'a EntryPoint, shapes: &'a [&'a [usize]]) -> impl Iterator<Item = Size<'a>> {
    entry.inputs.iter().zip(shapes).flat_map(|(spec, shape)| {
        let dims = spec.dims.iter().zip(*shape).enumerate();
        dims.map(|(axis, (expr, found))| {
            let found = i64::try_from(*found).unwrap_or(i64::MAX);
            Size { input: &spec.name, axis, expr: *expr, found }
        })
    })
}

fn range_problem(symbol: &Symbol, value: i64) -> Option<String> {
    let Symbol { name, min, max } = symbol;
    let fits = (*min..=*max).contains(&value);
    if fits { None } else { Some(format!("`{name}` must be in {min}..={max}, not {value}")) }
}

/// The given values by position of the symbols.
///
/// # Errors
/// [`RuntimeError::InvalidInput`] if a symbol does not exist or a value is out of its range.
pub(crate) fn given_symbols(plan: &Plan, given: &Bindings) -> Result<Vec<Option<i64>>, RuntimeError> {
    let mut values = vec![None; plan.symbols.len()];
    given.iter().try_for_each(|(name, value)| give(plan, &mut values, name, *value))?;
    Ok(values)
}

/// Sets the value of one symbol.
///
/// # Errors
/// As [`given_symbols`]; the old value stays then.
pub(crate) fn give(plan: &Plan, values: &mut [Option<i64>], name: &str, value: i64) -> Result<(), RuntimeError> {
    let position = plan.symbols.iter().position(|symbol| symbol.name == name);
    let slot = position.and_then(|position| Some((plan.symbols.get(position)?, values.get_mut(position)?)));
    let Some((symbol, slot)) = slot else {
        let known: Vec<&str> = plan.symbols.iter().map(|symbol| symbol.name.as_str()).collect();
        return Err(RuntimeError::input(format!("binding `{name}`"), format!("there is no such symbol; there are {known:?}")));
    };
    if let Some(problem) = range_problem(symbol, value) {
        return Err(RuntimeError::input(format!("binding `{name}`"), problem));
    }
    *slot = Some(value);
    Ok(())
}

/// What is known of an expression while symbols are being solved for.
#[derive(Clone, Copy)]
enum Form {
    Known(i64),
    /// `scale * symbol + offset`, with a scale that is not 0.
    Affine {
        symbol: usize,
        scale: i64,
        offset: i64,
    },
    Other,
}

fn solve_one(plan: &Plan, size: &Size<'_>, symbol: &Symbol, (scale, offset): (i64, i64)) -> Result<i64, RuntimeError> {
    let difference = size.found.checked_sub(offset);
    let exact = difference.filter(|difference| difference.checked_rem(scale) == Some(0));
    let solved = exact.and_then(|difference| difference.checked_div(scale));
    let Some(value) = solved else {
        return Err(size.error(plan, &format!(" with an integer `{}`", symbol.name)));
    };
    match range_problem(symbol, value) {
        Some(problem) => Err(size.error(plan, &format!(", where {problem}"))),
        None => Ok(value),
    }
}

fn form(expr: &Expr, forms: &[Form], symbols: &[Option<i64>]) -> Option<Form> {
    let pair = |operands: &Operands| Some((*forms.get(operands.left as usize)?, *forms.get(operands.right as usize)?));
    let known = |operands: &Operands| match pair(operands)? {
        (Form::Known(a), Form::Known(b)) => Some((a, b)),
        (Form::Known(_) | Form::Affine { .. } | Form::Other, _) => None,
    };
    match expr.kind.as_ref()? {
        Kind::Constant(value) => Some(Form::Known(*value)),
        Kind::Symbol(index) => Some(symbol_form(*index as usize, symbols)),
        Kind::Add(operands) => pair(operands).and_then(|(a, b)| add_forms(a, b)),
        Kind::Multiply(operands) => pair(operands).and_then(|(a, b)| multiply_forms(a, b)),
        Kind::FloorDivide(operands) => {
            known(operands).filter(|(_, b)| *b >= 1).and_then(|(a, b)| a.checked_div_euclid(b)).map(Form::Known)
        }
        Kind::Minimum(operands) => known(operands).map(|(a, b)| Form::Known(a.min(b))),
        Kind::Maximum(operands) => known(operands).map(|(a, b)| Form::Known(a.max(b))),
    }
}

fn symbol_form(symbol: usize, symbols: &[Option<i64>]) -> Form {
    match symbols.get(symbol).copied().flatten() {
        Some(value) => Form::Known(value),
        None => Form::Affine { symbol, scale: 1, offset: 0 },
    }
}

fn affine(symbol: usize, scale: i64, offset: i64) -> Form {
    if scale == 0 { Form::Known(offset) } else { Form::Affine { symbol, scale, offset } }
}

fn add_forms(a: Form, b: Form) -> Option<Form> {
    match (a, b) {
        (Form::Known(a), Form::Known(b)) => Some(Form::Known(a.checked_add(b)?)),
        (Form::Known(k), Form::Affine { symbol, scale, offset }) | (Form::Affine { symbol, scale, offset }, Form::Known(k)) => {
            Some(affine(symbol, scale, offset.checked_add(k)?))
        }
        (Form::Affine { symbol, scale, offset }, Form::Affine { symbol: other, scale: s, offset: o }) if symbol == other => {
            Some(affine(symbol, scale.checked_add(s)?, offset.checked_add(o)?))
        }
        (Form::Known(_) | Form::Affine { .. } | Form::Other, _) => None,
    }
}

fn multiply_forms(a: Form, b: Form) -> Option<Form> {
    match (a, b) {
        (Form::Known(a), Form::Known(b)) => Some(Form::Known(a.checked_mul(b)?)),
        (Form::Known(k), Form::Affine { symbol, scale, offset }) | (Form::Affine { symbol, scale, offset }, Form::Known(k)) => {
            Some(affine(symbol, scale.checked_mul(k)?, offset.checked_mul(k)?))
        }
        (Form::Known(_) | Form::Affine { .. } | Form::Other, _) => None,
    }
}

fn check_size(plan: &Plan, bound: &Bound, size: &Size<'_>) -> Result<(), RuntimeError> {
    match value(plan, &bound.values, &bound.symbols, size.expr) {
        Ok(expected) if expected == size.found => Ok(()),
        Ok(expected) if describe(plan, size.expr) == expected.to_string() => Err(size.error(plan, "")),
        Ok(expected) => Err(size.error(plan, &format!(" = {expected}"))),
        Err(problem) => Err(size.error(plan, &format!(", but {problem}"))),
    }
}

fn check_constraints(plan: &Plan, entry: &EntryPoint, bound: &Bound) -> Result<(), RuntimeError> {
    for constraint in &entry.constraints {
        let (left, right) = (bound.value(plan, entry, constraint.left)?, bound.value(plan, entry, constraint.right)?);
        if left != right {
            let texts = (describe(plan, constraint.left), describe(plan, constraint.right));
            let problem = format!("{} ({} is {left}, {} is {right})", constraint.message, texts.0, texts.1);
            return Err(RuntimeError::input("shapes of the inputs", problem));
        }
    }
    Ok(())
}
