//! Scalar operations as expressions of C. Operands are names or constants, so that using one twice costs nothing.
//!
//! Half-precision floats are `float` in variables and their bits in memory; results are rounded after each operation. Signed
//! integers wrap because of `-fwrapv`, and narrow ones because each result is cast.

use crate::index;
use crate::writer::{Fault, Value, Writer};
use lostwax_ir::kernel::{Operand, Place, Scalar};
use lostwax_ir::scalar::{BinaryOp, UnaryOp};
use lostwax_ir::types::DType;

/// The type of variables.
pub(crate) fn register_type(dtype: DType) -> Result<&'static str, Fault> {
    Ok(match dtype {
        DType::F32 | DType::F16 | DType::BF16 => "float",
        DType::Bool => "bool",
        _ => memory_type(dtype)?,
    })
}

/// The type of elements in memory.
pub(crate) fn memory_type(dtype: DType) -> Result<&'static str, Fault> {
    Ok(match dtype {
        DType::F32 => "float",
        DType::F64 => "double",
        DType::I8 => "int8_t",
        DType::I16 => "int16_t",
        DType::I32 => "int32_t",
        DType::I64 => "int64_t",
        DType::U8 | DType::Bool => "uint8_t",
        DType::U16 | DType::F16 | DType::BF16 => "uint16_t",
        DType::U32 => "uint32_t",
        DType::U64 => "uint64_t",
        DType::Block(_) => return Err(Fault::Invalid("blocks have no elements".into())),
    })
}

/// What memory holds of a value.
pub(crate) fn to_memory(dtype: DType, value: &str) -> String {
    match dtype {
        DType::F16 => format!("f16_bits({value})"),
        DType::BF16 => format!("bf16_bits({value})"),
        _ => value.into(),
    }
}

fn from_memory(dtype: DType, element: &str) -> String {
    match dtype {
        DType::F16 => format!("f16_value({element})"),
        DType::BF16 => format!("bf16_value({element})"),
        DType::Bool => format!("({element} != 0)"),
        _ => element.into(),
    }
}

/// The result of an operation in its type.
fn rounded(dtype: DType, value: String) -> Result<Value, Fault> {
    let text = match dtype {
        DType::F16 => format!("round_f16({value})"),
        DType::BF16 => format!("round_bf16({value})"),
        DType::F32 | DType::F64 => value,
        _ => format!("({})({value})", register_type(dtype)?),
    };
    Ok(Value { dtype, text })
}

