//! Block tensors, and matrices of floating-point numbers of few bits, in the layout that kernels read: panels of rows.
//!
//! A tensor `[.., rows, depth]` of a block format is taken apart into ordinary tensors, its *components*. Each component has the dims
//! `[.., panels, depth / per, 16]`: a panel is 16 neighbouring rows, which lie side by side in the innermost dimension, and
//! one element serves `per` values of each row. There are one or two planes of codes, which hold the bits of the quants, and
//! one component for every factor of scale and minimum:
//!
//! ```text
//! code  = plane0 | plane1 << width0
//! value = scale0 * scale1 * (code - zero) + min0 * min1
//! ```
//!
//! An element of a plane of `width` bits is a u32 that holds the codes of `32 / width` values: value `j` lies in byte `j % 4`,
//! from bit `j / 4 * width` of it. So one mask gives four codes in four bytes, as the dot products of integer units want them.

use crate::blocks::{BlockFormat, Code, Factor, Field, Packed};
use crate::tensor::Tensor;
use crate::types::DType;

/// The rows of one panel.
pub const PANEL_ROWS: usize = 16;

/// What a component of a block tensor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComponentKind {
    /// Bits of the codes: the lowest that is held, and how many.
    Codes {
        /// The bit of the code that the lowest bit becomes.
        to: u32,
        /// The number of bits.
        width: u32,
    },
    /// A factor of the scale, by its position in [`BlockFormat::scale`].
    Scale(usize),
    /// A factor of the minimum, by its position in [`Min::factors`](crate::blocks::Min::factors).
    Min(usize),
}

/// A component of a block tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// What it holds.
    pub kind: ComponentKind,
    /// Its element type.
    pub dtype: DType,
    /// The values of a row that one element serves.
    pub per: usize,
}

impl Component {
    fn codes(to: u32, width: u32) -> Self {
        Self { kind: ComponentKind::Codes { to, width }, dtype: DType::U32, per: (32 / width) as usize }
    }

    fn factor(format: &BlockFormat, kind: ComponentKind, factor: &Factor) -> Self {
        match factor {
            Factor::F16(_) => Self { kind, dtype: DType::F16, per: format.values as usize },
            Factor::HalfE8M0(_) => Self { kind, dtype: DType::BF16, per: format.values as usize },
            Factor::Packed(_) => Self { kind, dtype: DType::I8, per: format.group as usize },
        }
    }

    /// The bit of an element from which the code of value `j` of its row lies.
    pub fn shift(&self, j: usize) -> usize {
        let ComponentKind::Codes { width, .. } = self.kind else { return 0 };
        j % 4 * 8 + j % self.per / 4 * width as usize
    }
}

impl BlockFormat {
    /// The components of a tensor of this format: planes of codes, factors of the scale, factors of the minimum.
    pub fn components(&self) -> Vec<Component> {
        let (mut components, mut to) = (Vec::new(), 0);
        for width in [8, 4, 2, 1] {
            if self.code_width() - to >= width {
                components.push(Component::codes(to, width));
                to += width;
            }
        }
        let scale = self.scale.iter().enumerate().map(|(i, factor)| Component::factor(self, ComponentKind::Scale(i), factor));
        let min = self.min.iter().flat_map(|min| min.factors).enumerate();
        let min = min.map(|(i, factor)| Component::factor(self, ComponentKind::Min(i), factor));
        components.into_iter().chain(scale).chain(min).collect()
    }

    /// The bits of a code in a plane. Signed quants and those of a table take 8.
    fn code_width(&self) -> u32 {
        match self.quant.code {
            Code::Minus(_) => self.quant.fields.iter().map(|field| field.to + field.width).max().unwrap_or(8),
            Code::Signed | Code::Table(_) => 8,
        }
    }

    /// What is taken from a code to give the quant.
    pub fn code_zero(&self) -> i32 {
        match self.quant.code {
            Code::Minus(zero) => zero,
            Code::Signed | Code::Table(_) => 128,
        }
    }

    /// Whether minima are stored with the opposite sign.
    pub fn min_is_negated(&self) -> bool {
        self.min.is_some_and(|min| min.negated)
    }

    /// Takes a tensor `[.., rows, depth]` apart; components are in the order of [`BlockFormat::components`], rows that fill up the last
    /// panel are 0. `None` if the bytes do not fit the shape, the shape has no rows, or the components do not fit memory.
    pub fn split(&self, shape: &[usize], bytes: &[u8]) -> Option<Vec<Tensor>> {
        let (depth, rest) = shape.split_last()?;
        let (rows, outer) = rest.split_last()?;
        let count = outer.iter().try_fold(1usize, |count, size| count.checked_mul(*size))?;
        let row_bytes = (depth / self.values as usize).checked_mul(self.bytes as usize)?;
        let whole = depth.is_multiple_of(self.values as usize);
        if !whole || count.checked_mul(*rows)?.checked_mul(row_bytes)? != bytes.len() {
            return None;
        }
        let rows = Rows { format: self, bytes, depth: *depth, rows: *rows, row_bytes, codes: Codes::new(self) };
        self.components().iter().map(|component| rows.component(component, outer, count)).collect()
    }
}

