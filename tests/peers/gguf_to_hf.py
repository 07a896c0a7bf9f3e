"""Writes a model of the llama family from a GGUF file as a Hugging Face folder with f32 weights.

Usage: python3 gguf_to_hf.py MODEL.gguf FOLDER

Needs the packages gguf, numpy and safetensors. The tokenizer is not written.
"""

import json
import pathlib
import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.numpy import save_file

LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def hf_name(name):
    """The name in the folder, or None for what a folder has no tensor for."""
    stem, _, kind = name.rpartition(".")
    if not stem.startswith("blk."):
        return f"{WHOLE[stem]}.{kind}" if stem in WHOLE else None
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{LAYER[part]}.{kind}"


def unpermute(rows, heads):
    """Undoes the order of rows that ggml's rotation of neighbours needs: pairs side by side become halves of a head."""
    return rows.reshape(heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def config(read, tied):
    heads = int(read("attention.head_count"))
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": int(read("embedding_length")),
        "intermediate_size": int(read("feed_forward_length")),
        "num_hidden_layers": int(read("block_count")),
        "num_attention_heads": heads,
        "num_key_value_heads": int(read("attention.head_count_kv", heads)),
        "max_position_embeddings": int(read("context_length")),
        "rms_norm_eps": float(read("attention.layer_norm_rms_epsilon")),
        "rope_theta": float(read("rope.freq_base", 10000)),
        "tie_word_embeddings": tied,
        "torch_dtype": "float32",
    }


def main(source, folder):
    reader = GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    if architecture != "llama":
        sys.exit(f"{source}: architecture {architecture}; only llama is known")

    def read(key, default=None):
        field = reader.fields.get(f"llama.{key}")
        return default if field is None else field.contents()

    weights = {}
    for tensor in reader.tensors:
        name = hf_name(tensor.name)
        if name is not None:
            weights[name] = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
    settings = config(read, "lm_head.weight" not in weights)
    settings["vocab_size"] = len(weights["model.embed_tokens.weight"])
    for name, values in weights.items():
        for part, heads in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
            if part in name:
                weights[name] = unpermute(values, settings[heads])
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(values) for name, values in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(settings, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
