//! The table of formats.

use super::{BlockFormat, Code, Factor, Field, Min, Offset, Packed, Stride};

/// The block formats that tensors may be stored in.
pub static BLOCK_FORMATS: &[BlockFormat] = &[Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4];

const fn at(base: u32, strides: &'static [Stride]) -> Offset {
    Offset { base, strides }
}

const fn field(byte: Offset, shift: Offset, width: u32, to: u32) -> Field {
    Field { byte, shift, width, to }
}

/// Half bytes: the first half of each `2 * half` values in the low halves, the second in the high ones.
const fn nibbles(byte: Offset, shift: &'static [Stride]) -> Field {
    field(byte, at(0, shift), 4, 0)
}

const fn packed(fields: &'static [Field], code: Code) -> Packed {
    Packed { fields, code }
}

/// A format of 32 values with one scale, in binary16 at its start.
const fn small(name: &'static str, bytes: u32, quant: Packed) -> BlockFormat {
    BlockFormat { name, values: 32, bytes, group: 32, quant, scale: &[Factor::F16(0)], min: None }
}

const PLAIN: Code = Code::Minus(0);
const ZERO: Offset = at(0, &[]);
const HALVES_OF_32: &[Stride] = &[Stride(16, 2, 4)];
const HALVES_OF_64: &[Stride] = &[Stride(32, 2, 4)];

const MIN_AT_2: Option<Min> = Some(Min { factors: &[Factor::F16(2)], negated: false });

const Q4_0: BlockFormat = small("q4_0", 18, packed(&[nibbles(at(2, &[Stride(1, 16, 1)]), HALVES_OF_32)], Code::Minus(8)));

const Q4_1: BlockFormat =
    BlockFormat { min: MIN_AT_2, ..small("q4_1", 20, packed(&[nibbles(at(4, &[Stride(1, 16, 1)]), HALVES_OF_32)], PLAIN)) };

const BIT_OF_8: Offset = at(0, &[Stride(1, 8, 1)]);

const Q5_0: BlockFormat = small(
    "q5_0",
    22,
    packed(
        &[nibbles(at(6, &[Stride(1, 16, 1)]), HALVES_OF_32), field(at(2, &[Stride(8, 4, 1)]), BIT_OF_8, 1, 4)],
        Code::Minus(16),
    ),
);

const Q5_1: BlockFormat = BlockFormat {
    min: MIN_AT_2,
    ..small(
        "q5_1",
        24,
        packed(&[nibbles(at(8, &[Stride(1, 16, 1)]), HALVES_OF_32), field(at(4, &[Stride(8, 4, 1)]), BIT_OF_8, 1, 4)], PLAIN),
    )
};

const Q8_0: BlockFormat = small("q8_0", 34, packed(&[field(at(2, &[Stride(1, 32, 1)]), ZERO, 8, 0)], Code::Signed));

/// Pairs of bits, four of values 32 apart in a byte.
const QUARTERS: Offset = at(0, &[Stride(32, 4, 2)]);

const Q2_K: BlockFormat = BlockFormat {
    name: "q2_k",
    values: 256,
    bytes: 84,
    group: 16,
    quant: packed(&[field(at(16, &[Stride(1, 32, 1), Stride(128, 2, 32)]), QUARTERS, 2, 0)], PLAIN),
    scale: &[Factor::F16(80), Factor::Packed(packed(&[field(at(0, &[Stride(1, 16, 1)]), ZERO, 4, 0)], PLAIN))],
    min: Some(Min {
        factors: &[Factor::F16(82), Factor::Packed(packed(&[field(at(0, &[Stride(1, 16, 1)]), at(4, &[]), 4, 0)], PLAIN))],
        negated: true,
    }),
};

const Q3_K: BlockFormat = BlockFormat {
    name: "q3_k",
    values: 256,
    bytes: 110,
    group: 16,
    quant: packed(
        &[
            field(at(32, &[Stride(1, 32, 1), Stride(128, 2, 32)]), QUARTERS, 2, 0),
            field(at(0, &[Stride(1, 32, 1)]), at(0, &[Stride(32, 8, 1)]), 1, 2),
        ],
        Code::Minus(4),
    ),
    scale: &[
        Factor::F16(108),
        Factor::Packed(packed(
            &[
                field(at(96, &[Stride(1, 8, 1)]), at(0, &[Stride(8, 2, 4)]), 4, 0),
                field(at(104, &[Stride(1, 4, 1)]), at(0, &[Stride(4, 4, 2)]), 2, 4),
            ],
            Code::Minus(32),
        )),
    ],
    min: None,
};

