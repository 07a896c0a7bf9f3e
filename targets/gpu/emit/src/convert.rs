//! Conversions between element types.

use crate::builder::Value;
use crate::fault::{Emit, Fault};
use crate::kernel::{Emitter, prefix, register_type};
use lostwax_ir::number::int_range;
use lostwax_ir::types::DType;
use naga::{BinaryOperator, Literal, MathFunction, Scalar, ScalarKind, UnaryOperator};

impl Emitter<'_> {
    /// Float to integer truncates and saturates; integer to integer wraps; to bool tests for nonzero; to float rounds.
    pub(crate) fn cast(&mut self, from: DType, to: DType, value: Value) -> Emit<Value> {
        if from == to {
            return Ok(value);
        }
        let (source, target) = (register_type(from)?, register_type(to)?);
        match (source.kind, target.kind) {
            (_, ScalarKind::Bool) => {
                let zero = self.zero(from)?;
                // Not the comparison for inequality, which may be false for NaN.
                let equal = self.builder.binary(BinaryOperator::Equal, value, zero);
                Ok(self.builder.unary(UnaryOperator::LogicalNot, equal))
            }
            (ScalarKind::Bool, ScalarKind::Float) => Ok(self.of_bool(target, value)),
            (_, ScalarKind::Float) => {
                let value = self.as_width(source, target, value);
                self.rounded(to, value)
            }
            (ScalarKind::Float, _) => self.saturated(source, to, value),
            (ScalarKind::Bool, _) => Ok(self.of_bool(target, value)),
            _ => {
                let value = self.as_integer(source, target, value);
                Ok(self.wrapped(to, value))
            }
        }
    }

    fn of_bool(&mut self, target: Scalar, value: Value) -> Value {
        let (one, zero) = match prefix(target) {
            "double" => (Literal::F64(1.0), Literal::F64(0.0)),
            "float" => (Literal::F32(1.0), Literal::F32(0.0)),
            "long" => (Literal::I64(1), Literal::I64(0)),
            "ulong" => (Literal::U64(1), Literal::U64(0)),
            "int" => (Literal::I32(1), Literal::I32(0)),
            _ => (Literal::U32(1), Literal::U32(0)),
        };
        let (one, zero) = (self.builder.literal(one), self.builder.literal(zero));
        self.builder.select(value, one, zero)
    }

    /// To a float.
    fn as_width(&mut self, source: Scalar, target: Scalar, value: Value) -> Value {
        if source == target { value } else { self.builder.convert(value, ScalarKind::Float, Some(target.width)) }
    }

    /// First to the width, which keeps the sign, then to the kind, which keeps the bits.
    fn as_integer(&mut self, source: Scalar, target: Scalar, mut value: Value) -> Value {
        if source.width != target.width {
            value = self.builder.convert(value, source.kind, Some(target.width));
        }
        if source.kind != target.kind {
            value = self.builder.convert(value, target.kind, Some(target.width));
        }
        value
    }

    fn saturated(&mut self, source: Scalar, to: DType, value: Value) -> Emit<Value> {
        let target = register_type(to)?;
        let wide = if source.width == 8 { Scalar { kind: target.kind, width: 8 } } else { target };
        let name = format!("{}_of_{}", prefix(wide), prefix(source));
        let whole = self.builder.call(&name, &[value])?;
        let (low, high) = int_range(to);
        let narrow = (to.size() as u8) < wide.width;
        let whole = if narrow { self.clamped(wide, whole, low, high) } else { whole };
        Ok(self.as_integer(wide, target, whole))
    }

    fn clamped(&mut self, scalar: Scalar, value: Value, low: i128, high: i128) -> Value {
        let literal = |bound: i128| match prefix(scalar) {
            "long" => Literal::I64(bound as i64),
            "ulong" => Literal::U64(bound as u64),
            "int" => Literal::I32(bound as i32),
            _ => Literal::U32(bound as u32),
        };
        let (low, high) = (self.builder.literal(literal(low)), self.builder.literal(literal(high)));
        self.builder.math(MathFunction::Clamp, &[value, low, high])
    }

    /// The same bits as another type of equal size.
    pub(crate) fn reinterpret(&mut self, from: DType, to: DType, value: Value) -> Emit<Value> {
        if from.size() != to.size() || from == DType::Bool || to == DType::Bool {
            return Fault::invalid(format!("the bits of a {from} are taken as a {to}"));
        }
        if from == to {
            return Ok(value);
        }
        if from.size() < 4 {
            let bits = self.packed(from, value)?;
            return self.unpacked(to, bits);
        }
        Ok(self.builder.convert(value, register_type(to)?.kind, None))
    }

    /// What integer arithmetic in a wider register gives in its type.
    pub(crate) fn wrapped(&mut self, dtype: DType, value: Value) -> Value {
        match dtype {
            DType::I8 | DType::I16 => {
                let distance = self.builder.uint(32 - 8 * dtype.size() as u32);
                let high = self.builder.binary(BinaryOperator::ShiftLeft, value, distance);
                self.builder.binary(BinaryOperator::ShiftRight, high, distance)
            }
            DType::U8 | DType::U16 => {
                let mask = self.builder.uint(if dtype == DType::U8 { 0xff } else { 0xffff });
                self.builder.binary(BinaryOperator::And, value, mask)
            }
            _ => value,
        }
    }

    /// What float arithmetic in a wider register gives in its type.
    pub(crate) fn rounded(&mut self, dtype: DType, value: Value) -> Emit<Value> {
        match dtype {
            DType::F16 => self.builder.call("round_to_half", &[value]),
            DType::BF16 => self.builder.call("round_to_bfloat", &[value]),
            _ => Ok(value),
        }
    }
}
