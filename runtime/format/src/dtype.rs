use safetensors::Dtype;

/// An element type as artifacts name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementType {
    /// The name, as the compiler's text form spells it.
    pub name: &'static str,
    /// Values in one stored unit: 1, or the length of a block.
    pub values_per_unit: u64,
    /// Bytes of one stored unit.
    pub unit_bytes: u64,
    stored: Dtype,
}

const fn scalar(name: &'static str, unit_bytes: u64, stored: Dtype) -> ElementType {
    ElementType { name, values_per_unit: 1, unit_bytes, stored }
}

const fn blocks(name: &'static str, values_per_unit: u64, unit_bytes: u64) -> ElementType {
    ElementType { name, values_per_unit, unit_bytes, stored: Dtype::U8 }
}

/// All element types.
pub const ELEMENT_TYPES: &[ElementType] = &[
    scalar("f32", 4, Dtype::F32),
    scalar("f16", 2, Dtype::F16),
    scalar("bf16", 2, Dtype::BF16),
    scalar("f64", 8, Dtype::F64),
    scalar("i8", 1, Dtype::I8),
    scalar("i16", 2, Dtype::I16),
    scalar("i32", 4, Dtype::I32),
    scalar("i64", 8, Dtype::I64),
    scalar("u8", 1, Dtype::U8),
    scalar("u16", 2, Dtype::U16),
    scalar("u32", 4, Dtype::U32),
    scalar("u64", 8, Dtype::U64),
    scalar("bool", 1, Dtype::BOOL),
    blocks("q4_0", 32, 18),
    blocks("q4_1", 32, 20),
    blocks("q5_0", 32, 22),
    blocks("q5_1", 32, 24),
    blocks("q8_0", 32, 34),
    blocks("q2_k", 256, 84),
    blocks("q3_k", 256, 110),
    blocks("q4_k", 256, 144),
    blocks("q5_k", 256, 176),
    blocks("q6_k", 256, 210),
    blocks("iq4_nl", 32, 18),
    blocks("iq4_xs", 256, 136),
    blocks("mxfp4", 32, 17),
];

impl ElementType {
    /// The element type of that name.
    pub fn from_name(name: &str) -> Option<&'static ElementType> {
        ELEMENT_TYPES.iter().find(|element| element.name == name)
    }

    /// Whether values are stored in blocks along the innermost dimension.
    pub fn is_block(&self) -> bool {
        self.values_per_unit > 1
    }

    /// The bytes of a tensor; `None` if they do not fit an integer or the innermost size is not a whole number of blocks.
    pub fn byte_count(&self, dims: &[u64]) -> Option<u64> {
        let whole = !self.is_block() || dims.last()?.is_multiple_of(self.values_per_unit);
        let values = dims.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim))?;
        if whole { (values / self.values_per_unit).checked_mul(self.unit_bytes) } else { None }
    }

    /// Type and shape in the safetensors header. Blocks are bytes there: the innermost size counts bytes.
    pub(crate) fn stored(&self, dims: &[u64]) -> Option<(Dtype, Vec<usize>)> {
        let mut shape = dims.iter().map(|dim| usize::try_from(*dim).ok()).collect::<Option<Vec<_>>>()?;
        if let (true, Some(last)) = (self.is_block(), shape.last_mut()) {
            *last = usize::try_from((*last as u64 / self.values_per_unit).checked_mul(self.unit_bytes)?).ok()?;
        }
        Some((self.stored, shape))
    }
}