/// Eight scales and eight minima of 6 bits in the 12 bytes from byte 4: the first four of each lie whole in their own bytes,
/// whose two free bits hold the upper bits of the last four.
const UPPER_SHIFT: Offset = at(4, &[Stride(4, 2, 2)]);
const SCALES_OF_6_BITS: Packed = packed(
    &[field(at(4, &[Stride(1, 4, 1), Stride(4, 2, 8)]), ZERO, 4, 0), field(at(4, &[Stride(1, 4, 1)]), UPPER_SHIFT, 2, 4)],
    PLAIN,
);
const MINIMA_OF_6_BITS: Packed = packed(
    &[
        field(at(8, &[Stride(1, 4, 1), Stride(4, 2, 4)]), at(0, &[Stride(4, 2, 4)]), 4, 0),
        field(at(8, &[Stride(1, 4, 1)]), UPPER_SHIFT, 2, 4),
    ],
    PLAIN,
);

const Q4_K: BlockFormat = BlockFormat {
    name: "q4_k",
    values: 256,
    bytes: 144,
    group: 32,
    quant: packed(&[nibbles(at(16, &[Stride(1, 32, 1), Stride(64, 4, 32)]), HALVES_OF_64)], PLAIN),
    scale: &[Factor::F16(0), Factor::Packed(SCALES_OF_6_BITS)],
    min: Some(Min { factors: &[Factor::F16(2), Factor::Packed(MINIMA_OF_6_BITS)], negated: true }),
};

const Q5_K: BlockFormat = BlockFormat {
    name: "q5_k",
    bytes: 176,
    quant: packed(
        &[
            nibbles(at(48, &[Stride(1, 32, 1), Stride(64, 4, 32)]), HALVES_OF_64),
            field(at(16, &[Stride(1, 32, 1)]), at(0, &[Stride(32, 8, 1)]), 1, 4),
        ],
        PLAIN,
    ),
    ..Q4_K
};

const Q6_K: BlockFormat = BlockFormat {
    name: "q6_k",
    values: 256,
    bytes: 210,
    group: 16,
    quant: packed(
        &[
            nibbles(at(0, &[Stride(1, 64, 1), Stride(128, 2, 64)]), &[Stride(64, 2, 4)]),
            field(at(128, &[Stride(1, 32, 1), Stride(128, 2, 32)]), QUARTERS, 2, 4),
        ],
        Code::Minus(32),
    ),
    scale: &[Factor::F16(208), Factor::Packed(packed(&[field(at(192, &[Stride(1, 16, 1)]), ZERO, 8, 0)], Code::Signed))],
    min: None,
};

/// A table of 16 values that are denser around 0.
const NON_LINEAR: Code = Code::Table(&[-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]);

const IQ4_NL: BlockFormat = small("iq4_nl", 18, packed(&[nibbles(at(2, &[Stride(1, 16, 1)]), HALVES_OF_32)], NON_LINEAR));

const IQ4_XS: BlockFormat = BlockFormat {
    name: "iq4_xs",
    values: 256,
    bytes: 136,
    group: 32,
    quant: packed(&[nibbles(at(8, &[Stride(1, 16, 1), Stride(32, 8, 16)]), HALVES_OF_32)], NON_LINEAR),
    scale: &[
        Factor::F16(0),
        Factor::Packed(packed(
            &[
                field(at(4, &[Stride(2, 4, 1)]), at(0, &[Stride(1, 2, 4)]), 4, 0),
                field(at(2, &[Stride(4, 2, 1)]), at(0, &[Stride(1, 4, 2)]), 2, 4),
            ],
            Code::Minus(32),
        )),
    ],
    min: None,
};

/// Twice the values of E2M1 in the OCP Microscaling specification.
const DOUBLED_E2M1: Code = Code::Table(&[0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]);

const MXFP4: BlockFormat = BlockFormat {
    scale: &[Factor::HalfE8M0(0)],
    ..small("mxfp4", 17, packed(&[nibbles(at(1, &[Stride(1, 16, 1)]), HALVES_OF_32)], DOUBLED_E2M1))
};
