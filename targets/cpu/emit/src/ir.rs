//! A thin layer over the LLVM builder that treats scalars and vectors alike.

use crate::fault::{Emit, Fault};
use inkwell::attributes::AttributeLoc;
use inkwell::builder::Builder;
use inkwell::context::Context;
use inkwell::intrinsics::Intrinsic;
use inkwell::module::Module;
use inkwell::types::{BasicType, BasicTypeEnum, FloatType, IntType};
use inkwell::values::{
    BasicMetadataValueEnum, BasicValue, BasicValueEnum, FunctionValue, InstructionOpcode, IntValue, PointerValue, VectorValue,
};
use inkwell::{AddressSpace, FloatPredicate, IntPredicate};
use std::ops::Range;

/// An LLVM value: a scalar or a vector.
pub(crate) type V<'c> = BasicValueEnum<'c>;

/// Lets the algebra of the optimizer ignore the sign of zero.
const NO_SIGNED_ZEROS: u32 = 1 << 3;

/// Where instructions go, and the types of their module.
pub(crate) struct Ir<'m, 'c> {
    pub(crate) context: &'c Context,
    pub(crate) module: &'m Module<'c>,
    pub(crate) builder: Builder<'c>,
}

macro_rules! binary_instructions {
    ($($name:ident = $opcode:ident,)*) => {
        impl<'c> Ir<'_, 'c> {
            $(pub(crate) fn $name(&self, a: V<'c>, b: V<'c>) -> Emit<V<'c>> {
                Ok(self.builder.build_binop(InstructionOpcode::$opcode, a, b, "")?)
            })*
        }
    };
}

binary_instructions! {
    add = Add,
    sub = Sub,
    mul = Mul,
    udiv = UDiv,
    sdiv = SDiv,
    urem = URem,
    srem = SRem,
    shl = Shl,
    lshr = LShr,
    ashr = AShr,
    and = And,
    or = Or,
    xor = Xor,
    fadd = FAdd,
    fsub = FSub,
    fmul = FMul,
    fdiv = FDiv,
}

/// The lanes of a vector; `None` for a scalar.
pub(crate) fn lanes_of(value: V<'_>) -> Option<u32> {
    match value {
        BasicValueEnum::VectorValue(vector) => Some(vector.get_type().get_size()),
        _ => None,
    }
}

/// Whether a value is a constant; a vector is if all of its lanes are.
pub(crate) fn is_constant(value: V<'_>) -> bool {
    match value {
        BasicValueEnum::IntValue(int) => int.is_const(),
        BasicValueEnum::VectorValue(vector) => vector.is_const(),
        _ => false,
    }
}

/// `element` itself, or a vector of as many as `lanes` says.
pub(crate) fn widen_type<'c>(element: BasicTypeEnum<'c>, lanes: Option<u32>) -> BasicTypeEnum<'c> {
    match (lanes, element) {
        (None, _) => element,
        (Some(lanes), BasicTypeEnum::IntType(element)) => element.vec_type(lanes).into(),
        (Some(lanes), BasicTypeEnum::FloatType(element)) => element.vec_type(lanes).into(),
        (Some(lanes), BasicTypeEnum::PointerType(element)) => element.vec_type(lanes).into(),
        (Some(_), _) => element,
    }
}

/// The type of one lane.
pub(crate) fn element_type<'c>(of: BasicTypeEnum<'c>) -> BasicTypeEnum<'c> {
    match of {
        BasicTypeEnum::VectorType(vector) => vector.get_element_type(),
        _ => of,
    }
}

impl<'m, 'c> Ir<'m, 'c> {
    pub(crate) fn new(context: &'c Context, module: &'m Module<'c>) -> Self {
        Self { context, module, builder: context.create_builder() }
    }

