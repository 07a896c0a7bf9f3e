"""Records how the package gguf reads and writes quantized blocks, as golden/blocks.txt.

Usage: python3 blocks.py > tests/golden/blocks.txt

Lines are `decode FORMAT BYTES VALUES` and `encode FORMAT VALUES BYTES` in hexadecimal, values as little-endian f32. The
bytes are random, except that scales are finite.
"""

import numpy as np
from gguf import GGMLQuantizationType, quants
from gguf.constants import GGML_QUANT_SIZES

# Format, and the bytes where binary16 scales lie.
FORMATS = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
}  # fmt: skip
ENCODED = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
BLOCKS = 2

random = np.random.default_rng(1)

for name, scales in FORMATS.items():
    kind = GGMLQuantizationType[name]
    _, size = GGML_QUANT_SIZES[kind]
    for _ in range(BLOCKS):
        block = random.integers(0, 256, size, dtype=np.uint8)
        for at in scales:
            block[at : at + 2] = np.frombuffer(np.float16(random.normal()).tobytes(), np.uint8)
        values = quants.dequantize(block[None], kind).astype("<f4")
        print("decode", name.lower(), block.tobytes().hex(), values.tobytes().hex())

for name in ENCODED:
    for deviation in (1, 1e-3):
        values = random.normal(0, deviation, (1, 32)).astype("<f4")
        block = quants.quantize(values, GGMLQuantizationType[name])
        print("encode", name.lower(), values.tobytes().hex(), block.tobytes().hex())
