"""Records what llama.cpp makes of tiny random models, one for each family of architectures, for tests/families.rs.

    python tests/peers/tiny_models.py LLAMA_PERPLEXITY > tests/golden/families.json
    python tests/peers/tiny_models.py LLAMA_PERPLEXITY MODEL... > tests/golden/decoders.json

LLAMA_PERPLEXITY is the program of that name. The second form records what becomes of whole models, which `llama-quantize`
beside it first converts to f32. Needs `gguf` and `numpy`. The record says how each model is made, weights by a formula
of the tensor's name, so that the test makes the same model; and what it is called in a Hugging Face folder.
"""

import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGUFWriter

HIDDEN, WIDTH, HEADS, KV, HEAD, CONTEXT, TRAINED = 64, 96, 4, 2, 16, 32, 128
TEXT = "the quick brown fox jumps over the lazy dog while seven wizards make toxic brew for the evil queen and jack"
PASSAGE = """Paris is the capital and largest city of France. With an estimated population of over two million residents in an
area of more than one hundred square kilometres, it is the most populous city in the country. Since the seventeenth century it
has been one of the world's major centres of finance, diplomacy, commerce, culture, fashion and science."""
PASSAGE_TOKENS = list(range(5, 40000, 2357))
VOCABULARY = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *"abcdefghijklmnopqrstuvwxyz"]
TOKENIZER = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": VOCABULARY,
    "tokenizer.ggml.scores": [0.0] * len(VOCABULARY),
    "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * 27,
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.add_bos_token": False,
    "tokenizer.ggml.add_space_prefix": False,
}

# Positions and tokens whose probabilities are kept.
POSITIONS = [16, 23, 30]
TOKENS = list(range(1, len(VOCABULARY), 19))

