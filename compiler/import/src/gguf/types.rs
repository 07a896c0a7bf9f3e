//! The element types of ggml and ours.

use super::Cursor;
use crate::ImportError;
use lostwax_ir::blocks::BLOCK_FORMATS;
use lostwax_ir::types::DType;

/// The numbers of ggml's `enum ggml_type`, with the names in lower case.
const TYPES: &[(u32, &str)] = &[
    (0, "f32"),
    (1, "f16"),
    (2, "q4_0"),
    (3, "q4_1"),
    (6, "q5_0"),
    (7, "q5_1"),
    (8, "q8_0"),
    (9, "q8_1"),
    (10, "q2_k"),
    (11, "q3_k"),
    (12, "q4_k"),
    (13, "q5_k"),
    (14, "q6_k"),
    (15, "q8_k"),
    (16, "iq2_xxs"),
    (17, "iq2_xs"),
    (18, "iq3_xxs"),
    (19, "iq1_s"),
    (20, "iq4_nl"),
    (21, "iq3_s"),
    (22, "iq2_s"),
    (23, "iq4_xs"),
    (24, "i8"),
    (25, "i16"),
    (26, "i32"),
    (27, "i64"),
    (28, "f64"),
    (29, "iq1_m"),
    (30, "bf16"),
    (34, "tq1_0"),
    (35, "tq2_0"),
    (39, "mxfp4"),
    (40, "nvfp4"),
    (41, "q1_0"),
];

/// Reads the number of an element type.
pub(super) fn read(cursor: &mut Cursor) -> Result<DType, ImportError> {
    let number = cursor.u32()?;
    let known = TYPES.iter().find(|(candidate, _)| *candidate == number).map(|(_, name)| *name);
    let name = known.ok_or_else(|| cursor.invalid(format!("element type {number} is not known")))?;
    let names = || BLOCK_FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ");
    let problem = || format!("element type {name}; quantize the model to one of f32, f16, bf16, {}", names());
    DType::from_name(name).ok_or_else(|| cursor.unsupported(problem()))
}
