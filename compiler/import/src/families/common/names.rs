//! Names of tensors: what GGUF files call a part, folders call it otherwise.

/// A part of a model, as GGUF files name it, and its name in folders.
pub type Name = (&'static str, &'static str);

/// The parts that all decoders may have. Those of layers follow the number of the layer.
pub const DECODER: &[Name] = &[
    ("token_embd", "model.embed_tokens"),
    ("output_norm", "model.norm"),
    ("output", "lm_head"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// Norms before attention and feed-forward.
pub const NORMS_BEFORE: &[Name] = &[("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")];

/// Norms of queries and keys.
pub const HEAD_NORMS: &[Name] = &[("attn_q_norm", "self_attn.q_norm"), ("attn_k_norm", "self_attn.k_norm")];

/// The names of a model's parts.
#[derive(Clone, Debug)]
pub struct Names {
    /// Tables; the first that has a part counts.
    pub tables: Vec<&'static [Name]>,
    /// What all names in folders begin with.
    pub prefix: &'static str,
    /// What precedes the number of a layer in folders.
    pub layer: &'static str,
}

impl Names {
    /// The names of a decoder whose family adds or replaces some.
    pub fn decoder(tables: &[&'static [Name]]) -> Self {
        Self { tables: [tables, &[DECODER]].concat(), prefix: "", layer: "model.layers" }
    }

    /// Whether the family has that part.
    pub fn has(&self, part: &str) -> bool {
        self.in_folder(part).is_some()
    }

    fn in_folder(&self, part: &str) -> Option<&'static str> {
        self.tables.iter().flat_map(|table| table.iter()).find(|(name, _)| *name == part).map(|(_, folder)| *folder)
    }

    /// The whole name of a part's tensor; in folders, the number of an expert or a head may be missing as `{}`. `None` if the
    /// family does not have that part.
    pub fn tensor(&self, gguf: bool, layer: Option<usize>, part: &str, kind: &str) -> Option<String> {
        let folder = self.in_folder(part)?;
        Some(match (gguf, layer) {
            (true, None) => format!("{part}.{kind}"),
            (true, Some(layer)) => format!("blk.{layer}.{part}.{kind}"),
            (false, None) => format!("{}{folder}.{kind}", self.prefix),
            (false, Some(layer)) => format!("{}{}.{layer}.{folder}.{kind}", self.prefix, self.layer),
        })
    }
}
