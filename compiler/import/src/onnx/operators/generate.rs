//! Tensors made from nothing.

use super::shape::sizes;
use super::{Importer, Node, Operator, Results, one};
use crate::onnx::known::{self, Known};
use crate::onnx::node_error::{NodeError, NodeResult, invalid, limit, unsupported};
use crate::onnx::number::Number;
use crate::onnx::operand::Operand;
use crate::onnx::tensors;
use lostwax_ir::dim::Dim;
use lostwax_ir::ops::Op;
use lostwax_ir::tensor::{Tensor, element_count};
use lostwax_ir::types::DType;

pub(super) const OPERATORS: &[Operator] = &[
    Operator::standard("Constant", constant),
    Operator::standard("ConstantOfShape", constant_of_shape),
    Operator::standard("EyeLike", eye_like),
    Operator::standard("Range", range),
];

fn constant(cx: &mut Importer, node: &Node) -> Results {
    if let Some(tensor) = node.tensor("value") {
        return one(tensors::item(tensor, cx.folder)?);
    }
    let tensor = if node.has("value_float") {
        Tensor::f32(&[], &[node.float("value_float", 0.0) as f32])
    } else if node.has("value_int") {
        Tensor::i64(&[], &[node.int("value_int", 0)])
    } else if let Some(values) = node.floats("value_floats") {
        Tensor::f32(&[values.len()], &values)
    } else if let Some(values) = node.ints("value_ints") {
        Tensor::i64(&[values.len()], &values)
    } else {
        return unsupported("only dense tensors of numbers can be constants");
    };
    match tensor {
        Some(tensor) => one(tensor.into()),
        None => limit("the constant is too large"),
    }
}

fn constant_of_shape(cx: &mut Importer, node: &Node) -> Results {
    let dims = sizes(node.input(0)?, "the shape")?;
    let value = match node.tensor("value") {
        Some(tensor) => tensors::tensor(tensor, None)?,
        None => return fill(cx, DType::F32, &dims, 0.0),
    };
    match value.to_f64().as_slice() {
        [element] => fill(cx, value.dtype(), &dims, *element),
        _ => invalid("the value must have one element"),
    }
}

fn fill(cx: &mut Importer, dtype: DType, dims: &[Dim], value: f64) -> Results {
    let constant: Option<Vec<i64>> = dims.iter().map(Dim::as_constant).collect();
    let Some(constant) = constant else {
        return one(cx.full(dtype, dims, value)?);
    };
    let shape = tensors::shape(&constant)?;
    cx.reserve(element_count(&shape).unwrap_or(0).saturating_mul(dtype.size()))?;
    let element = Tensor::from_f64(dtype, &[], &[value]);
    let tensor = element.and_then(|element| {
        let mut tensor = Tensor::zeros(dtype, &shape)?;
        if element.bytes().iter().any(|byte| *byte != 0) {
            tensor.bytes_mut().chunks_exact_mut(dtype.size()).for_each(|chunk| chunk.copy_from_slice(element.bytes()));
        }
        Some(tensor)
    });
    match tensor {
        Some(tensor) => one(tensor.into()),
        None => limit("the constant does not fit memory"),
    }
}

fn eye_like(cx: &mut Importer, node: &Node) -> Results {
    let x = node.input(0)?;
    let dims = cx.dims(x);
    if dims.len() != 2 {
        return invalid("the operand must have rank 2");
    }
    let dtype = if node.has("dtype") { tensors::dtype(node.int("dtype", 1))? } else { cx.dtype(x) };
    let (row, column) = (cx.iota(DType::I64, &dims, 0)?, cx.iota(DType::I64, &dims, 1)?);
    let diagonal = cx.with_scalar(Op::Add, &row, node.int("k", 0) as f64)?;
    let hit = cx.binary(Op::Equal, &diagonal, &column)?;
    one(cx.cast(&hit, dtype)?)
}

fn range(cx: &mut Importer, node: &Node) -> Results {
    let dtype = cx.dtype(node.input(0)?);
    let number = |position: usize| -> NodeResult<Number> {
        let item = node.input(position)?;
        let known = item.known().and_then(|known| known.values.first().cloned());
        let known = known.or_else(|| item.floats().and_then(|values| Number::from_scale(*values.first()? as f32)));
        known.ok_or_else(|| NodeError::Unsupported("ranges that depend on the data are not supported".to_string()))
    };
    let (start, end, step) = (number(0)?, number(1)?, number(2)?);
    let count = end.sub(&start).and_then(|length| length.div(&step)).and_then(|count| count.ceil());
    let Some(count) = count.as_ref().and_then(Number::as_dim) else {
        return unsupported("the length of the range cannot be determined");
    };
    let count = if count.bounds().0 >= 0 { count.clone() } else { count.maximum(0) };
    if let Some(known) = count.as_constant().and_then(|count| known_range(dtype, &start, &step, count)) {
        return one(known.into());
    }
    let positions = cx.iota(dtype, &[count], 0)?;
    let steps = scaled(cx, dtype, &positions, &step)?;
    let start: Operand = Known::scalar(dtype, start).into();
    one(if start.floats() == Some(vec![0.0]) { steps } else { cx.add(&steps, &start)? })
}

fn known_range(dtype: DType, start: &Number, step: &Number, count: i64) -> Option<Known> {
    let count = usize::try_from(count).ok().filter(|count| *count <= known::MAX_ELEMENTS)?;
    let values = (0..count as i64).map(|i| step.mul(&i.into())?.add(start));
    Known::new(dtype, vec![count], values.collect::<Option<Vec<Number>>>()?)
}

fn scaled(cx: &mut Importer, dtype: DType, x: &Operand, factor: &Number) -> NodeResult<Operand> {
    if factor.as_i64() == Some(1) {
        return Ok(x.clone());
    }
    let factor: Operand = Known::scalar(dtype, factor.clone()).into();
    cx.mul(x, &factor)
}
