"""Records what ONNX Runtime gives for the models, as golden/models.json.

Usage: python3 record.py MODELS_DIRECTORY

Inputs follow formulas that the tests repeat: "noise" is a hash of the element's position, scaled to the given range;
"strokes" draws lines of dark strokes on a bright ground, as text would look from afar. Of each output the range and some
evenly spaced elements are kept.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime

SAMPLES = 64


def sentences(shape, least_mask):
    return {
        "input_ids": ("noise", "i64", shape, 0, 30000),
        "attention_mask": ("noise", "i64", shape, least_mask, 2),
        "token_type_ids": ("noise", "i64", shape, 0, 1),
    }


def speech(batch, samples, rate):
    return {
        "input": ("noise", "f32", [batch, samples], -1, 1),
        "state": ("noise", "f32", [2, batch, 128], -1, 1),
        "sr": ("noise", "i64", [], rate, rate),
    }


# File, and one dictionary of input name -> (kind, dtype, shape, low, high) per case.
CASES = [
    ("ch_PP-OCRv4_det_infer.onnx", [{"x": ("strokes", "f32", s, -1, 1)} for s in ([1, 3, 96, 160], [1, 3, 160, 64])]),
    ("ch_PP-OCRv4_rec_infer.onnx", [{"x": ("noise", "f32", s, -1, 1)} for s in ([1, 3, 48, 96], [2, 3, 48, 160])]),
    ("ch_ppocr_mobile_v2.0_cls_infer.onnx", [{"x": ("noise", "f32", s, -1, 1)} for s in ([1, 3, 48, 192], [2, 3, 48, 96])]),
    ("320n.onnx", [{"images": ("noise", "f32", s, 0, 1)} for s in ([1, 3, 160, 160], [1, 3, 96, 128])]),
    ("magika.onnx", [{"bytes": ("noise", "i32", s, 0, 256)} for s in ([1, 2048], [3, 2048])]),
    ("minilm_int8.onnx", [sentences([1, 8], 1), sentences([3, 24], 0)]),
    ("silero_vad.onnx", [speech(1, 576, 16000), speech(3, 576, 16000)]),
    ("nmp.onnx", [{"serving_default_input_2:0": ("noise", "f32", s, -1, 1)} for s in ([1, 43844, 1], [2, 43844, 1])]),
    ("light_resnet50.onnx", [{"gpu_0/data_0": ("noise", "f32", [1, 3, 224, 224], -1, 1)}]),
    ("light_squeezenet.onnx", [{"data_0": ("noise", "f32", [1, 3, 224, 224], -1, 1)}]),
    ("light_densenet121.onnx", [{"data_0": ("noise", "f32", [1, 3, 224, 224], -1, 1)}]),
    ("light_inception_v1.onnx", [{"data_0": ("noise", "f32", [1, 3, 224, 224], -1, 1)}]),
    ("light_shufflenet.onnx", [{"gpu_0/data_0": ("noise", "f32", [1, 3, 224, 224], -1, 1)}]),
]

# Shapes with which a model is compiled, where those of its file are too wide.
SHAPES = {"silero_vad.onnx": ["input:?x576"]}

DTYPES = {"f32": np.float32, "i32": np.int32, "i64": np.int64}


def noise(index):
    mixed = (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return (mixed >> np.uint64(40)).astype(np.float64) / float(1 << 24)


def strokes(index, shape):
    column = index % np.uint64(shape[-1])
    row = index // np.uint64(shape[-1]) % np.uint64(shape[-2])
    dark = (row % 32 >= 10) & (row % 32 < 24) & (column // 3 % 2 == 0) & (column % 48 < 36)
    return 1.0 - 0.9 * dark


def tensor(kind, dtype, shape, low, high):
    index = np.arange(int(np.prod(shape)), dtype=np.uint64)
    unit = noise(index) if kind == "noise" else strokes(index, shape)
    return (low + unit * (high - low)).astype(DTYPES[dtype]).reshape(shape)


def record(path, inputs):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = {name: tensor(*spec) for name, spec in inputs.items()}
    names = [output.name for output in session.get_outputs()]
    outputs = {}
    for name, value in zip(names, session.run(names, feed)):
        flat = value.reshape(-1).astype(np.float64)
        count = min(SAMPLES, flat.size)
        samples = [float(flat[i * flat.size // count]) for i in range(count)]
        outputs[name] = {"shape": list(value.shape), "range": float(np.abs(flat).max()), "samples": samples}
    keys = ("kind", "dtype", "shape", "low", "high")
    specs = {name: dict(zip(keys, spec)) for name, spec in inputs.items()}
    return {"inputs": specs, "outputs": outputs}


def model(directory, name, cases):
    recorded = {"file": name, "cases": [record(directory / name, case) for case in cases]}
    return recorded | ({"shapes": SHAPES[name]} if name in SHAPES else {})


def main():
    directory = pathlib.Path(sys.argv[1])
    models = [model(directory, name, cases) for name, cases in CASES]
    target = pathlib.Path(__file__).parent.parent / "golden" / "models.json"
    target.write_text(json.dumps(models, indent=1) + "\n")


main()
