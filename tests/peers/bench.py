"""Runs lostwax and ONNX Runtime side by side on all models and prints the ratios.

Usage: python3 bench.py LOSTWAX MODELS_DIRECTORY [NAME...]

Each model is compiled once. Then the two take turns in short rounds, so that both see the same state of the machine; the
median of all runs counts. A ratio above 1 says that lostwax is faster.
"""

import json
import math
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
import onnxruntime

ROUNDS = 5
ROUND_SECONDS = 0.5
THREADS = [1, 2]

# Name, file, input, element type, shape, largest value.
MODELS = [
    ("PP-OCR det 640x640", "ch_PP-OCRv4_det_infer", "x", "f32", (1, 3, 640, 640), 1),
    ("PP-OCR rec 48x320", "ch_PP-OCRv4_rec_infer", "x", "f32", (1, 3, 48, 320), 1),
    ("PP-OCR cls 48x192", "ch_ppocr_mobile_v2.0_cls_infer", "x", "f32", (1, 3, 48, 192), 1),
    ("YOLOv8n 320", "320n", "images", "f32", (1, 3, 320, 320), 1),
    ("Magika", "magika", "bytes", "i32", (1, 2048), 256),
    ("basic-pitch", "nmp", "serving_default_input_2:0", "f32", (1, 43844, 1), 1),
    ("ResNet-50", "light_resnet50", "gpu_0/data_0", "f32", (1, 3, 224, 224), 1),
    ("SqueezeNet", "light_squeezenet", "data_0", "f32", (1, 3, 224, 224), 1),
    ("DenseNet-121", "light_densenet121", "data_0", "f32", (1, 3, 224, 224), 1),
    ("Inception v1", "light_inception_v1", "data_0", "f32", (1, 3, 224, 224), 1),
    ("ShuffleNet", "light_shufflenet", "gpu_0/data_0", "f32", (1, 3, 224, 224), 1),
]


def compile_model(program, source, target):
    subprocess.run([program, "compile", source, "-o", target], check=True, stdout=subprocess.DEVNULL)


def run_lostwax(program, artifact, model, threads, iters):
    _, _, name, dtype, shape, high = model
    dims = "x".join(map(str, shape))
    command = [program, "bench", artifact, "--json", "--threads", str(threads), "--iters", str(iters), "--warmup", "2"]
    command += ["-i", f"{name}={dims}x{dtype}=0..{high}"]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(result.stdout)["median_ms"]


class OnnxRuntime:
    def __init__(self, source, model, threads):
        _, _, name, dtype, shape, high = model
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
        values = np.random.default_rng(0).uniform(0, high, shape)
        self.feed = {name: values.astype(np.float32 if dtype == "f32" else np.int32)}

    def run(self, iters):
        times = []
        for _ in range(iters):
            start = time.perf_counter()
            self.session.run(None, self.feed)
            times.append(1e3 * (time.perf_counter() - start))
        return statistics.median(times)


def compare(program, artifact, source, model, threads):
    peer = OnnxRuntime(source, model, threads)
    peer.run(2)
    iters = max(3, min(200, math.ceil(1e3 * ROUND_SECONDS / max(peer.run(3), 1e-3))))
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(run_lostwax(program, artifact, model, threads, iters))
        theirs.append(peer.run(iters))
    return statistics.median(ours), statistics.median(theirs)


def main():
    program, directory, *names = sys.argv[1:]
    directory = pathlib.Path(directory)
    chosen = [model for model in MODELS if not names or any(name.lower() in model[0].lower() for name in names)]
    ratios = {threads: [] for threads in THREADS}
    print(f"lostwax and ONNX Runtime {onnxruntime.__version__}, median ms, {ROUNDS} rounds in turns", flush=True)
    print("| model | threads | lostwax | ONNX Runtime | ratio |\n|---|---|---|---|---|")
    for model in chosen:
        source, artifact = directory / f"{model[1]}.onnx", directory / f"{model[1]}.lwx"
        compile_model(program, source, artifact)
        for threads in THREADS:
            ours, theirs = compare(program, artifact, source, model, threads)
            ratios[threads].append(theirs / ours)
            print(f"| {model[0]} | {threads} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.2f} |", flush=True)
    for threads, values in ratios.items():
        if values:
            print(f"| geometric mean | {threads} | | | {statistics.geometric_mean(values):.2f} |")


if __name__ == "__main__":
    main()