# How far logarithms of probabilities may lie from those recorded, of which llama.cpp keeps 16 bits; and where it looks up GELU in
# a table of binary16 numbers.
TOLERANCE, TABLE_TOLERANCE = 5e-4, 4e-3

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniform(name, count):
    """Numbers in -1..1: splitmix64, seeded with the FNV-1a hash of the tensor's name."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        bits = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * GOLDEN
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits ^= bits >> np.uint64(31)
    return (bits >> np.uint64(11)).astype(np.float64) / 2**53 * 2 - 1


def values(name, shape, middle, spread):
    return (middle + spread * uniform(name, int(np.prod(shape)))).reshape(shape).astype(np.float32)


class Model:
    """Metadata, settings of a folder, and tensors: name, name in a folder, sizes, middle and spread of values, and how the
    folder's tensor follows from the other: as it is, `minus1`, `rotary HEADS` with rows back in the order of halves, or `each`
    apart. `given` are tensors with their values."""

    def __init__(self, architecture, hf_class, layers=2, **settings):
        self.architecture, self.layers, self.tensors, self.given = architecture, layers, [], []
        self.metadata = {"context_length": TRAINED, "embedding_length": HIDDEN, "block_count": layers}
        self.metadata |= {"feed_forward_length": WIDTH, "attention.head_count": HEADS, "attention.head_count_kv": KV}
        self.metadata |= {"attention.key_length": HEAD, "attention.value_length": HEAD, "rope.freq_base": 10000.0}
        self.metadata |= {"rope.dimension_count": HEAD, "attention.layer_norm_rms_epsilon": 1e-5}
        self.config = {"architectures": [hf_class], "hidden_size": HIDDEN, "num_hidden_layers": layers}
        self.config |= {"intermediate_size": WIDTH, "num_attention_heads": HEADS, "num_key_value_heads": KV, "head_dim": HEAD}
        self.config |= {"max_position_embeddings": TRAINED, "rope_theta": 10000.0, "rms_norm_eps": 1e-5}
        self.config |= {"vocab_size": len(VOCABULARY), "hidden_act": "silu"}
        self.metadata |= settings.get("metadata", {})
        self.config |= settings.get("config", {})

    def add(self, name, hf_name, shape, middle=0.0, spread=None, change=""):
        spread = (3 / shape[-1]) ** 0.5 if spread is None else spread
        self.tensors.append([name, hf_name, list(shape), middle, spread, change])

    def ends(self, tied=False, norm="", bias=False):
        self.add("token_embd.weight", "model.embed_tokens.weight", [len(VOCABULARY), HIDDEN], spread=0.5)
        self.norm("output_norm", "model.norm", norm, bias)
        if not tied:
            self.add("output.weight", "lm_head.weight", [len(VOCABULARY), HIDDEN], spread=0.4)
        return self

    def norm(self, name, hf_name, change="", bias=False, size=HIDDEN):
        self.add(f"{name}.weight", f"{hf_name}.weight", [size], 1.0, 0.3, change)
        if bias:
            self.add(f"{name}.bias", f"{hf_name}.bias", [size], spread=0.3)

    def layer_norms(self, names, change="", bias=False, size=HIDDEN):
        for layer in range(self.layers):
            for name, hf_name in names:
                self.norm(f"blk.{layer}.{name}", f"model.layers.{layer}.{hf_name}", change, bias, size)
        return self

    def linear(self, name, hf_name, rows, depth, bias=False, change=""):
        for layer in range(self.layers):
            names = f"blk.{layer}.{name}", f"model.layers.{layer}.{hf_name}"
            self.add(f"{names[0]}.weight", f"{names[1]}.weight", [rows, depth], change=change)
            if bias:
                self.add(f"{names[0]}.bias", f"{names[1]}.bias", [rows], spread=0.3, change=change)
        return self

    def attention(self, bias=False, neighbours=False):
        change = lambda heads: f"rotary {heads}" if neighbours else ""
        self.linear("attn_q", "self_attn.q_proj", HEADS * HEAD, HIDDEN, bias, change(HEADS))
        self.linear("attn_k", "self_attn.k_proj", KV * HEAD, HIDDEN, bias, change(KV))
        self.linear("attn_v", "self_attn.v_proj", KV * HEAD, HIDDEN, bias)
        return self.linear("attn_output", "self_attn.o_proj", HIDDEN, HEADS * HEAD)

    def fused_attention(self):
        self.linear("attn_qkv", "self_attn.qkv_proj", (HEADS + 2 * KV) * HEAD, HIDDEN)
        return self.linear("attn_output", "self_attn.o_proj", HIDDEN, HEADS * HEAD)

    def feed_forward(self, suffix="", hf_name="mlp", width=WIDTH):
        self.linear(f"ffn_gate{suffix}", f"{hf_name}.gate_proj", width, HIDDEN)
        self.linear(f"ffn_up{suffix}", f"{hf_name}.up_proj", width, HIDDEN)
        return self.linear(f"ffn_down{suffix}", f"{hf_name}.down_proj", HIDDEN, width)

    def fused_feed_forward(self):
        self.linear("ffn_up", "mlp.gate_up_proj", 2 * WIDTH, HIDDEN)
        return self.linear("ffn_down", "mlp.down_proj", HIDDEN, WIDTH)

    def experts(self, router, names, count, width):
        self.linear("ffn_gate_inp", router, count, HIDDEN)
        parts = zip(("gate", "up", "down"), names, ((width, HIDDEN), (width, HIDDEN), (HIDDEN, width)))
        for part, hf_name, shape in parts:
            for layer in range(self.layers):
                hf_layer = f"model.layers.{layer}.{hf_name}.weight"
                self.add(f"blk.{layer}.ffn_{part}_exps.weight", hf_layer, [count, *shape], change="each")
        return self

    def heads_norms(self, change="", size=(HEAD, HEAD)):
        self.layer_norms([("attn_q_norm", "self_attn.q_norm")], change, size=size[0])
        return self.layer_norms([("attn_k_norm", "self_attn.k_norm")], change, size=size[1])

    def keys(self):
        own = {f"{self.architecture}.{key}": value for key, value in self.metadata.items() if value is not None}
        return {"general.architecture": self.architecture} | own

    def write(self, path):
        writer = GGUFWriter(path, self.architecture)
        for key, value in (self.keys() | TOKENIZER).items():
            if key == "general.architecture":
                continue
            kinds = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
            kinds.get(type(value), writer.add_array)(key, value)
        for name, _, shape, middle, spread, _ in self.tensors:
            writer.add_tensor(name, values(name, shape, middle, spread))
        for name, numbers in self.given:
            writer.add_tensor(name, np.array(numbers, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


BEFORE = [("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")]
AROUND = [
    ("attn_norm", "input_layernorm"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
]
GLM = [
    ("attn_norm", "input_layernorm"),
    ("post_attention_norm", "post_self_attn_layernorm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("post_ffw_norm", "post_mlp_layernorm"),
]


def llama(**settings):
    model = Model("llama", "LlamaForCausalLM", **settings).ends()
    return model.layer_norms(BEFORE).attention(neighbours=True).feed_forward()


def llama_linear():
    scaling = {"rope_type": "linear", "factor": 4.0}
    return llama(metadata={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}, config={"rope_scaling": scaling})


def llama_yarn():
    keys = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 32}
    scaling = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
    return llama(metadata=keys, config={"rope_scaling": scaling})


def llama3():
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    scaling["original_max_position_embeddings"] = 64
    model = llama(config={"rope_scaling": scaling})
    model.given = [["rope_freqs.weight", llama3_divisors(10000.0, HEAD, 8.0, 1.0, 4.0, 64)]]
    return model


def llama3_divisors(base, size, factor, low, high, original):
    """As convert_hf_to_gguf.py computes them."""
    waves = 2 * np.pi * base ** (np.arange(0, size, 2) / size)
    smooth = (original / waves - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    return np.where(waves < original / high, 1.0, np.where(waves > original / low, factor, between)).tolist()


def mixtral():
    keys = {"expert_count": 4, "expert_used_count": 2}
    config = {"num_local_experts": 4, "num_experts_per_tok": 2}
    model = Model("llama", "MixtralForCausalLM", metadata=keys, config=config).ends()
    names = [f"block_sparse_moe.experts.{{}}.{part}" for part in ("w1", "w3", "w2")]
    return model.layer_norms(BEFORE).attention(neighbours=True).experts("block_sparse_moe.gate", names, 4, WIDTH)


def qwen2():
    return Model("qwen2", "Qwen2ForCausalLM").ends().layer_norms(BEFORE).attention(bias=True).feed_forward()


def qwen3():
    model = Model("qwen3", "Qwen3ForCausalLM").ends(tied=True)
    return model.layer_norms(BEFORE).heads_norms().attention().feed_forward()


def expert_names():
    return [f"mlp.experts.{{}}.{part}_proj" for part in ("gate", "up", "down")]


def qwen2moe():
    keys = {"expert_count": 6, "expert_used_count": 3, "expert_feed_forward_length": 32, "expert_shared_feed_forward_length": 48}
    config = {"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 32, "norm_topk_prob": False}
    config["shared_expert_intermediate_size"] = 48
    model = Model("qwen2moe", "Qwen2MoeForCausalLM", metadata=keys, config=config).ends()
    model.layer_norms(BEFORE).attention(bias=True).experts("mlp.gate", expert_names(), 6, 32)
    for layer in range(model.layers):
        model.add(f"blk.{layer}.ffn_gate_inp_shexp.weight", f"model.layers.{layer}.mlp.shared_expert_gate.weight", [HIDDEN])
    return model.feed_forward("_shexp", "mlp.shared_expert", 48)


def qwen3moe():
    keys = {"expert_count": 6, "expert_used_count": 3, "expert_feed_forward_length": 32}
    config = {"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 32, "norm_topk_prob": True}
    model = Model("qwen3moe", "Qwen3MoeForCausalLM", metadata=keys, config=config).ends()
    return model.layer_norms(BEFORE).heads_norms().attention().experts("mlp.gate", expert_names(), 6, 32)


def gemma2():
    keys = {"attention.sliding_window": 8, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0}
    config = {"sliding_window": 8, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0}
    config |= {"query_pre_attn_scalar": HEAD, "hidden_activation": "gelu_pytorch_tanh"}
    model = Model("gemma2", "Gemma2ForCausalLM", layers=4, metadata=keys, config=config).ends(tied=True, norm="minus1")
    return model.layer_norms(AROUND, "minus1").attention().feed_forward()


def gemma3():
    keys = {"attention.sliding_window": 8, "rope.freq_base": 1000000.0}
    keys |= {"rope.scaling.type": "linear", "rope.scaling.factor": 8.0}
    config = {"sliding_window": 8, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "query_pre_attn_scalar": HEAD}
    config |= {"hidden_activation": "gelu_pytorch_tanh", "rope_scaling": {"rope_type": "linear", "factor": 8.0}}
    model = Model("gemma3", "Gemma3ForCausalLM", layers=7, metadata=keys, config=config).ends(tied=True, norm="minus1")
    return model.layer_norms(AROUND, "minus1").heads_norms("minus1").attention().feed_forward()


def phi3():
    model = Model("phi3", "Phi3ForCausalLM").ends()
    return model.layer_norms(BEFORE).fused_attention().fused_feed_forward()


def phi3_long():
    long = [float(factor) for factor in np.linspace(1, 4, HEAD // 2)]
    short = [float(factor) for factor in np.linspace(1, 1.5, HEAD // 2)]
    factor = (1 + np.log(TRAINED / 16) / np.log(16)) ** 0.5
    model = phi3()
    model.metadata |= {"rope.scaling.original_context_length": 16, "rope.scaling.attn_factor": float(np.float32(factor))}
    scaling = {"type": "longrope", "long_factor": long, "short_factor": short}
    model.config |= {"rope_scaling": scaling, "original_max_position_embeddings": 16}
    model.given = [["rope_factors_long.weight", long], ["rope_factors_short.weight", short]]
    return model


def stablelm():
    keys = {"rope.dimension_count": 4, "attention.layer_norm_epsilon": 1e-5, "use_parallel_residual": False}
    keys["attention.layer_norm_rms_epsilon"] = None
    config = {"partial_rotary_factor": 0.25, "layer_norm_eps": 1e-5, "use_parallel_residual": False, "qk_layernorm": False}
    model = Model("stablelm", "StableLmForCausalLM", metadata=keys, config=config).ends(bias=True)
    return model.layer_norms(BEFORE, bias=True).attention(bias=True).feed_forward()


def stablelm_parallel():
    model = stablelm()
    model.tensors = [tensor for tensor in model.tensors if "ffn_norm" not in tensor[0]]
    model.metadata["use_parallel_residual"] = model.config["use_parallel_residual"] = model.config["qk_layernorm"] = True
    for layer in range(model.layers):
        for part, count in (("q", HEADS), ("k", KV)):
            hf_name = f"model.layers.{layer}.self_attn.{part}_layernorm.norms.{{}}.weight"
            model.add(f"blk.{layer}.attn_{part}_norm.weight", hf_name, [count, HEAD], 1.0, 0.3, "each")
    return model


def olmo2():
    model = Model("olmo2", "Olmo2ForCausalLM").ends()
    after = [("post_attention_norm", "post_attention_layernorm"), ("post_ffw_norm", "post_feedforward_layernorm")]
    return model.layer_norms(after).heads_norms(size=(HEADS * HEAD, KV * HEAD)).attention().feed_forward()


def glm4():
    model = Model("glm4", "Glm4ForCausalLM", metadata={"rope.dimension_count": 8}, config={"partial_rotary_factor": 0.5}).ends()
    return model.layer_norms(GLM).attention(bias=True).fused_feed_forward()


FAMILIES = [llama, llama_linear, llama_yarn, llama3, mixtral, qwen2, qwen3, qwen2moe, qwen3moe, gemma2, gemma3, phi3, phi3_long]
FAMILIES += [stablelm, stablelm_parallel, olmo2, glm4]


def read_log_probabilities(path):
    """The tokens and the logarithms of probabilities from the middle of the context on."""
    data = path.read_bytes()
    context, vocabulary, chunks = struct.unpack_from("<4xIII", data, 4)
    tokens = struct.unpack_from(f"<{context}I", data, 20)
    width = 2 * ((vocabulary + 1) // 2) + 4
    rows, at = {}, 20 + 4 * context * chunks
    for position in range(context // 2, context - 1):
        scale, least = struct.unpack_from("<ff", data, at)
        codes = np.frombuffer(data, np.uint16, vocabulary, at + 8)
        rows[position] = least + scale * codes.astype(np.float64)
        at += 2 * width
    return tokens, rows


def record(program, model):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "tiny.gguf"
        model.write(path)
        return score(program, path, TEXT, TOKENS)


def score(program, path, words, sampled):
    """Tokens, perplexity and the logarithms of some probabilities that llama.cpp gives."""
    with tempfile.TemporaryDirectory() as folder:
        text, logits = pathlib.Path(folder) / "text", pathlib.Path(folder) / "logits"
        text.write_text(words)
        command = [program, "-m", path, "-f", text, "-c", CONTEXT, "-b", CONTEXT, "-t", 1, "--chunks", 1]
        command += ["-ctk", "f32", "-ctv", "f32", "-fa", "off", "--save-all-logits", logits]
        run = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        output = run.stdout + run.stderr
        found = re.search(r"PPL = ([0-9.]+)", output)
        if run.returncode != 0 or not found:
            sys.exit(f"{path}: {output[-3000:]}")
        tokens, rows = read_log_probabilities(logits)
        return tokens, float(found[1]), [[round(float(rows[at][token]), 4) for token in sampled] for at in POSITIONS]


def record_whole(program, model):
    """What is recorded of a whole model."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "f32.gguf"
        converter = pathlib.Path(program).with_name("llama-quantize")
        subprocess.run([converter, "--allow-requantize", model, path, "F32", "1"], check=True, capture_output=True)
        tokens, perplexity, rows = score(program, path, PASSAGE, PASSAGE_TOKENS)
        entry = {"tokens": tokens, "positions": POSITIONS, "sampled": PASSAGE_TOKENS, "perplexity": perplexity}
        return entry | {"log_probabilities": rows, "tolerance": TABLE_TOLERANCE}


def main(program, *models):
    if models:
        whole = {pathlib.Path(model).name: record_whole(program, model) for model in models}
        return print(json.dumps(whole, separators=(",", ":")))
    families = {}
    for family in FAMILIES:
        model = family()
        tokens, perplexity, rows = record(program, model)
        tolerance = TABLE_TOLERANCE if "hidden_activation" in model.config else TOLERANCE
        entry = {"metadata": model.keys(), "config": model.config, "tensors": model.tensors, "given": model.given}
        families[family.__name__] = entry | {"perplexity": perplexity, "log_probabilities": rows, "tolerance": tolerance}
        print(family.__name__, perplexity, file=sys.stderr)
    shared = {"tokens": tokens, "positions": POSITIONS, "sampled": TOKENS, "tokenizer": TOKENIZER, "families": families}
    json.dump(shared, sys.stdout, separators=(",", ":"), ensure_ascii=True)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
