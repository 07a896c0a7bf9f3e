//! The sizes that memory reports and limits assume when no shapes are given.

use crate::error::CompileError;
use lostwax_format::expr::Kind;
use lostwax_format::{EntryPoint, Operands, Plan, Symbol, TensorSpec};
use std::collections::BTreeMap;

/// What a dynamic size that is not outermost is taken to be, about.
const TYPICAL: i64 = 64;

/// The values of a plan's symbols, as far as they are known.
pub struct PlanSizes<'a> {
    plan: &'a Plan,
    symbols: Vec<Option<i64>>,
}

impl<'a> PlanSizes<'a> {
    /// Nothing is known yet.
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan, symbols: vec![None; plan.symbols.len()] }
    }

    /// Takes the values of symbols from the shape of an input.
    pub fn bind_shape(&mut self, spec: &TensorSpec, shape: &[usize]) {
        for (dim, size) in spec.dims.iter().zip(shape) {
            self.solve(*dim, *size as i64);
        }
    }

    /// Gives the remaining symbols of an entry point values: 1 for outermost sizes, moderate ones otherwise; the least for those
    /// that no input has, if a constraint does not hold with moderate ones.
    pub fn complete(&mut self, entry: &EntryPoint) {
        for spec in &entry.inputs {
            for (axis, dim) in spec.dims.iter().enumerate() {
                self.solve(*dim, if axis == 0 { 1 } else { TYPICAL });
            }
        }
        let known = self.symbols.clone();
        self.fill(|symbol| TYPICAL.clamp(symbol.min, symbol.max.max(symbol.min)));
        if !entry.constraints.iter().all(|constraint| self.value(constraint.left) == self.value(constraint.right)) {
            self.symbols = known;
            self.fill(|symbol| symbol.min);
        }
    }

    fn fill(&mut self, value: impl Fn(&Symbol) -> i64) {
        for (slot, symbol) in self.symbols.iter_mut().zip(&self.plan.symbols) {
            slot.get_or_insert_with(|| value(symbol));
        }
    }

    /// The shape of a tensor; `None` when symbols are missing or a size is out of range.
    pub fn shape(&self, spec: &TensorSpec) -> Option<Vec<usize>> {
        spec.dims.iter().map(|dim| usize::try_from(self.value(*dim)?).ok()).collect()
    }

    /// The values by name.
    pub fn bindings(&self) -> BTreeMap<String, i64> {
        let known = self.plan.symbols.iter().zip(&self.symbols);
        known.filter_map(|(symbol, value)| Some((symbol.name.clone(), (*value)?))).collect()
    }

    /// The values as text, `NAME = SIZE` each.
    pub fn to_texts(&self) -> Vec<String> {
        self.bindings().iter().map(|(name, size)| format!("{name} = {size}")).collect()
    }

    fn kind(&self, id: u32) -> Option<&'a Kind> {
        self.plan.exprs.get(id as usize)?.kind.as_ref()
    }

    /// The value of an expression of the plan; `None` when symbols are missing, or it does not fit an integer.
    pub fn value(&self, id: u32) -> Option<i64> {
        // Operands come before their users, so the recursion ends.
        let pair = |operands: &Operands| Some((self.value(operands.left)?, self.value(operands.right)?));
        match self.kind(id)? {
            Kind::Constant(value) => Some(*value),
            Kind::Symbol(index) => *self.symbols.get(*index as usize)?,
            Kind::Add(operands) => pair(operands).and_then(|(a, b)| a.checked_add(b)),
            Kind::Multiply(operands) => pair(operands).and_then(|(a, b)| a.checked_mul(b)),
            Kind::FloorDivide(operands) => pair(operands).filter(|(_, b)| *b >= 1).map(|(a, b)| a.div_euclid(b)),
            Kind::Minimum(operands) => pair(operands).map(|(a, b)| a.min(b)),
            Kind::Maximum(operands) => pair(operands).map(|(a, b)| a.max(b)),
        }
    }

    /// Gives the one unknown symbol of an expression the value that brings it to `size`, or near to it.
    fn solve(&mut self, id: u32, size: i64) {
        match self.kind(id) {
            Some(Kind::Symbol(index)) => self.set(*index as usize, size),
            Some(Kind::Multiply(operands)) => self.solve_pair(operands, |known| size.div_euclid(known.max(1))),
            Some(Kind::Add(operands)) => self.solve_pair(operands, |known| size - known),
            Some(Kind::FloorDivide(operands)) => {
                if let Some(divisor) = self.value(operands.right) {
                    self.solve(operands.left, size.saturating_mul(divisor));
                }
            }
            Some(Kind::Constant(_) | Kind::Minimum(_) | Kind::Maximum(_)) | None => {}
        }
    }

    fn solve_pair(&mut self, operands: &Operands, rest: impl Fn(i64) -> i64) {
        match (self.value(operands.left), self.value(operands.right)) {
            (Some(left), None) => self.solve(operands.right, rest(left)),
            (None, Some(right)) => self.solve(operands.left, rest(right)),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    fn set(&mut self, index: usize, value: i64) {
        let Some(symbol) = self.plan.symbols.get(index) else { return };
        let value = value.clamp(symbol.min.max(1), symbol.max.max(symbol.min).max(1));
        if let Some(slot) = self.symbols.get_mut(index) {
            slot.get_or_insert(value);
        }
    }
}

/// Bytes of working memory of the entry point that needs most, where no shapes are given, and the sizes that they are for.
///
/// # Errors
/// [`CompileError::Internal`] if a plan has no such number.
pub(crate) fn arena_bytes(plan: &Plan) -> Result<(u64, Vec<String>), CompileError> {
    let each = plan.entry_points.iter().map(|entry| {
        let mut sizes = PlanSizes::new(plan);
        sizes.complete(entry);
        let bytes = sizes.value(entry.arena_bytes).and_then(|bytes| u64::try_from(bytes).ok());
        let problem = || CompileError::Internal { problem: format!("the working memory of `{}` is not known", entry.name) };
        Ok((bytes.ok_or_else(problem)?, sizes.to_texts()))
    });
    let each = each.collect::<Result<Vec<_>, CompileError>>()?;
    Ok(each.into_iter().rev().max_by_key(|(bytes, _)| *bytes).unwrap_or_default())
}
