//! From the shapes of the inputs to the values of the symbols.

use crate::expr::{describe, evaluate, value};
use crate::{Bindings, RuntimeError};
use lostwax_format::{EntryPoint, Expr, Operands, Plan, Symbol, expr::Kind};

/// The values of symbols and expressions for one choice of shapes.
pub(crate) struct Bound {
    pub(crate) symbols: Vec<Option<i64>>,
    pub(crate) values: Vec<Option<i64>>,
}

impl Bound {
    /// The value of an expression.
    pub(crate) fn value(&self, plan: &Plan, entry: &EntryPoint, id: u32) -> Result<i64, RuntimeError> {
        let invalid = |problem| RuntimeError::InvalidPlan { entry_point: entry.name.clone(), problem };
        value(plan, &self.values, &self.symbols, id).map_err(invalid)
    }
}

/// Whether all symbols exist and all values are in their ranges.
pub(crate) fn check_bindings(plan: &Plan, given: &Bindings) -> Result<(), RuntimeError> {
    given_symbols(plan, given).map(drop)
}

/// Binds from given values alone.
pub(crate) fn bind_given(plan: &Plan, entry: &EntryPoint, given: &Bindings) -> Result<Bound, RuntimeError> {
    let symbols = given_symbols(plan, given)?;
    let bound = Bound { values: evaluate(&plan.exprs, &symbols), symbols };
    check_constraints(plan, entry, &bound)?;
    Ok(bound)
}

/// Binds from given values and the shapes of all inputs.
pub(crate) fn bind_shapes(plan: &Plan, entry: &EntryPoint, given: &Bindings, shapes: &[&[usize]]) -> Result<Bound, RuntimeError> {
    let mut symbols = given_symbols(plan, given)?;
    let sizes = sizes(plan, entry, shapes)?;
    while solve_round(plan, &sizes, &mut symbols)? {}
    let bound = Bound { values: evaluate(&plan.exprs, &symbols), symbols };
    sizes.iter().try_for_each(|size| check_size(plan, &bound, size))?;
    check_constraints(plan, entry, &bound)?;
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

fn sizes<'a>(plan: &Plan, entry: &'a EntryPoint, shapes: &[&[usize]]) -> Result<Vec<Size<'a>>, RuntimeError> {
    let mut sizes = Vec::new();
    for (spec, shape) in entry.inputs.iter().zip(shapes) {
        if spec.dims.len() != shape.len() {
            let expected: Vec<String> = spec.dims.iter().map(|dim| describe(plan, *dim)).collect();
            let problem = format!("has shape {shape:?}, expected [{}]", expected.join(", "));
            return Err(RuntimeError::input(format!("input `{}`", spec.name), problem));
        }
        for (axis, (expr, found)) in spec.dims.iter().zip(*shape).enumerate() {
            let found = i64::try_from(*found).unwrap_or(i64::MAX);
            sizes.push(Size { input: &spec.name, axis, expr: *expr, found });
        }
    }
    Ok(sizes)
}

fn range_problem(symbol: &Symbol, value: i64) -> Option<String> {
    let Symbol { name, min, max } = symbol;
    let fits = (*min..=*max).contains(&value);
    if fits { None } else { Some(format!("`{name}` must be in {min}..={max}, not {value}")) }
}

fn given_symbols(plan: &Plan, given: &Bindings) -> Result<Vec<Option<i64>>, RuntimeError> {
    let mut values = vec![None; plan.symbols.len()];
    for (name, value) in given {
        let position = plan.symbols.iter().position(|symbol| symbol.name == *name);
        let slot = position.and_then(|position| Some((plan.symbols.get(position)?, values.get_mut(position)?)));
        let Some((symbol, slot)) = slot else {
            let known: Vec<&str> = plan.symbols.iter().map(|symbol| symbol.name.as_str()).collect();
            return Err(RuntimeError::input(
                format!("binding `{name}`"),
                format!("there is no such symbol; there are {known:?}"),
            ));
        };
        match range_problem(symbol, *value) {
            Some(problem) => return Err(RuntimeError::input(format!("binding `{name}`"), problem)),
            None => *slot = Some(*value),
        }
    }
    Ok(values)
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

/// Solves for symbols that are alone in an input size; tells whether there was one.
fn solve_round(plan: &Plan, sizes: &[Size<'_>], symbols: &mut [Option<i64>]) -> Result<bool, RuntimeError> {
    let count = sizes.iter().map(|size| size.expr as usize + 1).max().unwrap_or(0);
    let forms = forms(plan.exprs.get(..count).unwrap_or_default(), symbols);
    let mut found = false;
    for size in sizes {
        let Some(Form::Affine { symbol, scale, offset }) = forms.get(size.expr as usize).copied() else { continue };
        let Some((slot, declared)) = symbols.get_mut(symbol).zip(plan.symbols.get(symbol)) else { continue };
        if slot.is_none() {
            *slot = Some(solve_one(plan, size, declared, (scale, offset))?);
            found = true;
        }
    }
    Ok(found)
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

fn forms(exprs: &[Expr], symbols: &[Option<i64>]) -> Vec<Form> {
    let mut forms = Vec::with_capacity(exprs.len());
    for expr in exprs {
        let form = form(expr, &forms, symbols).unwrap_or(Form::Other);
        forms.push(form);
    }
    forms
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
