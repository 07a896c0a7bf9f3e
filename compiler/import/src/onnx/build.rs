//! Building blocks for operators: arithmetic on items with ONNX's broadcasting.

use super::importer::Importer;
use super::known::Known;
use super::node_error::{NodeError, NodeResult, invalid, limit, unsupported};
use super::number::{Number, weight};
use super::operand::{Data, Operand};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::dim::Dim;
use lostwax_ir::graph::Value;
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::{Tensor, element_count};
use lostwax_ir::types::{DType, TensorType};

const MAX_RANK: usize = 32;
const MAX_TERMS: usize = 4096;

impl Importer<'_> {
    /// The type of an operand.
    pub fn ty(&self, item: &Operand) -> TensorType {
        match item.data() {
            Data::Constant(tensor) => tensor.ty(),
            Data::Known(known) => TensorType::new(known.dtype, known.shape.iter().map(|size| *size as i64)),
            Data::Value(value) => self.graph.ty(*value).clone(),
            Data::Absent(_) => TensorType::scalar(DType::F32),
        }
    }

    /// The element type of an operand.
    pub fn dtype(&self, item: &Operand) -> DType {
        self.ty(item).dtype
    }

    /// The number of axes of an operand.
    pub fn rank(&self, item: &Operand) -> usize {
        self.ty(item).rank()
    }

    /// The sizes of an operand.
    pub fn dims(&self, item: &Operand) -> Vec<Dim> {
        self.ty(item).dims
    }

    /// The sizes of an operand that must have a fixed shape; `what` names it in the error.
    pub fn static_sizes(&self, item: &Operand, what: &str) -> NodeResult<Vec<i64>> {
        let sizes: Option<Vec<i64>> = self.dims(item).iter().map(Dim::as_constant).collect();
        sizes.ok_or_else(|| NodeError::Unsupported(format!("{what} must have a fixed shape")))
    }

    /// Adds an op to the graph.
    pub fn op(&mut self, op: Op, attrs: Attrs, operands: &[&Operand]) -> NodeResult<Operand> {
        let operands: Vec<Value> = operands.iter().map(|item| self.value(item)).collect::<NodeResult<_>>()?;
        check_size(operands.iter().map(|value| self.graph.ty(*value)))?;
        let value = self.graph.add(op, attrs, &operands)?;
        check_size([self.graph.ty(value)])?;
        Ok(value.into())
    }

    /// The operand as a value of the graph.
    pub fn value(&mut self, item: &Operand) -> NodeResult<Value> {
        if let Some(value) = item.value() {
            return Ok(value);
        }
        let value = match item.data() {
            Data::Constant(tensor) => self.graph.constant(tensor.clone())?,
            Data::Known(known) => self.known_value(known)?,
            Data::Value(value) => *value,
            Data::Absent(reason) => return unsupported(reason.clone()),
        };
        Ok(item.remember(value))
    }

    fn known_value(&mut self, known: &Known) -> NodeResult<Value> {
        if let Some(tensor) = known.to_tensor() {
            return Ok(self.graph.constant(tensor)?);
        }
        let mut parts = Vec::new();
        for number in &known.values {
            let scalar = self.number_item(known.dtype, number)?;
            parts.push(self.reshape(&scalar, &[1.into()])?);
        }
        let vector = if parts.len() == 1 { parts.remove(0) } else { self.concat(&parts, 0)? };
        let dims: Vec<Dim> = known.shape.iter().map(|size| Dim::constant(*size as i64)).collect();
        let item = self.reshape(&vector, &dims)?;
        self.value(&item)
    }

    fn number_item(&mut self, dtype: DType, number: &Number) -> NodeResult<Operand> {
        let (numerator, denominator) = number.parts();
        let numerator = self.size_item(dtype, numerator)?;
        if denominator.is(1) {
            return Ok(numerator);
        }
        let denominator = self.size_item(dtype, denominator)?;
        self.op(Op::Div, Attrs::new(), &[&numerator, &denominator])
    }

    fn size_item(&mut self, dtype: DType, size: &Dim) -> NodeResult<Operand> {
        match size.as_constant() {
            Some(value) => self.scalar(dtype, value as f64),
            None => self.op(Op::DimValue, Attrs::new().with("dims", vec![size.clone()]).with("dtype", dtype), &[]),
        }
    }

    /// A constant of rank 0.
    pub fn scalar(&self, dtype: DType, value: f64) -> NodeResult<Operand> {
        self.filled(dtype, &[], value)
    }

    /// A constant of rank 0 of the operand's element type.
    pub fn scalar_like(&self, item: &Operand, value: f64) -> NodeResult<Operand> {
        self.scalar(self.dtype(item), value)
    }

    /// A constant with equal elements.
    pub fn filled(&self, dtype: DType, shape: &[usize], value: f64) -> NodeResult<Operand> {
        let count = element_count(shape).unwrap_or(0);
        let tensor = Tensor::from_f64(dtype, shape, &vec![value; count]);
        tensor.map(Operand::from).ok_or_else(|| NodeError::Unsupported(format!("constants of type {dtype} are not supported")))
    }

    /// Counts the bytes of a constant that the file does not store.
    ///
    /// # Errors
    /// [`NodeError::Limit`] when all of them are more than [`crate::ImportOptions::max_expanded_bytes`].
    pub fn reserve(&mut self, bytes: usize) -> NodeResult<()> {
        match self.budget.checked_sub(bytes as u64) {
            Some(rest) => self.budget = rest,
            None => return limit("constants made by the model do not fit the allowed memory"),
        }
        Ok(())
    }

    /// An elementwise op of one operand.
    pub fn unary(&mut self, op: Op, x: &Operand) -> NodeResult<Operand> {
        self.op(op, Attrs::new(), &[x])
    }

    /// An elementwise op with broadcasting.
    pub fn binary(&mut self, op: Op, a: &Operand, b: &Operand) -> NodeResult<Operand> {
        let aligned = self.align(&[a.clone(), b.clone()])?;
        self.op(op, Attrs::new(), &aligned.iter().collect::<Vec<_>>())
    }

    /// The sum, with broadcasting.
    pub fn add(&mut self, a: &Operand, b: &Operand) -> NodeResult<Operand> {
        self.binary(Op::Add, a, b)
    }

    /// The difference, with broadcasting.
    pub fn sub(&mut self, a: &Operand, b: &Operand) -> NodeResult<Operand> {
        self.binary(Op::Sub, a, b)
    }

    /// The product, with broadcasting.
    pub fn mul(&mut self, a: &Operand, b: &Operand) -> NodeResult<Operand> {
        self.binary(Op::Mul, a, b)
    }

    /// The quotient, with broadcasting.
    pub fn div(&mut self, a: &Operand, b: &Operand) -> NodeResult<Operand> {
        self.binary(Op::Div, a, b)
    }

    /// `op(x, value)` with a constant.
    pub fn with_scalar(&mut self, op: Op, x: &Operand, value: f64) -> NodeResult<Operand> {
        let value = self.scalar_like(x, value)?;
        self.binary(op, x, &value)
    }

    /// `op(value, x)` with a constant.
    pub fn scalar_with(&mut self, op: Op, value: f64, x: &Operand) -> NodeResult<Operand> {
        let value = self.scalar_like(x, value)?;
        self.binary(op, &value, x)
    }

    /// The elements of `x` where `cond` holds, those of `y` elsewhere, with broadcasting.
    pub fn select(&mut self, cond: &Operand, x: &Operand, y: &Operand) -> NodeResult<Operand> {
        let aligned = self.align(&[cond.clone(), x.clone(), y.clone()])?;
        self.op(Op::Where, Attrs::new(), &aligned.iter().collect::<Vec<_>>())
    }

    /// Reduces along axes; keeps them with size 1.
    pub fn reduce(&mut self, op: Op, x: &Operand, axes: &[usize]) -> NodeResult<Operand> {
        if axes.is_empty() {
            return Ok(x.clone());
        }
        let axes: Vec<i64> = axes.iter().map(|axis| *axis as i64).collect();
        self.op(op, Attrs::new().with("axes", axes), &[x])
    }

    /// Matrix products of operands of any ranks from 2.
    pub fn matmul(&mut self, a: &Operand, b: &Operand) -> NodeResult<Operand> {
        let rank = self.rank(a).max(self.rank(b));
        let (a, b) = (self.with_rank(a, rank)?, self.with_rank(b, rank)?);
        let (mut left, mut right) = (self.dims(&a), self.dims(&b));
        if rank < 2 {
            return invalid("matrix products need operands of rank 2 or more");
        }
        let inner = self.unify(&left[rank - 1], &right[rank - 2], "the inner sizes of a matrix product")?;
        (left[rank - 1], right[rank - 2]) = (inner.clone(), inner);
        let batch = self.broadcast_dims(&[left[..rank - 2].to_vec(), right[..rank - 2].to_vec()])?;
        for dims in [&mut left, &mut right] {
            restrict(&mut dims[..rank - 2], &batch);
        }
        let (a, b) = (self.reshape(&a, &left)?, self.reshape(&b, &right)?);
        self.op(Op::MatMul, Attrs::new(), &[&a, &b])
    }

    /// Brings operands to one rank, with ones in front, and makes dims that are broadcast together equal or 1.
    pub fn align(&mut self, items: &[Operand]) -> NodeResult<Vec<Operand>> {
        let rank = items.iter().map(|item| self.rank(item)).max().unwrap_or(0);
        let items: Vec<Operand> = items.iter().map(|item| self.with_rank(item, rank)).collect::<NodeResult<_>>()?;
        let shapes: Vec<Vec<Dim>> = items.iter().map(|item| self.dims(item)).collect();
        let wide = self.broadcast_dims(&shapes)?;
        items
            .iter()
            .zip(shapes)
            .map(|(item, mut dims)| {
                restrict(&mut dims, &wide);
                self.reshape(item, &dims)
            })
            .collect()
    }

    /// Adds axes of size 1 in front.
    pub(super) fn with_rank(&mut self, item: &Operand, rank: usize) -> NodeResult<Operand> {
        let own = self.dims(item);
        let mut dims = vec![Dim::constant(1); rank.saturating_sub(own.len())];
        dims.extend(own);
        self.reshape(item, &dims)
    }

    /// The dims that shapes of one rank broadcast to. Symbolic dims that meet must be equal.
    pub fn broadcast_dims(&mut self, shapes: &[Vec<Dim>]) -> NodeResult<Vec<Dim>> {
        let rank = shapes.first().map_or(0, Vec::len);
        (0..rank)
            .map(|axis| {
                let mut wide = shapes.iter().filter_map(|dims| dims.get(axis)).filter(|dim| !dim.is(1));
                let first = wide.next().cloned().unwrap_or(1.into());
                wide.try_fold(first, |all, dim| self.unify(&all, dim, "operands that are broadcast together"))
            })
            .collect()
    }

    /// The simplest form of two dims that must be equal. What cannot be proven is checked at run time.
    pub fn unify(&mut self, a: &Dim, b: &Dim, reason: &str) -> NodeResult<Dim> {
        if a == b {
            return Ok(a.clone());
        }
        let (a, b) = (self.equalities.simplify(a), self.equalities.simplify(b));
        if a == b {
            return Ok(a);
        }
        self.graph.require_equal(&a, &b, &format!("{reason} in {}", self.label))?;
        Ok(self.equalities.assume(&a, &b))
    }

    /// The operand with dims that must equal its own at run time.
    pub(super) fn assert_dims(&mut self, item: &Operand, dims: &[Dim]) -> NodeResult<Operand> {
        for (own, dim) in self.dims(item).iter().zip(dims) {
            self.unify(own, dim, "sizes that must agree")?;
        }
        self.reshape(item, dims)
    }
}

/// Replaces all dims but ones by those of `wide`.
fn restrict(dims: &mut [Dim], wide: &[Dim]) {
    for (dim, wide) in dims.iter_mut().zip(wide) {
        if !dim.is(1) {
            *dim = wide.clone();
        }
    }
}

/// Refuses types that make symbolic arithmetic explode.
fn check_size<'a>(types: impl IntoIterator<Item = &'a TensorType>) -> NodeResult<()> {
    for ty in types {
        let terms = ty.dims.iter().fold(1usize, |terms, dim| terms.saturating_mul(dim.terms().len().max(1)));
        let heavy = ty.dims.iter().any(|dim| weight(dim) > MAX_TERMS);
        let too_large = ty.static_shape().is_some_and(|shape| element_count(&shape).is_none());
        let negative = ty.dims.iter().any(|dim| dim.bounds().1 < 0);
        if negative {
            return invalid(format!("the result would have a negative size: {ty}"));
        }
        if ty.rank() > MAX_RANK || terms > MAX_TERMS || heavy || too_large {
            return limit("the shape of the result is too large");
        }
    }
    Ok(())
}