    pub(crate) fn int_type(&self, bits: u32) -> IntType<'c> {
        match bits {
            1 => self.context.bool_type(),
            8 => self.context.i8_type(),
            16 => self.context.i16_type(),
            32 => self.context.i32_type(),
            _ => self.context.i64_type(),
        }
    }

    pub(crate) fn float_type(&self, bits: u32) -> FloatType<'c> {
        match bits {
            16 => self.context.f16_type(),
            32 => self.context.f32_type(),
            _ => self.context.f64_type(),
        }
    }

    pub(crate) fn i64(&self, value: i64) -> IntValue<'c> {
        self.context.i64_type().const_int(value as u64, true)
    }

    /// The bits of an integer type, or of the lanes of a vector of integers; 64 for other types.
    pub(crate) fn int_width(&self, of: BasicTypeEnum<'c>) -> u32 {
        match element_type(of) {
            BasicTypeEnum::IntType(int) => int.get_bit_width(),
            _ => 64,
        }
    }

    /// The constant `value` in every lane of a type of integers.
    pub(crate) fn int_of(&self, of: BasicTypeEnum<'c>, value: i64) -> V<'c> {
        let bits = self.int_width(of);
        splat_constant(self.int_type(bits).const_int(value as u64, true).into(), of)
    }

    /// The constant `value` in every lane of a type of floats.
    pub(crate) fn float_of(&self, of: BasicTypeEnum<'c>, value: f64) -> V<'c> {
        let element = if self.float_bits(of) == 64 { self.context.f64_type() } else { self.context.f32_type() };
        splat_constant(element.const_float(value).into(), of)
    }

    /// The width of a type of floats.
    pub(crate) fn float_bits(&self, of: BasicTypeEnum<'c>) -> u32 {
        if element_type(of) == self.context.f64_type().into() { 64 } else { 32 }
    }

    /// The integer type with the lanes and width of a type of floats.
    pub(crate) fn bits_type(&self, of: BasicTypeEnum<'c>) -> BasicTypeEnum<'c> {
        let lanes = match of {
            BasicTypeEnum::VectorType(vector) => Some(vector.get_size()),
            _ => None,
        };
        widen_type(self.int_type(self.float_bits(of)).into(), lanes)
    }

    pub(crate) fn cast(&self, opcode: InstructionOpcode, value: V<'c>, element: BasicTypeEnum<'c>) -> Emit<V<'c>> {
        Ok(self.builder.build_cast(opcode, value, widen_type(element, lanes_of(value)), "")?)
    }

    pub(crate) fn bitcast(&self, value: V<'c>, element: BasicTypeEnum<'c>) -> Emit<V<'c>> {
        self.cast(InstructionOpcode::BitCast, value, element)
    }

    pub(crate) fn icmp(&self, predicate: IntPredicate, a: V<'c>, b: V<'c>) -> Emit<V<'c>> {
        match (a, b) {
            (BasicValueEnum::VectorValue(a), BasicValueEnum::VectorValue(b)) => {
                Ok(self.builder.build_int_compare(predicate, a, b, "")?.into())
            }
            (BasicValueEnum::IntValue(a), BasicValueEnum::IntValue(b)) => {
                Ok(self.builder.build_int_compare(predicate, a, b, "")?.into())
            }
            _ => Fault::invalid("an integer comparison of other values"),
        }
    }

    pub(crate) fn fcmp(&self, predicate: FloatPredicate, a: V<'c>, b: V<'c>) -> Emit<V<'c>> {
        match (a, b) {
            (BasicValueEnum::VectorValue(a), BasicValueEnum::VectorValue(b)) => {
                Ok(self.builder.build_float_compare(predicate, a, b, "")?.into())
            }
            (BasicValueEnum::FloatValue(a), BasicValueEnum::FloatValue(b)) => {
                Ok(self.builder.build_float_compare(predicate, a, b, "")?.into())
            }
            _ => Fault::invalid("a floating-point comparison of other values"),
        }
    }

    pub(crate) fn select(&self, condition: V<'c>, then: V<'c>, otherwise: V<'c>) -> Emit<V<'c>> {
        match condition {
            BasicValueEnum::VectorValue(mask) => Ok(self.builder.build_select(mask, then, otherwise, "")?),
            BasicValueEnum::IntValue(bit) => Ok(self.builder.build_select(bit, then, otherwise, "")?),
            _ => Fault::invalid("a selection by something other than a bool"),
        }
    }

    pub(crate) fn not(&self, value: V<'c>) -> Emit<V<'c>> {
        self.xor(value, self.int_of(value.get_type(), -1))
    }

    /// Calls an intrinsic that is overloaded on `types`.
    pub(crate) fn intrinsic(&self, name: &str, types: &[BasicTypeEnum<'c>], arguments: &[V<'c>]) -> Emit<V<'c>> {
        match self.intrinsic_call(name, types, arguments)?.try_as_basic_value().basic() {
            Some(value) => Ok(value),
            None => Err(Fault::Generator(format!("{name} gives no value"))),
        }
    }

    fn declaration(&self, name: &str, types: &[BasicTypeEnum<'c>]) -> Emit<FunctionValue<'c>> {
        let declaration = Intrinsic::find(name).and_then(|intrinsic| intrinsic.get_declaration(self.module, types));
        declaration.ok_or_else(|| Fault::Generator(format!("{name} is unknown")))
    }

    /// An intrinsic that is not overloaded, on the bits of the arguments.
    pub(crate) fn intrinsic_of_bits(&self, name: &str, arguments: &[V<'c>]) -> Emit<V<'c>> {
        let function = self.declaration(name, &[])?;
        let mut bits: Vec<BasicMetadataValueEnum> = Vec::new();
        for (argument, parameter) in arguments.iter().zip(function.get_params()) {
            bits.push(self.as_type(*argument, parameter.get_type())?.into());
        }
        let result = self.builder.build_call(function, &bits, "")?.try_as_basic_value().basic();
        result.ok_or_else(|| Fault::Generator(format!("{name} gives no value")))
    }

    /// The same bits as another type.
    pub(crate) fn as_type(&self, value: V<'c>, of: BasicTypeEnum<'c>) -> Emit<V<'c>> {
        Ok(self.builder.build_bit_cast(value, of, "")?)
    }

    /// Some neighbouring lanes of a vector.
    pub(crate) fn lanes(&self, value: V<'c>, first: u32, count: u32) -> Emit<V<'c>> {
        let vector = as_vector(value)?;
        if vector.get_type().get_size() == count {
            return Ok(value);
        }
        self.shuffle(vector, vector.get_type().get_poison(), first..first + count)
    }

    /// Vectors of equal size as one, two by two; their number is a power of two.
    pub(crate) fn concatenated(&self, parts: &[V<'c>]) -> Emit<V<'c>> {
        match parts {
            [] => Fault::invalid("a vector without lanes"),
            [whole] => Ok(*whole),
            _ => {
                let (low, high) = parts.split_at(parts.len() / 2);
                let (low, high) = (as_vector(self.concatenated(low)?)?, as_vector(self.concatenated(high)?)?);
                let lanes = 2 * low.get_type().get_size();
                self.shuffle(low, high, 0..lanes)
            }
        }
    }

    /// Neighbouring lanes of two vectors that stand side by side.
    fn shuffle(&self, low: VectorValue<'c>, high: VectorValue<'c>, lanes: Range<u32>) -> Emit<V<'c>> {
        let places: Vec<_> = lanes.map(|lane| self.int_type(32).const_int(lane.into(), false)).collect();
        let mask = inkwell::types::VectorType::const_vector(&places);
        Ok(self.builder.build_shuffle_vector(low, high, mask, "")?.into())
    }

    /// As [`Ir::intrinsic`], for those without a result.
    pub(crate) fn intrinsic_call(
        &self,
        name: &str,
        types: &[BasicTypeEnum<'c>],
        arguments: &[V<'c>],
    ) -> Emit<inkwell::values::CallSiteValue<'c>> {
        let function = self.declaration(name, types)?;
        let arguments: Vec<BasicMetadataValueEnum> = arguments.iter().map(|value| (*value).into()).collect();
        Ok(self.builder.build_call(function, &arguments, "")?)
    }

    /// An intrinsic of one operand whose result has its type.
    pub(crate) fn unary(&self, name: &str, a: V<'c>) -> Emit<V<'c>> {
        self.intrinsic(name, &[a.get_type()], &[a])
    }

    /// An intrinsic of two operands of one type, which is the result's too.
    pub(crate) fn binary(&self, name: &str, a: V<'c>, b: V<'c>) -> Emit<V<'c>> {
        self.intrinsic(name, &[a.get_type()], &[a, b])
    }

    /// `a * b + c`, fused where the machine can.
    pub(crate) fn mul_add(&self, a: V<'c>, b: V<'c>, c: V<'c>) -> Emit<V<'c>> {
        self.intrinsic("llvm.fmuladd", &[a.get_type()], &[a, b, c])
    }

    /// The larger or smaller of two floats, NaN if either is; zeros of both signs count as equal.
    pub(crate) fn extremum(&self, name: &str, a: V<'c>, b: V<'c>) -> Emit<V<'c>> {
        let result = self.binary(name, a, b)?;
        if let Some(instruction) = result.as_instruction_value()
            && instruction.can_use_fast_math_flags()
        {
            let flags = inkwell::values::FastMathFlags::from_bits_truncate(NO_SIGNED_ZEROS);
            instruction.set_fast_math_flags(flags).map_err(|error| Fault::Generator(error.to_string()))?;
        }
        Ok(result)
    }

    /// A vector with `value` in every lane.
    pub(crate) fn splat(&self, value: V<'c>, lanes: u32) -> Emit<V<'c>> {
        if let BasicValueEnum::VectorValue(_) = value {
            return Ok(value);
        }
        let of = widen_type(value.get_type(), Some(lanes)).into_vector_type();
        let first = self.builder.build_insert_element(of.get_poison(), value, self.int_type(32).const_zero(), "")?;
        let mask = self.int_type(32).vec_type(lanes).const_zero();
        Ok(self.builder.build_shuffle_vector(first, of.get_poison(), mask, "")?.into())
    }

    /// Both with as many lanes as the wider.
    pub(crate) fn align(&self, a: V<'c>, b: V<'c>) -> Emit<(V<'c>, V<'c>)> {
        match lanes_of(a).or(lanes_of(b)) {
            Some(lanes) => Ok((self.splat(a, lanes)?, self.splat(b, lanes)?)),
            None => Ok((a, b)),
        }
    }

    /// All three with as many lanes as the widest.
    pub(crate) fn align_all(&self, [a, b, c]: [V<'c>; 3]) -> Emit<[V<'c>; 3]> {
        let (a, b) = self.align(a, b)?;
        let (a, c) = self.align(a, c)?;
        let (b, c) = self.align(b, c)?;
        Ok([a, b, c])
    }

    /// One lane of a vector; a scalar is its own every lane.
    pub(crate) fn lane(&self, value: V<'c>, lane: u32) -> Emit<V<'c>> {
        match value {
            BasicValueEnum::VectorValue(vector) => {
                let lane = self.int_type(32).const_int(lane.into(), false);
                Ok(self.builder.build_extract_element(vector, lane, "")?)
            }
            _ => Ok(value),
        }
    }

    /// A vector of the given lanes; there is at least one.
    pub(crate) fn gather(&self, lanes: &[V<'c>]) -> Emit<V<'c>> {
        let Some(first) = lanes.first() else { return Fault::invalid("a vector without lanes") };
        let of = widen_type(first.get_type(), Some(lanes.len() as u32)).into_vector_type();
        let mut vector: VectorValue = of.get_poison();
        for (lane, value) in lanes.iter().enumerate() {
            let lane = self.int_type(32).const_int(lane as u64, false);
            vector = self.builder.build_insert_element(vector, *value, lane, "")?;
        }
        Ok(vector.into())
    }

    /// `0, 1, 2, ...` in lanes of the given width.
    pub(crate) fn lane_numbers(&self, bits: u32, lanes: u32) -> V<'c> {
        let element = self.int_type(bits);
        let numbers: Vec<_> = (0..lanes).map(|lane| element.const_int(lane.into(), false)).collect();
        inkwell::types::VectorType::const_vector(&numbers).into()
    }

    pub(crate) fn load(&self, of: BasicTypeEnum<'c>, address: PointerValue<'c>, alignment: u32) -> Emit<V<'c>> {
        let value = self.builder.build_load(of, address, "")?;
        if let Some(instruction) = value.as_instruction_value() {
            instruction.set_alignment(alignment).map_err(|error| Fault::Generator(error.to_string()))?;
        }
        Ok(value)
    }

    pub(crate) fn store(&self, value: V<'c>, address: PointerValue<'c>, alignment: u32) -> Emit<()> {
        let instruction = self.builder.build_store(address, value)?;
        instruction.set_alignment(alignment).map_err(|error| Fault::Generator(error.to_string()))
    }

    /// Contiguous lanes where `mask` holds, `otherwise` elsewhere.
    pub(crate) fn masked_load(&self, address: PointerValue<'c>, alignment: u32, mask: V<'c>, otherwise: V<'c>) -> Emit<V<'c>> {
        let types = [otherwise.get_type(), address.get_type().into()];
        let call = self.intrinsic_call("llvm.masked.load", &types, &[address.into(), mask, otherwise])?;
        call.set_alignment_attribute(AttributeLoc::Param(0), alignment);
        call.try_as_basic_value().basic().ok_or_else(|| Fault::Generator("a masked load gives no value".into()))
    }

    pub(crate) fn masked_store(&self, value: V<'c>, address: PointerValue<'c>, alignment: u32, mask: V<'c>) -> Emit<()> {
        let types = [value.get_type(), address.get_type().into()];
        let call = self.intrinsic_call("llvm.masked.store", &types, &[value, address.into(), mask])?;
        call.set_alignment_attribute(AttributeLoc::Param(1), alignment);
        Ok(())
    }

    pub(crate) fn masked_scatter(&self, value: V<'c>, addresses: V<'c>, alignment: u32, mask: V<'c>) -> Emit<()> {
        let types = [value.get_type(), addresses.get_type()];
        let call = self.intrinsic_call("llvm.masked.scatter", &types, &[value, addresses, mask])?;
        call.set_alignment_attribute(AttributeLoc::Param(1), alignment);
        Ok(())
    }

    /// The address `index` elements after `address`.
    pub(crate) fn offset(
        &self,
        element: BasicTypeEnum<'c>,
        address: PointerValue<'c>,
        index: IntValue<'c>,
    ) -> Emit<PointerValue<'c>> {
        // SAFETY: the type and the operands belong to the same context; a plain GEP computes an address and reads nothing.
        Ok(unsafe { self.builder.build_gep(element, address, &[index], "") }?)
    }

    pub(crate) fn pointer_type(&self) -> inkwell::types::PointerType<'c> {
        self.context.ptr_type(AddressSpace::default())
    }
}

fn splat_constant<'c>(value: V<'c>, of: BasicTypeEnum<'c>) -> V<'c> {
    let BasicTypeEnum::VectorType(vector) = of else { return value };
    let lanes = vector.get_size() as usize;
    match value {
        BasicValueEnum::IntValue(int) => inkwell::types::VectorType::const_vector(&vec![int; lanes]).into(),
        BasicValueEnum::FloatValue(float) => inkwell::types::VectorType::const_vector(&vec![float; lanes]).into(),
        other => other,
    }
}

/// The address of a value that is known to be a pointer.
pub(crate) fn as_pointer(value: V<'_>) -> Emit<PointerValue<'_>> {
    match value {
        BasicValueEnum::PointerValue(pointer) => Ok(pointer),
        _ => Fault::invalid("an address that is none"),
    }
}

/// The vector of a value that is known to be one.
fn as_vector(value: V<'_>) -> Emit<VectorValue<'_>> {
    match value {
        BasicValueEnum::VectorValue(vector) => Ok(vector),
        _ => Fault::invalid("a vector was expected"),
    }
}

/// The integer of a value that is known to be a scalar integer.
pub(crate) fn as_int(value: V<'_>) -> Emit<IntValue<'_>> {
    match value {
        BasicValueEnum::IntValue(int) => Ok(int),
        _ => Fault::invalid("a scalar integer was expected"),
    }
}

/// The size in bytes of an element type of an array, for `alloca`.
pub(crate) fn array_of<'c>(element: BasicTypeEnum<'c>, len: u32) -> BasicTypeEnum<'c> {
    element.array_type(len.max(1)).into()
}
