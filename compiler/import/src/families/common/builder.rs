//! Short forms for the ops that models are made of.

use super::weights::{Linear, Matrix, Stored};
use lostwax_ir::attrs::Attrs;
use lostwax_ir::blocks::BlockFormat;
use lostwax_ir::dim::Dim;
use lostwax_ir::graph::{Graph, TypeError, Value};
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;
use std::sync::Arc;

/// A node, or why it cannot be made.
pub type Built = Result<Value, TypeError>;

/// A graph that grows. Operands of elementwise ops have one rank; dims are equal, or 1 and broadcast.
pub struct Builder {
    /// The graph.
    pub graph: Graph,
    /// The type in which activations meet matrices of block formats: f32, or i8 in groups with scales.
    activations: DType,
}

impl Builder {
    /// An empty graph.
    pub fn new(name: &str, activations: DType) -> Self {
        Self { graph: Graph::new(name), activations }
    }

    /// The sizes of a value.
    pub fn dims(&self, x: Value) -> Vec<Dim> {
        self.graph.ty(x).dims.clone()
    }

    /// An op without attributes.
    pub fn op(&mut self, op: Op, operands: &[Value]) -> Built {
        self.graph.add(op, Attrs::new(), operands)
    }

    /// The sum.
    pub fn sum(&mut self, x: Value, y: Value) -> Built {
        self.op(Op::Add, &[x, y])
    }

    /// The product.
    pub fn product(&mut self, x: Value, y: Value) -> Built {
        self.op(Op::Mul, &[x, y])
    }

    /// An op of a value and a number.
    pub fn with(&mut self, op: Op, x: Value, number: f64) -> Built {
        let ty = self.graph.ty(x);
        let (dtype, rank) = (ty.dtype, ty.rank());
        let number = self.graph.scalar(dtype, number)?;
        let number = self.reshape(number, &vec![1.into(); rank])?;
        self.op(op, &[x, number])
    }

    /// The product with a number; nothing is done for 1.
    pub fn scaled(&mut self, x: Value, factor: f64) -> Built {
        if factor == 1.0 { Ok(x) } else { self.with(Op::Mul, x, factor) }
    }

    /// `cap * tanh(x / cap)`.
    pub fn capped(&mut self, x: Value, cap: Option<f64>) -> Built {
        let Some(cap) = cap else { return Ok(x) };
        let ratio = self.with(Op::Mul, x, 1.0 / cap)?;
        let bounded = self.op(Op::Tanh, &[ratio])?;
        self.with(Op::Mul, bounded, cap)
    }

    /// A constant.
    pub fn constant(&mut self, tensor: &Arc<Tensor>) -> Built {
        self.graph.constant(tensor.clone())
    }

    /// The same elements under other sizes.
    pub fn reshape(&mut self, x: Value, dims: &[Dim]) -> Built {
        if self.graph.ty(x).dims == dims {
            return Ok(x);
        }
        self.graph.add(Op::Reshape, Attrs::new().with("dims", dims), &[x])
    }

    /// Axis `i` of the result is axis `perm[i]`.
    pub fn transpose(&mut self, x: Value, perm: &[i64]) -> Built {
        self.graph.add(Op::Transpose, Attrs::new().with("perm", perm), &[x])
    }

    /// A part of each axis: first element and size.
    pub fn slice(&mut self, x: Value, starts: &[Dim], sizes: &[Dim]) -> Built {
        if self.graph.ty(x).dims == sizes {
            return Ok(x);
        }
        let steps = vec![1; starts.len()];
        self.graph.add(Op::Slice, Attrs::new().with("starts", starts).with("sizes", sizes).with("steps", steps), &[x])
    }

    /// A part of one axis.
    pub fn slice_along(&mut self, x: Value, axis: usize, start: &Dim, size: &Dim) -> Built {
        let mut sizes = self.dims(x);
        let mut starts = vec![Dim::default(); sizes.len()];
        if let (Some(first), Some(count)) = (starts.get_mut(axis), sizes.get_mut(axis)) {
            (*first, *count) = (start.clone(), size.clone());
        }
        self.slice(x, &starts, &sizes)
    }

    /// A part of the last axis.
    pub fn slice_last(&mut self, x: Value, start: usize, size: usize) -> Built {
        let axis = self.dims(x).len().saturating_sub(1);
        self.slice_along(x, axis, &dim(start), &dim(size))
    }

    /// The elements of an axis in the opposite order.
    pub fn reversed(&mut self, x: Value, axis: usize) -> Built {
        let sizes = self.dims(x);
        let (mut starts, mut steps) = (vec![Dim::default(); sizes.len()], vec![1; sizes.len()]);
        if let (Some(start), Some(step), Some(size)) = (starts.get_mut(axis), steps.get_mut(axis), sizes.get(axis)) {
            (*start, *step) = (size.clone() - 1.into(), -1);
        }
        self.graph.add(Op::Slice, Attrs::new().with("starts", starts).with("sizes", sizes).with("steps", steps), &[x])
    }

    /// Tensors side by side along an axis.
    pub fn concat(&mut self, parts: &[Value], axis: usize) -> Built {
        self.graph.add(Op::Concat, Attrs::new().with("axis", axis as i64), parts)
    }

    /// The same; one tensor is itself.
    pub fn joined(&mut self, parts: &[Value], axis: usize) -> Built {
        if let [part] = parts { Ok(*part) } else { self.concat(parts, axis) }
    }

