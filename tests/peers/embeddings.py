"""Records the embeddings that NumPy makes with the weights of a BERT folder, for tests/families.rs.

    python tests/peers/embeddings.py models/all-MiniLM-L6-v2 > tests/golden/embeddings.json

Needs `numpy`, `safetensors` and `tokenizers`.
"""

import json
import math
import pathlib
import sys

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

TEXTS = ["A cat sits on the mat.", "Felines rest on rugs!", "Quarterly revenue grew by 12 %, beating estimates."]

# Every how many elements are kept.
STEP = 23

erf = np.vectorize(math.erf)


def embed(weights, config, ids):
    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x, name):
        centered = x - x.mean(-1, keepdims=True)
        scaled = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + config["layer_norm_eps"])
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def heads(x):
        return x.reshape(len(ids), config["num_attention_heads"], -1).swapaxes(0, 1)

    tables = [weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")]
    x = norm(tables[0][ids] + tables[1][: len(ids)] + tables[2][0], "embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}"
        q, k, v = (heads(linear(x, f"{at}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = np.exp(q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1]))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ v
        mixed = mixed.swapaxes(0, 1).reshape(len(ids), -1)
        x = norm(x + linear(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        wide = linear(x, f"{at}.intermediate.dense")
        wide = 0.5 * wide * (1 + erf(wide / np.sqrt(2)))
        x = norm(x + linear(wide, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


def main(folder):
    folder = pathlib.Path(folder)
    weights = {name: values.astype(np.float64) for name, values in load_file(folder / "model.safetensors").items() if values.ndim}
    config = json.loads((folder / "config.json").read_text())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    record = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        values = embed(weights, config, ids)[::STEP]
        record.append({"text": text, "tokens": ids, "step": STEP, "values": [round(float(value), 7) for value in values]})
    json.dump(record, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
