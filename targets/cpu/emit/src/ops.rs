//! Scalar operations on registers.

use crate::dot;
use crate::emitter::{Emitter, Typed};
use crate::fault::{Emit, Fault};
use crate::ir::V;
use crate::math;
use inkwell::values::InstructionOpcode;
use inkwell::{FloatPredicate, IntPredicate};
use lostwax_ir::kernel::{Operand, Scalar};
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;

impl<'c> Emitter<'_, 'c, '_> {
    /// The value of the right side of a definition.
    pub(crate) fn scalar(&mut self, scalar: &Scalar) -> Emit<Typed<'c>> {
        match scalar {
            Scalar::Load(place) => self.load(place, None, None),
            Scalar::LoadIf { place, valid, otherwise } => {
                let valid = self.condition(valid)?;
                let otherwise = self.operand(otherwise)?;
                let loaded = self.load(place, valid, Some(otherwise.value))?;
                self.same_type(loaded, otherwise).map(|_| loaded)
            }
            Scalar::Index(dim, dtype) => {
                let value = self.index_value(dim)?;
                self.convert(*dtype, Typed { dtype: DType::I64, value })
            }
            Scalar::Unary(op, a) => {
                let a = self.operand(a)?;
                self.unary(*op, a)
            }
            Scalar::Binary(op, a, b) => {
                let (a, b) = (self.operand(a)?, self.operand(b)?);
                self.binary(*op, a, b)
            }
            Scalar::MulAdd(a, b, c) => {
                let (a, b, c) = (self.operand(a)?, self.operand(b)?, self.operand(c)?);
                self.mul_add(a, b, c)
            }
            Scalar::Dot4(a, b, c) => {
                let (a, b, c) = (self.operand(a)?, self.operand(b)?, self.operand(c)?);
                self.expect(a, DType::U32)?;
                self.expect(b, DType::U32)?;
                self.expect(c, DType::I32)?;
                Ok(Typed { dtype: DType::I32, value: dot::dot4(&self.ir, self.machine, [a.value, b.value, c.value])? })
            }
            Scalar::Select(condition, a, b) => {
                let (condition, a, b) = (self.operand(condition)?, self.operand(a)?, self.operand(b)?);
                self.expect(condition, DType::Bool)?;
                self.choose(condition.value, a, b)
            }
            Scalar::SelectIf(cond, a, b) => {
                let (a, b) = (self.operand(a)?, self.operand(b)?);
                match self.condition(cond)? {
                    Some(condition) => self.choose(condition, a, b),
                    None => self.same_type(a, b).map(|_| a),
                }
            }
            Scalar::Cast(dtype, a) => {
                let a = self.operand(a)?;
                self.convert(*dtype, a)
            }
            Scalar::Bitcast(dtype, a) => {
                let a = self.operand(a)?;
                self.reinterpret(*dtype, a)
            }
            Scalar::ShiftLeft(a, count) => self.shift(a, *count, true),
            Scalar::ShiftRight(a, count) => self.shift(a, *count, false),
        }
    }

    pub(crate) fn operand(&mut self, operand: &Operand) -> Emit<Typed<'c>> {
        match operand {
            Operand::Value(id) => match self.values.get(id) {
                Some(value) => Ok(*value),
                None => Fault::invalid(format!("value {} is not defined here", id.0)),
            },
            Operand::Float(dtype, bits) => self.float_constant(*dtype, f64::from_bits(*bits)),
            Operand::Int(dtype, value) if dtype.is_integer() => {
                let of = self.register_type(*dtype)?;
                Ok(Typed { dtype: *dtype, value: self.ir.int_of(of, *value) })
            }
            Operand::Int(DType::Bool, value) => {
                Ok(Typed { dtype: DType::Bool, value: self.ir.int_of(self.ir.int_type(1).into(), i64::from(*value != 0)) })
            }
            Operand::Int(dtype, _) => Fault::invalid(format!("an integer constant of type {dtype}")),
        }
    }

    fn float_constant(&mut self, dtype: DType, value: f64) -> Emit<Typed<'c>> {
        if !dtype.is_float() {
            return Fault::invalid(format!("a floating-point constant of type {dtype}"));
        }
        if dtype == DType::F64 {
            return Ok(Typed { dtype, value: self.ir.float_of(self.ir.float_type(64).into(), value) });
        }
        let single = self.ir.float_of(self.ir.float_type(32).into(), value);
        self.convert(dtype, Typed { dtype: DType::F32, value: single })
    }

    fn expect(&self, value: Typed<'c>, dtype: DType) -> Emit<()> {
        if value.dtype == dtype { Ok(()) } else { Fault::invalid(format!("a {} stands where a {dtype} is needed", value.dtype)) }
    }

    /// Both operands with as many lanes as the wider; they must be of one type.
    fn same_type(&self, a: Typed<'c>, b: Typed<'c>) -> Emit<(V<'c>, V<'c>)> {
        self.expect(b, a.dtype)?;
        self.ir.align(a.value, b.value)
    }

    fn choose(&mut self, condition: V<'c>, a: Typed<'c>, b: Typed<'c>) -> Emit<Typed<'c>> {
        let (then, otherwise) = self.same_type(a, b)?;
        Ok(Typed { dtype: a.dtype, value: self.select_lanes(condition, then, otherwise)? })
    }

    fn mul_add(&mut self, a: Typed<'c>, b: Typed<'c>, c: Typed<'c>) -> Emit<Typed<'c>> {
        if !a.dtype.is_float() {
            let product = self.binary(BinaryOp::Mul, a, b)?;
            return self.binary(BinaryOp::Add, product, c);
        }
        self.expect(b, a.dtype)?;
        self.expect(c, a.dtype)?;
        let (x, y, z) = (self.widened(a)?, self.widened(b)?, self.widened(c)?);
        let [x, y, z] = self.ir.align_all([x.value, y.value, z.value])?;
        self.narrowed(a.dtype, self.ir.mul_add(x, y, z)?)
    }

    fn shift(&mut self, operand: &Operand, count: u32, left: bool) -> Emit<Typed<'c>> {
        let Typed { dtype, value } = self.operand(operand)?;
        if !dtype.is_integer() || count as usize >= dtype.size() * 8 {
            return Fault::invalid(format!("a {dtype} is shifted by {count} bits"));
        }
        let distance = self.ir.int_of(value.get_type(), count.into());
        let value = match (left, dtype.is_signed_integer()) {
            (true, _) => self.ir.shl(value, distance)?,
            (false, true) => self.ir.ashr(value, distance)?,
            (false, false) => self.ir.lshr(value, distance)?,
        };
        Ok(Typed { dtype, value })
    }

    fn reinterpret(&mut self, dtype: DType, a: Typed<'c>) -> Emit<Typed<'c>> {
        if dtype.size() != a.dtype.size() || dtype == DType::Bool || a.dtype == DType::Bool {
            return Fault::invalid(format!("the bits of a {} are taken as a {dtype}", a.dtype));
        }
        Ok(Typed { dtype, value: self.ir.bitcast(a.value, self.register_type(dtype)?)? })
    }

    fn unary(&mut self, op: UnaryOp, a: Typed<'c>) -> Emit<Typed<'c>> {
        let Typed { dtype, value } = a;
        if dtype.is_float() {
            let wide = self.widened(a)?;
            let result = self.float_unary(op, wide.value)?;
            return self.narrowed(dtype, result);
        }
        let zero = value.get_type().const_zero();
        let value = match op {
            UnaryOp::Not => self.ir.not(value)?,
            UnaryOp::Neg if dtype.is_integer() => self.ir.sub(zero, value)?,
            UnaryOp::Abs if dtype.is_signed_integer() => {
                let negated = self.ir.sub(zero, value)?;
                self.ir.binary("llvm.smax", value, negated)?
            }
            UnaryOp::Abs | UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round if dtype.is_integer() => value,
            _ => return Fault::invalid(format!("`{}` of a {dtype}", op.name())),
        };
        Ok(Typed { dtype, value })
    }

    fn float_unary(&mut self, op: UnaryOp, x: V<'c>) -> Emit<V<'c>> {
        let ir = &self.ir;
        match op {
            UnaryOp::Neg => math::negate(ir, x),
            UnaryOp::Abs => ir.unary("llvm.fabs", x),
            UnaryOp::Sqrt => ir.unary("llvm.sqrt", x),
            UnaryOp::Recip => ir.fdiv(ir.float_of(x.get_type(), 1.0), x),
            UnaryOp::Exp => math::exp(ir, x),
            UnaryOp::Log => math::log(ir, x),
            UnaryOp::Tanh => math::tanh(ir, x),
            UnaryOp::Erf => math::erf(ir, x),
            UnaryOp::Sin => math::sin(ir, x),
            UnaryOp::Cos => math::cos(ir, x),
            UnaryOp::Sigmoid => math::sigmoid(ir, x),
            UnaryOp::Floor => math::floor(ir, self.machine, x),
            UnaryOp::Ceil => math::ceil(ir, self.machine, x),
            UnaryOp::Round => math::round(ir, self.machine, x),
            UnaryOp::Not => Fault::invalid("`not` of a float"),
        }
    }

    fn binary(&mut self, op: BinaryOp, a: Typed<'c>, b: Typed<'c>) -> Emit<Typed<'c>> {
        self.expect(b, a.dtype)?;
        let dtype = if op.is_comparison() { DType::Bool } else { a.dtype };
        if a.dtype.is_float() {
            let (x, y) = (self.widened(a)?, self.widened(b)?);
            let (x, y) = self.ir.align(x.value, y.value)?;
            let result = self.float_binary(op, x, y)?;
            return if op.is_comparison() { Ok(Typed { dtype, value: result }) } else { self.narrowed(dtype, result) };
        }
        let (x, y) = self.ir.align(a.value, b.value)?;
        let value = match a.dtype {
            DType::Bool => self.bool_binary(op, x, y)?,
            _ => self.int_binary(op, a.dtype.is_signed_integer(), x, y)?,
        };
        Ok(Typed { dtype, value })
    }

    fn float_binary(&mut self, op: BinaryOp, x: V<'c>, y: V<'c>) -> Emit<V<'c>> {
        let ir = &self.ir;
        match op {
            BinaryOp::Add => ir.fadd(x, y),
            BinaryOp::Sub => ir.fsub(x, y),
            BinaryOp::Mul => ir.fmul(x, y),
            BinaryOp::Div => ir.fdiv(x, y),
            BinaryOp::Pow => math::pow(ir, x, y),
            BinaryOp::Min => ir.extremum("llvm.minimum", x, y),
            BinaryOp::Max => ir.extremum("llvm.maximum", x, y),
            BinaryOp::Rem => math::remainder(ir, x, y),
            BinaryOp::Mod => math::modulo(ir, x, y),
            BinaryOp::Eq => ir.fcmp(FloatPredicate::OEQ, x, y),
            BinaryOp::Lt => ir.fcmp(FloatPredicate::OLT, x, y),
            BinaryOp::Le => ir.fcmp(FloatPredicate::OLE, x, y),
            BinaryOp::And | BinaryOp::Or | BinaryOp::Xor | BinaryOp::ShiftRight => {
                Fault::invalid(format!("`{}` of floats", op.name()))
            }
        }
    }

    fn bool_binary(&mut self, op: BinaryOp, x: V<'c>, y: V<'c>) -> Emit<V<'c>> {
        match op {
            BinaryOp::And | BinaryOp::Mul | BinaryOp::Min => self.ir.and(x, y),
            BinaryOp::Or | BinaryOp::Max => self.ir.or(x, y),
            BinaryOp::Xor => self.ir.xor(x, y),
            BinaryOp::Eq | BinaryOp::Lt | BinaryOp::Le => self.int_binary(op, false, x, y),
            _ => Fault::invalid(format!("`{}` of bools", op.name())),
        }
    }

    fn int_binary(&mut self, op: BinaryOp, signed: bool, x: V<'c>, y: V<'c>) -> Emit<V<'c>> {
        let ir = &self.ir;
        let (less, at_most) =
            if signed { (IntPredicate::SLT, IntPredicate::SLE) } else { (IntPredicate::ULT, IntPredicate::ULE) };
        match op {
            BinaryOp::Add => ir.add(x, y),
            BinaryOp::Sub => ir.sub(x, y),
            BinaryOp::Mul => ir.mul(x, y),
            BinaryOp::Min => ir.binary(if signed { "llvm.smin" } else { "llvm.umin" }, x, y),
            BinaryOp::Max => ir.binary(if signed { "llvm.smax" } else { "llvm.umax" }, x, y),
            BinaryOp::Eq => ir.icmp(IntPredicate::EQ, x, y),
            BinaryOp::Lt => ir.icmp(less, x, y),
            BinaryOp::Le => ir.icmp(at_most, x, y),
            BinaryOp::And => ir.and(x, y),
            BinaryOp::Or => ir.or(x, y),
            BinaryOp::Xor => ir.xor(x, y),
            BinaryOp::ShiftRight => self.shift_right(signed, x, y),
            BinaryOp::Div => self.divide(signed, x, y),
            BinaryOp::Rem => self.int_remainder(signed, x, y),
            BinaryOp::Mod => self.int_modulo(signed, x, y),
            BinaryOp::Pow => Fault::invalid("`pow` of integers"),
        }
    }

    /// A shift by `y` bits modulo the width.
    fn shift_right(&self, signed: bool, x: V<'c>, y: V<'c>) -> Emit<V<'c>> {
        let ir = &self.ir;
        let last = ir.int_of(y.get_type(), i64::from(ir.int_width(y.get_type())) - 1);
        let distance = ir.and(y, last)?;
        if signed { ir.ashr(x, distance) } else { ir.lshr(x, distance) }
    }

    /// The divisor, with 1 in place of values that would trap, and whether it was 0 or -1.
    fn safe_divisor(&self, signed: bool, y: V<'c>) -> Emit<(V<'c>, V<'c>, V<'c>)> {
        let ir = &self.ir;
        let of = y.get_type();
        let is_zero = ir.icmp(IntPredicate::EQ, y, of.const_zero())?;
        let is_minus_one = match signed {
            true => ir.icmp(IntPredicate::EQ, y, ir.int_of(of, -1))?,
            false => is_zero.get_type().const_zero(),
        };
        let unsafe_divisor = ir.or(is_zero, is_minus_one)?;
        Ok((ir.select(unsafe_divisor, ir.int_of(of, 1), y)?, is_zero, is_minus_one))
    }

    fn divide(&self, signed: bool, x: V<'c>, y: V<'c>) -> Emit<V<'c>> {
        let ir = &self.ir;
        let zero = x.get_type().const_zero();
        let (divisor, is_zero, is_minus_one) = self.safe_divisor(signed, y)?;
        let quotient = if signed { ir.sdiv(x, divisor)? } else { ir.udiv(x, divisor)? };
        let quotient = ir.select(is_minus_one, ir.sub(zero, x)?, quotient)?;
        ir.select(is_zero, zero, quotient)
    }

    fn int_remainder(&self, signed: bool, x: V<'c>, y: V<'c>) -> Emit<V<'c>> {
        let (divisor, _, _) = self.safe_divisor(signed, y)?;
        if signed { self.ir.srem(x, divisor) } else { self.ir.urem(x, divisor) }
    }

    /// The remainder, moved by one divisor where its sign is not the divisor's.
    fn int_modulo(&self, signed: bool, x: V<'c>, y: V<'c>) -> Emit<V<'c>> {
        let ir = &self.ir;
        let rest = self.int_remainder(signed, x, y)?;
        if !signed {
            return Ok(rest);
        }
        let zero = rest.get_type().const_zero();
        let is_nonzero = ir.icmp(IntPredicate::NE, rest, zero)?;
        let differs = ir.icmp(IntPredicate::SLT, ir.xor(rest, y)?, zero)?;
        let moves = ir.and(is_nonzero, differs)?;
        ir.add(rest, ir.select(moves, y, zero)?)
    }

    /// A float in the type that arithmetic is done in.
    pub(crate) fn widened(&self, a: Typed<'c>) -> Emit<Typed<'c>> {
        match a.dtype {
            DType::F16 | DType::BF16 => self.convert(DType::F32, a),
            _ => Ok(a),
        }
    }

    /// The result of arithmetic in its declared type.
    fn narrowed(&self, dtype: DType, value: V<'c>) -> Emit<Typed<'c>> {
        match dtype {
            DType::F16 | DType::BF16 => self.convert(dtype, Typed { dtype: DType::F32, value }),
            _ => Ok(Typed { dtype, value }),
        }
    }
}

/// The opcode that turns integers into floats.
pub(crate) fn int_to_float(signed: bool) -> InstructionOpcode {
    if signed { InstructionOpcode::SIToFP } else { InstructionOpcode::UIToFP }
}