    /// Slices along the first axis at indices.
    pub fn gather(&mut self, x: Value, indices: Value) -> Built {
        self.graph.add(Op::Gather, Attrs::new().with("axis", 0), &[x, indices])
    }

    /// A reduction along one axis, which stays with size 1.
    pub fn reduce(&mut self, op: Op, x: Value, axis: usize) -> Built {
        self.graph.add(op, Attrs::new().with("axes", vec![axis as i64]), &[x])
    }

    /// Conversion to another element type.
    pub fn cast(&mut self, x: Value, dtype: DType) -> Built {
        if self.graph.ty(x).dtype == dtype {
            return Ok(x);
        }
        self.graph.add(Op::Cast, Attrs::new().with("dtype", dtype), &[x])
    }

    /// Positions along an axis, as i32.
    pub fn iota(&mut self, dims: &[Dim], axis: usize) -> Built {
        let attrs = Attrs::new().with("axis", axis as i64).with("dtype", DType::I32).with("dims", dims);
        self.graph.add(Op::Iota, attrs, &[])
    }

    /// `softmax` along the last axis.
    pub fn softmax(&mut self, x: Value) -> Built {
        let axis = self.graph.ty(x).rank().saturating_sub(1);
        let largest = self.reduce(Op::ReduceMax, x, axis)?;
        let shifted = self.op(Op::Sub, &[x, largest])?;
        let powers = self.op(Op::Exp, &[shifted])?;
        let total = self.reduce(Op::ReduceSum, powers, axis)?;
        self.op(Op::Div, &[powers, total])
    }

    /// The values of a stored matrix `[.., rows, depth]`, as f32.
    pub fn matrix(&mut self, matrix: &Matrix) -> Built {
        match &matrix.stored {
            Stored::Dense(tensor) => self.constant(tensor),
            Stored::Panels(tensor) => {
                let panels = self.constant(tensor)?;
                self.graph.add(Op::UnpackPanels, Attrs::new().with("rows", matrix.rows() as i64), &[panels])
            }
            Stored::Blocks { format, parts } => {
                let parts = parts.iter().map(|part| self.constant(part)).collect::<Result<Vec<_>, _>>()?;
                let attrs = Attrs::new().with("format", format.name).with("rows", matrix.rows() as i64);
                self.graph.add(Op::Dequantize, attrs, &parts)
            }
        }
    }

    /// `x[.., sequence, depth]` times the transpose of `matrix[.., rows, depth]`.
    pub fn matmul_transposed(&mut self, x: Value, matrix: &Matrix) -> Built {
        if let (Stored::Blocks { format, parts }, DType::I8) = (&matrix.stored, self.activations) {
            return self.block_matmul(x, matrix.rows(), format, parts);
        }
        let values = self.matrix(matrix)?;
        let rank = matrix.shape.len();
        let mut perm: Vec<i64> = (0..rank as i64).collect();
        perm.swap(rank.saturating_sub(2), rank.saturating_sub(1));
        let transposed = self.transpose(values, &perm)?;
        self.op(Op::MatMul, &[x, transposed])
    }

    /// The same, with `x` quantized in the groups of a block format.
    fn block_matmul(&mut self, x: Value, rows: usize, format: &BlockFormat, parts: &[Arc<Tensor>]) -> Built {
        let mut dims = self.dims(x);
        let depth = dims.pop().unwrap_or_default();
        let group = i64::from(format.group);
        dims.extend([depth.floor_div(group), Dim::constant(group)]);
        let groups = self.reshape(x, &dims)?;
        let (bytes, scales) = self.quantized(groups, dims.len() - 1)?;
        let words = self.op(Op::PackBytes, &[bytes])?;
        let whole = self.cast(bytes, DType::I32)?;
        let sums = self.reduce(Op::ReduceSum, whole, dims.len() - 1)?;
        let mut operands = vec![words, scales, sums];
        for part in parts {
            operands.push(self.constant(part)?);
        }
        let attrs = Attrs::new().with("format", format.name).with("rows", rows as i64);
        self.graph.add(Op::BlockMatMul, attrs, &operands)
    }

    /// Signed bytes, of which the largest along `axis` is 127 or -127, and their scales, of size 1 along it.
    pub fn quantized(&mut self, x: Value, axis: usize) -> Result<(Value, Value), TypeError> {
        const LARGEST: f64 = 127.0;
        let size = self.op(Op::Abs, &[x])?;
        let largest = self.reduce(Op::ReduceMax, size, axis)?;
        let scales = self.scaled(largest, 1.0 / LARGEST)?;
        let ratios = self.op(Op::Div, &[x, scales])?;
        let rounded = self.op(Op::Round, &[ratios])?;
        Ok((self.cast(rounded, DType::I8)?, scales))
    }

    /// A projection of `x[sequence, depth]`.
    pub fn linear(&mut self, x: Value, linear: &Linear) -> Built {
        let product = self.matmul_transposed(x, &linear.matrix)?;
        let Some(bias) = &linear.bias else { return Ok(product) };
        let bias = self.constant(bias)?;
        self.sum(product, bias)
    }
}

/// A size as a dim.
pub fn dim(size: usize) -> Dim {
    Dim::constant(i64::try_from(size).unwrap_or(i64::MAX))
}