impl Writer<'_> {
    // region: scalar
    pub(crate) fn scalar(&self, scalar: &Scalar) -> Result<Value, Fault> {
        match scalar {
            Scalar::Load(place) => self.load(place, None),
            Scalar::LoadIf { place, valid, otherwise } => {
                let (valid, otherwise) = (index::cond(&self.symbols, valid)?, self.operand(otherwise)?);
                self.load(place, Some((valid, otherwise.text)))
            }
            Scalar::Index(dim, dtype) => cast(*dtype, &Value { dtype: DType::I64, text: self.dim(dim)? }),
            Scalar::Unary(op, x) => unary(*op, &self.operand(x)?),
            Scalar::Binary(op, x, y) => binary(*op, &self.operand(x)?, &self.operand(y)?.text),
            Scalar::MulAdd(x, y, z) => self.mul_add(x, y, z),
            Scalar::Dot4(x, y, z) => {
                let (x, y, z) = (self.operand(x)?.text, self.operand(y)?.text, self.operand(z)?.text);
                Ok(Value { dtype: DType::I32, text: format!("dot4({x}, {y}, {z})") })
            }
            Scalar::Select(test, x, y) => self.select(self.operand(test)?.text, x, y),
            Scalar::SelectIf(cond, x, y) => self.select(index::cond(&self.symbols, cond)?, x, y),
            Scalar::Cast(dtype, x) => cast(*dtype, &self.operand(x)?),
            Scalar::Bitcast(dtype, x) => bitcast(*dtype, &self.operand(x)?),
            Scalar::ShiftLeft(x, count) => self.shift("<<", x, *count),
            Scalar::ShiftRight(x, count) => self.shift(">>", x, *count),
        }
    }
    // endregion: scalar

    pub(crate) fn operand(&self, operand: &Operand) -> Result<Value, Fault> {
        match operand {
            Operand::Value(id) => {
                self.values.get(id).cloned().ok_or_else(|| Fault::Invalid(format!("value {} is not defined", id.0)))
            }
            Operand::Float(dtype, bits) => rounded(*dtype, float(*dtype, f64::from_bits(*bits))),
            Operand::Int(dtype, value) => rounded(*dtype, index::integer(*value)),
        }
    }

    // region: load
    /// Lanes that do not run, and elements whose condition does not hold, must not be touched.
    fn load(&self, place: &Place, guard: Option<(String, String)>) -> Result<Value, Fault> {
        let (dtype, element) = (self.element_type(place)?, self.element(place)?);
        let loaded = if let Place::Local(..) = place { element } else { from_memory(dtype, &element) };
        let (valid, otherwise) = guard.unwrap_or(("1".into(), "0".into()));
        let conditions: Vec<&str> = self.mask().into_iter().chain([valid.as_str()]).filter(|part| *part != "1").collect();
        let text = if conditions.is_empty() { loaded } else { format!("{} ? {loaded} : {otherwise}", conditions.join(" && ")) };
        Ok(Value { dtype, text })
    }
    // endregion: load

    fn mul_add(&self, x: &Operand, y: &Operand, z: &Operand) -> Result<Value, Fault> {
        let (x, y, z) = (self.operand(x)?, self.operand(y)?.text, self.operand(z)?.text);
        let Value { dtype, text: x } = x;
        if !dtype.is_float() {
            return rounded(dtype, format!("{x} * {y} + {z}"));
        }
        rounded(dtype, format!("mul_add_{}({x}, {y}, {z})", register_type(dtype)?))
    }

    fn select(&self, test: String, x: &Operand, y: &Operand) -> Result<Value, Fault> {
        let (x, y) = (self.operand(x)?, self.operand(y)?);
        Ok(Value { dtype: x.dtype, text: format!("{test} ? {} : {}", x.text, y.text) })
    }

    fn shift(&self, operator: &str, x: &Operand, count: u32) -> Result<Value, Fault> {
        let x = self.operand(x)?;
        rounded(x.dtype, format!("{} {operator} {count}", x.text))
    }
}

/// A literal; f16 and bf16 are rounded by the caller.
fn float(dtype: DType, value: f64) -> String {
    match (value.is_nan(), value.is_infinite(), dtype) {
        (true, ..) => "NAN".into(),
        (_, true, _) => if value > 0.0 { "INFINITY" } else { "(-INFINITY)" }.into(),
        (.., DType::F64) => format!("({value:e})"),
        _ => format!("({:e}f)", value as f32),
    }
}

// region: cast
fn cast(to: DType, x: &Value) -> Result<Value, Fault> {
    let text = &x.text;
    match (x.dtype.is_float(), to.is_float()) {
        _ if to == DType::Bool => Ok(Value { dtype: to, text: format!("{text} != 0") }),
        (true, false) => Ok(Value { dtype: to, text: format!("to_{}({text})", memory_type(to)?) }),
        (_, true) => rounded(to, format!("({}){text}", register_type(to)?)),
        (false, false) => rounded(to, text.clone()),
    }
}
// endregion: cast

fn bitcast(to: DType, x: &Value) -> Result<Value, Fault> {
    let (from, into) = (memory_type(x.dtype)?, memory_type(to)?);
    let bits = format!("(union {{ {from} from; {into} to; }}){{ {} }}.to", to_memory(x.dtype, &x.text));
    Ok(Value { dtype: to, text: from_memory(to, &bits) })
}