impl Tensor {
    /// The matrix `[.., rows, depth]` in panels `[.., panels, depth, 16]`, where rows that fill up the last panel are 0. `None` if it
    /// has no rows, is of a block format, or the panels do not fit memory.
    pub fn in_panels(&self) -> Option<Tensor> {
        let [outer @ .., rows, depth] = self.shape() else { return None };
        let (size, panels) = (self.dtype().size(), rows.div_ceil(PANEL_ROWS));
        if matches!(self.dtype(), DType::Block(_)) {
            return None;
        }
        let mut packed = Tensor::zeros(self.dtype(), &[outer, &[panels, *depth, PANEL_ROWS]].concat())?;
        let panel_bytes = depth.checked_mul(PANEL_ROWS)?.checked_mul(size)?;
        for (position, row) in self.bytes().chunks_exact((depth * size).max(1)).enumerate() {
            let (panel, lane) = (position / rows * panels + position % rows / PANEL_ROWS, position % rows % PANEL_ROWS);
            let panel = packed.bytes_mut().get_mut(panel * panel_bytes..(panel + 1) * panel_bytes)?;
            let slots = panel.chunks_exact_mut(size).skip(lane).step_by(PANEL_ROWS);
            slots.zip(row.chunks_exact(size)).for_each(|(slot, value)| slot.copy_from_slice(value));
        }
        Some(packed)
    }
}

/// The rows of a block tensor.
struct Rows<'a> {
    format: &'a BlockFormat,
    bytes: &'a [u8],
    depth: usize,
    rows: usize,
    row_bytes: usize,
    codes: Codes,
}

/// Where the codes of a block lie: for each value and field of the quant the byte, and how far it is shifted.
struct Codes {
    fields: Vec<Vec<(usize, u32)>>,
}

impl Codes {
    fn new(format: &BlockFormat) -> Self {
        let fields = format.quant.fields.iter();
        let slots = |field: &Field| (0..format.values as usize).map(|i| (field.byte.at(i), field.shift.at(i) as u32)).collect();
        Self { fields: fields.map(slots).collect() }
    }

    /// The code of value `i`, as planes hold it.
    fn code(&self, packed: &Packed, block: &[u8], i: usize) -> Option<u32> {
        let mut code = 0;
        for (field, slots) in packed.fields.iter().zip(&self.fields) {
            let (byte, shift) = slots.get(i)?;
            code |= (u32::from(*block.get(*byte)?) >> shift & ((1 << field.width) - 1)) << field.to;
        }
        match packed.code {
            Code::Minus(_) => Some(code),
            Code::Signed => Some(code ^ 0x80),
            Code::Table(table) => u32::try_from(i32::from(*table.get(code as usize)?) + 128).ok(),
        }
    }
}

impl Rows<'_> {
    fn component(&self, component: &Component, outer: &[usize], count: usize) -> Option<Tensor> {
        let (panels, elements) = (self.rows.div_ceil(PANEL_ROWS), self.depth / component.per);
        let mut tensor = Tensor::zeros(component.dtype, &[outer, &[panels, elements, PANEL_ROWS]].concat())?;
        let size = component.dtype.size();
        let panel_bytes = elements * PANEL_ROWS * size;
        for (position, panel) in tensor.bytes_mut().chunks_exact_mut(panel_bytes.max(1)).enumerate().take(count * panels) {
            let (block, first) = (position / panels * self.rows, position % panels * PANEL_ROWS);
            for lane in 0..PANEL_ROWS.min(self.rows - first) {
                let start = (block + first + lane) * self.row_bytes;
                let row = self.bytes.get(start..start + self.row_bytes)?;
                let slots = panel.chunks_exact_mut(size).skip(lane).step_by(PANEL_ROWS);
                slots.enumerate().try_for_each(|(element, slot)| self.element(component, row, element, slot))?;
            }
        }
        Some(tensor)
    }

    /// Writes element `element` of a row to `slot`.
    fn element(&self, component: &Component, row: &[u8], element: usize, slot: &mut [u8]) -> Option<()> {
        let (first, values) = (element * component.per, self.format.values as usize);
        let block = row.get(first / values * self.format.bytes as usize..)?.get(..self.format.bytes as usize)?;
        let within = first % values;
        let group = within / self.format.group as usize;
        match component.kind {
            ComponentKind::Codes { to, width } => {
                let mask = (1 << width) - 1;
                let add = |word: u32, j: usize| {
                    Some(word | (self.codes.code(&self.format.quant, block, within + j)? >> to & mask) << component.shift(j))
                };
                slot.copy_from_slice(&(0..component.per).try_fold(0, add)?.to_le_bytes());
            }
            ComponentKind::Scale(position) => self.format.scale.get(position)?.store(block, group, slot)?,
            ComponentKind::Min(position) => self.format.min?.factors.get(position)?.store(block, group, slot)?,
        }
        Some(())
    }
}

impl Factor {
    /// Writes the factor of a group in the element type of its component.
    fn store(&self, block: &[u8], group: usize, slot: &mut [u8]) -> Option<()> {
        match self {
            Factor::F16(byte) => slot.copy_from_slice(block.get(*byte as usize..)?.get(..2)?),
            Factor::HalfE8M0(_) => slot.copy_from_slice(&half::bf16::from_f32(self.read(block, group)?).to_le_bytes()),
            Factor::Packed(packed) => slot.copy_from_slice(&i8::try_from(packed.read(block, group)?).ok()?.to_le_bytes()),
        }
        Some(())
    }
}
