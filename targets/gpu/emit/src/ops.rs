//! Scalar operations on registers.

use crate::builder::Value;
use crate::fault::{Emit, Fault};
use crate::kernel::{Emitter, Typed, prefix, register_type};
use crate::place::lane_of;
use lostwax_device_gpu::format::Feature;
use lostwax_ir::dim::Dim;
use lostwax_ir::kernel::{Cond, Operand, Place, Scalar};
use lostwax_ir::number::Number;
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;
use naga::{BinaryOperator, Literal, MathFunction, UnaryOperator};

impl Emitter<'_> {
    /// The value of the right side of a definition.
    pub(crate) fn scalar(&mut self, scalar: &Scalar) -> Emit<Typed> {
        if let Some(value) = self.load_quads(scalar)? {
            return Ok(value);
        }
        let differs = self.differs(scalar);
        self.each_lane(differs, |this, lane| this.scalar_in(scalar, lane))
    }

    /// Whether lanes may come to different values.
    fn differs(&self, scalar: &Scalar) -> bool {
        let value = |operand: &Operand| match operand {
            Operand::Value(id) => self.values.get(id).is_some_and(|value| value.lanes.len() > 1),
            _ => false,
        };
        let place = |place: &Place| match place {
            Place::Buffer(_, index) | Place::Local(_, index) | Place::Row(_, _, index) => self.varies(index),
        };
        let cond = |cond: &Cond| cond.0.iter().any(|part| self.varies(part));
        let masked = self.running(0).is_some();
        match scalar {
            Scalar::Load(at) => masked || place(at),
            Scalar::LoadIf { place: at, valid, otherwise } => masked || place(at) || cond(valid) || value(otherwise),
            Scalar::Index(dim, _) => self.varies(dim),
            Scalar::SelectIf(test, a, b) => cond(test) || value(a) || value(b),
            Scalar::Unary(_, a) | Scalar::Cast(_, a) | Scalar::Bitcast(_, a) => value(a),
            Scalar::ShiftLeft(a, _) | Scalar::ShiftRight(a, _) => value(a),
            Scalar::Binary(_, a, b) => value(a) || value(b),
            Scalar::MulAdd(a, b, c) | Scalar::Dot4(a, b, c) | Scalar::Select(a, b, c) => value(a) || value(b) || value(c),
        }
    }

    fn scalar_in(&mut self, scalar: &Scalar, lane: usize) -> Emit<(DType, Value)> {
        match scalar {
            Scalar::Load(place) => self.load_in(place, lane, None),
            Scalar::LoadIf { place, valid, otherwise } => self.load_if(place, valid, otherwise, lane),
            Scalar::Index(dim, dtype) => self.index_value(dim, *dtype, lane),
            Scalar::Unary(op, a) => {
                let (dtype, a) = self.operand_in(a, lane)?;
                Ok((dtype, self.unary(*op, dtype, a)?))
            }
            Scalar::Binary(op, a, b) => {
                let (dtype, [a, b]) = self.operands_in([a, b], lane)?;
                let result = if op.is_comparison() { DType::Bool } else { dtype };
                Ok((result, self.binary(*op, dtype, a, b)?))
            }
            Scalar::MulAdd(a, b, c) => {
                let (dtype, operands) = self.operands_in([a, b, c], lane)?;
                Ok((dtype, self.mul_add(dtype, operands)?))
            }
            Scalar::Dot4(a, b, c) => self.dot4([a, b, c], lane),
            Scalar::Select(condition, a, b) => {
                let (test, condition) = self.operand_in(condition, lane)?;
                expect(test, DType::Bool)?;
                let (dtype, [a, b]) = self.operands_in([a, b], lane)?;
                Ok((dtype, self.builder.select(condition, a, b)))
            }
            Scalar::SelectIf(cond, a, b) => {
                let (dtype, [a, b]) = self.operands_in([a, b], lane)?;
                let condition = self.condition(cond, lane)?;
                Ok((dtype, condition.map_or(a, |condition| self.builder.select(condition, a, b))))
            }
            Scalar::Cast(to, a) => {
                let (from, a) = self.operand_in(a, lane)?;
                Ok((*to, self.cast(from, *to, a)?))
            }
            Scalar::Bitcast(to, a) => {
                let (from, a) = self.operand_in(a, lane)?;
                Ok((*to, self.reinterpret(from, *to, a)?))
            }
            Scalar::ShiftLeft(a, count) => self.shift(a, *count, BinaryOperator::ShiftLeft, lane),
            Scalar::ShiftRight(a, count) => self.shift(a, *count, BinaryOperator::ShiftRight, lane),
        }
    }

    fn load_if(&mut self, place: &Place, valid: &Cond, otherwise: &Operand, lane: usize) -> Emit<(DType, Value)> {
        let valid = self.condition(valid, lane)?;
        let (expected, otherwise) = self.operand_in(otherwise, lane)?;
        let (dtype, loaded) = self.load_in(place, lane, valid)?;
        expect(expected, dtype)?;
        Ok((dtype, valid.map_or(loaded, |valid| self.builder.select(valid, loaded, otherwise))))
    }

    fn index_value(&mut self, dim: &Dim, dtype: DType, lane: usize) -> Emit<(DType, Value)> {
        let value = self.integer(dim, lane)?;
        Ok((dtype, self.cast(DType::I32, dtype, value)?))
    }

    pub(crate) fn operand(&mut self, operand: &Operand) -> Emit<Typed> {
        match operand {
            Operand::Value(id) => match self.values.get(id) {
                Some(value) => Ok(value.clone()),
                None => Fault::invalid(format!("value {} is not defined here", id.0)),
            },
            Operand::Float(dtype, bits) => self.number(Number::float(*dtype, f64::from_bits(*bits))),
            Operand::Int(dtype, value) => self.number(Number::int(*dtype, i128::from(*value))),
        }
    }

    fn operand_in(&mut self, operand: &Operand, lane: usize) -> Emit<(DType, Value)> {
        let value = self.operand(operand)?;
        Ok((value.dtype, lane_of(&value, lane)?))
    }

    /// Operands that must be of one type.
    fn operands_in<const N: usize>(&mut self, operands: [&Operand; N], lane: usize) -> Emit<(DType, [Value; N])> {
        let mut found = Vec::with_capacity(N);
        for operand in operands {
            found.push(self.operand_in(operand, lane)?);
        }
        let dtype = found.first().map_or(DType::F32, |(dtype, _)| *dtype);
        found.iter().try_for_each(|(other, _)| expect(*other, dtype))?;
        let values: Vec<Value> = found.into_iter().map(|(_, value)| value).collect();
        let values = values.try_into().map_err(|_| Fault::Invalid("an operation lacks operands".into()))?;
        Ok((dtype, values))
    }

    fn number(&mut self, number: Number) -> Emit<Typed> {
        let dtype = number.dtype();
        let scalar = register_type(dtype)?;
        let value = match (number, prefix(scalar)) {
            (Number::Float(_, value), "double") if !value.is_finite() => {
                let bits = self.builder.literal(Literal::U64(value.to_bits()));
                self.builder.call_at(0, "double_of_bits", &[bits])?
            }
            (Number::Float(_, value), "double") => self.builder.literal(Literal::F64(value)),
            (Number::Float(_, value), _) if !(value as f32).is_finite() => {
                let bits = self.builder.uint((value as f32).to_bits());
                self.builder.call_at(0, "float_of_bits", &[bits])?
            }
            (Number::Float(_, value), _) => self.builder.literal(Literal::F32(value as f32)),
            (Number::Int(DType::Bool, value), _) => self.builder.bool(value != 0),
            (Number::Int(_, value), "long") => self.builder.literal(Literal::I64(value)),
            (Number::Int(_, value), "ulong") => self.builder.literal(Literal::U64(value as u64)),
            (Number::Int(_, value), "int") => self.builder.int(value as i32),
            (Number::Int(_, value), _) => self.builder.uint(value as u32),
        };
        Ok(Typed { dtype, lanes: vec![value] })
    }

    fn mul_add(&mut self, dtype: DType, [a, b, c]: [Value; 3]) -> Emit<Value> {
        if dtype.is_float() {
            let value = self.builder.math(MathFunction::Fma, &[a, b, c]);
            return self.rounded(dtype, value);
        }
        let product = self.binary(BinaryOp::Mul, dtype, a, b)?;
        self.binary(BinaryOp::Add, dtype, product, c)
    }

    fn dot4(&mut self, operands: [&Operand; 3], lane: usize) -> Emit<(DType, Value)> {
        let mut values = Vec::with_capacity(3);
        for (operand, expected) in operands.into_iter().zip([DType::U32, DType::U32, DType::I32]) {
            let (dtype, value) = self.operand_in(operand, lane)?;
            expect(dtype, expected)?;
            values.push(value);
        }
        let function = if self.may_use(Feature::PackedDots) { "dot_of_bytes" } else { "dot_of_bytes_apart" };
        Ok((DType::I32, self.builder.call(function, &values)?))
    }

    fn shift(&mut self, operand: &Operand, count: u32, op: BinaryOperator, lane: usize) -> Emit<(DType, Value)> {
        let (dtype, value) = self.operand_in(operand, lane)?;
        if !dtype.is_integer() || count as usize >= dtype.size() * 8 {
            return Fault::invalid(format!("a {dtype} is shifted by {count} bits"));
        }
        let distance = self.builder.uint(count);
        let shifted = self.builder.binary(op, value, distance);
        Ok((dtype, self.wrapped(dtype, shifted)))
    }

    fn unary(&mut self, op: UnaryOp, dtype: DType, a: Value) -> Emit<Value> {
        if dtype.is_float() {
            let value = self.float_unary(op, dtype, a)?;
            return self.rounded(dtype, value);
        }
        match op {
            UnaryOp::Not if dtype == DType::Bool => Ok(self.builder.unary(UnaryOperator::LogicalNot, a)),
            UnaryOp::Not if dtype.is_integer() => {
                let value = self.builder.unary(UnaryOperator::BitwiseNot, a);
                Ok(self.wrapped(dtype, value))
            }
            UnaryOp::Neg if dtype.is_integer() => {
                let zero = self.zero(dtype)?;
                self.binary(BinaryOp::Sub, dtype, zero, a)
            }
            UnaryOp::Abs if dtype.is_signed_integer() => {
                let value = self.builder.math(MathFunction::Abs, &[a]);
                Ok(self.wrapped(dtype, value))
            }
            UnaryOp::Abs | UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round if dtype.is_integer() => Ok(a),
            _ => Fault::invalid(format!("`{}` of a {dtype}", op.name())),
        }
    }

    fn float_unary(&mut self, op: UnaryOp, dtype: DType, x: Value) -> Emit<Value> {
        let of_prelude = match op {
            UnaryOp::Neg => return Ok(self.builder.unary(UnaryOperator::Negate, x)),
            UnaryOp::Abs => return Ok(self.builder.math(MathFunction::Abs, &[x])),
            UnaryOp::Floor => return Ok(self.builder.math(MathFunction::Floor, &[x])),
            UnaryOp::Ceil => return Ok(self.builder.math(MathFunction::Ceil, &[x])),
            UnaryOp::Sqrt if dtype == DType::F64 => return Ok(self.builder.math(MathFunction::Sqrt, &[x])),
            UnaryOp::Recip => {
                let one = self.number(Number::float(dtype, 1.0))?;
                let one = lane_of(&one, 0)?;
                return Ok(self.builder.binary(BinaryOperator::Divide, one, x));
            }
            UnaryOp::Not => return Fault::invalid("`not` of a float"),
            other => other.name(),
        };
        let name = format!("{}_{of_prelude}", prefix(register_type(dtype)?));
        self.builder.call(&name, &[x])
    }

    pub(crate) fn binary(&mut self, op: BinaryOp, dtype: DType, a: Value, b: Value) -> Emit<Value> {
        match dtype {
            DType::Bool => self.bool_binary(op, a, b),
            _ if op.is_comparison() => Ok(self.builder.binary(comparison(op), a, b)),
            _ if dtype.is_float() => {
                let value = self.float_binary(op, dtype, a, b)?;
                self.rounded(dtype, value)
            }
            _ => {
                let value = self.int_binary(op, dtype, a, b)?;
                Ok(self.wrapped(dtype, value))
            }
        }
    }

    fn float_binary(&mut self, op: BinaryOp, dtype: DType, a: Value, b: Value) -> Emit<Value> {
        let of_prelude = match op {
            BinaryOp::Add => return Ok(self.builder.binary(BinaryOperator::Add, a, b)),
            BinaryOp::Sub => return Ok(self.builder.binary(BinaryOperator::Subtract, a, b)),
            BinaryOp::Mul => return Ok(self.builder.binary(BinaryOperator::Multiply, a, b)),
            BinaryOp::Div => return Ok(self.builder.binary(BinaryOperator::Divide, a, b)),
            BinaryOp::Min => "min",
            BinaryOp::Max => "max",
            BinaryOp::Pow => "pow",
            BinaryOp::Rem => "rem",
            BinaryOp::Mod => "mod",
            _ => return Fault::invalid(format!("`{}` of floats", op.name())),
        };
        let name = format!("{}_{of_prelude}", prefix(register_type(dtype)?));
        self.builder.call(&name, &[a, b])
    }

    fn bool_binary(&mut self, op: BinaryOp, a: Value, b: Value) -> Emit<Value> {
        let (op, a) = match op {
            BinaryOp::And | BinaryOp::Mul | BinaryOp::Min => (BinaryOperator::And, a),
            BinaryOp::Or | BinaryOp::Max => (BinaryOperator::InclusiveOr, a),
            BinaryOp::Xor => (BinaryOperator::NotEqual, a),
            BinaryOp::Eq => (BinaryOperator::Equal, a),
            BinaryOp::Lt => (BinaryOperator::And, self.builder.unary(UnaryOperator::LogicalNot, a)),
            BinaryOp::Le => (BinaryOperator::InclusiveOr, self.builder.unary(UnaryOperator::LogicalNot, a)),
            _ => return Fault::invalid(format!("`{}` of bools", op.name())),
        };
        Ok(self.builder.binary(op, a, b))
    }

    fn int_binary(&mut self, op: BinaryOp, dtype: DType, a: Value, b: Value) -> Emit<Value> {
        let of_prelude = match op {
            BinaryOp::Add => return Ok(self.builder.binary(BinaryOperator::Add, a, b)),
            BinaryOp::Sub => return Ok(self.builder.binary(BinaryOperator::Subtract, a, b)),
            BinaryOp::Mul => return Ok(self.builder.binary(BinaryOperator::Multiply, a, b)),
            BinaryOp::And => return Ok(self.builder.binary(BinaryOperator::And, a, b)),
            BinaryOp::Or => return Ok(self.builder.binary(BinaryOperator::InclusiveOr, a, b)),
            BinaryOp::Xor => return Ok(self.builder.binary(BinaryOperator::ExclusiveOr, a, b)),
            BinaryOp::Min => return Ok(self.builder.math(MathFunction::Min, &[a, b])),
            BinaryOp::Max => return Ok(self.builder.math(MathFunction::Max, &[a, b])),
            BinaryOp::ShiftRight => return self.shift_right(dtype, a, b),
            BinaryOp::Div => "div",
            BinaryOp::Mod if dtype.is_signed_integer() => "mod",
            BinaryOp::Rem | BinaryOp::Mod => "rem",
            _ => return Fault::invalid(format!("`{}` of integers", op.name())),
        };
        let name = format!("{}_{of_prelude}", prefix(register_type(dtype)?));
        self.builder.call(&name, &[a, b])
    }

    /// A shift by `b` bits modulo the width of the type.
    fn shift_right(&mut self, dtype: DType, a: Value, b: Value) -> Emit<Value> {
        let distance = self.cast(dtype, DType::U32, b)?;
        let last = self.builder.uint(dtype.size() as u32 * 8 - 1);
        let distance = self.builder.binary(BinaryOperator::And, distance, last);
        Ok(self.builder.binary(BinaryOperator::ShiftRight, a, distance))
    }
}

fn comparison(op: BinaryOp) -> BinaryOperator {
    match op {
        BinaryOp::Lt => BinaryOperator::Less,
        BinaryOp::Le => BinaryOperator::LessEqual,
        _ => BinaryOperator::Equal,
    }
}

pub(crate) fn expect(found: DType, expected: DType) -> Emit<()> {
    if found == expected { Ok(()) } else { Fault::invalid(format!("a {found} stands where a {expected} is needed")) }
}