// region: unary
fn unary(op: UnaryOp, x: &Value) -> Result<Value, Fault> {
    let Value { dtype, text: x } = x;
    let suffix = if *dtype == DType::F64 { "" } else { "f" };
    let call = |function: &str| format!("{function}{suffix}({x})");
    let text = match op {
        UnaryOp::Neg => format!("-{x}"),
        UnaryOp::Not => format!("!{x}"),
        UnaryOp::Abs if !dtype.is_float() => format!("{x} < 0 ? -{x} : {x}"),
        UnaryOp::Abs => call("fabs"),
        UnaryOp::Recip => format!("1 / {x}"),
        UnaryOp::Sigmoid => format!("1 / (1 + exp{suffix}(-{x}))"),
        UnaryOp::Round => call("rint"),
        UnaryOp::Exp | UnaryOp::Log | UnaryOp::Sqrt | UnaryOp::Tanh | UnaryOp::Erf => call(op.name()),
        UnaryOp::Sin | UnaryOp::Cos | UnaryOp::Floor | UnaryOp::Ceil => call(op.name()),
    };
    rounded(*dtype, text)
}
// endregion: unary

// region: binary
fn binary(op: BinaryOp, x: &Value, y: &str) -> Result<Value, Fault> {
    let Value { dtype, text: x } = x;
    if let Some(operator) = comparison(op) {
        return Ok(Value { dtype: DType::Bool, text: format!("{x} {operator} {y}") });
    }
    let text = if dtype.is_float() { float_binary(op, *dtype, x, y)? } else { int_binary(op, *dtype, x, y)? };
    rounded(*dtype, text)
}

fn comparison(op: BinaryOp) -> Option<&'static str> {
    match op {
        BinaryOp::Eq => Some("=="),
        BinaryOp::Lt => Some("<"),
        BinaryOp::Le => Some("<="),
        _ => None,
    }
}

fn float_binary(op: BinaryOp, dtype: DType, x: &str, y: &str) -> Result<String, Fault> {
    let suffix = if dtype == DType::F64 { "" } else { "f" };
    Ok(match op {
        BinaryOp::Add => format!("{x} + {y}"),
        BinaryOp::Sub => format!("{x} - {y}"),
        BinaryOp::Mul => format!("{x} * {y}"),
        BinaryOp::Div => format!("{x} / {y}"),
        BinaryOp::Pow => format!("pow{suffix}({x}, {y})"),
        // The result is NaN if either is; comparisons with NaN are false.
        BinaryOp::Min => format!("{x} < {y} || {x} != {x} ? {x} : {y}"),
        BinaryOp::Max => format!("{x} > {y} || {x} != {x} ? {x} : {y}"),
        BinaryOp::Mod => format!("mod_{}({x}, {y})", register_type(dtype)?),
        BinaryOp::Rem => format!("fmod{suffix}({x}, {y})"),
        _ => return Err(Fault::Invalid(format!("`{}` of floats", op.name()))),
    })
}

/// Division by 0 gives 0, and the division that overflows wraps, where C would trap.
fn int_binary(op: BinaryOp, dtype: DType, x: &str, y: &str) -> Result<String, Fault> {
    let signed = dtype.is_signed_integer();
    Ok(match op {
        BinaryOp::Add => format!("{x} + {y}"),
        BinaryOp::Sub => format!("{x} - {y}"),
        BinaryOp::Mul => format!("{x} * {y}"),
        BinaryOp::Div if signed => format!("{y} == 0 ? 0 : {y} == -1 ? -{x} : {x} / {y}"),
        BinaryOp::Div => format!("{y} == 0 ? 0 : {x} / {y}"),
        BinaryOp::Rem if signed => format!("{y} == 0 || {y} == -1 ? 0 : {x} % {y}"),
        BinaryOp::Mod if signed => format!("mod_int({x}, {y})"),
        BinaryOp::Rem | BinaryOp::Mod => format!("{y} == 0 ? 0 : {x} % {y}"),
        BinaryOp::Min => format!("{x} < {y} ? {x} : {y}"),
        BinaryOp::Max => format!("{x} > {y} ? {x} : {y}"),
        BinaryOp::And => format!("{x} & {y}"),
        BinaryOp::Or => format!("{x} | {y}"),
        BinaryOp::Xor => format!("{x} ^ {y}"),
        BinaryOp::ShiftRight => format!("{x} >> ({y} & {})", dtype.size() * 8 - 1),
        _ => return Err(Fault::Invalid(format!("`{}` of integers", op.name()))),
    })
}
// endregion: binary
