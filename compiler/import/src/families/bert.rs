//! BERT (Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", 2019) as a model of
//! sentences (Reimers and Gurevych, "Sentence-BERT", 2019), such as MiniLM.

use super::common::encoder::{Encoder, Pooling};
use super::common::names::{Name, Names};
use super::common::settings::{Key, Settings, Source};
use super::{Architecture, Family};
use crate::ImportError;
use crate::safetensors::Config;

/// The family.
pub(super) const FAMILY: Family = Family { name: "bert", gguf: &["bert"], folder: &["BertModel", "BertForMaskedLM"], read };

const NAMES: &[Name] = &[
    ("token_embd", "embeddings.word_embeddings"),
    ("position_embd", "embeddings.position_embeddings"),
    ("token_types", "embeddings.token_type_embeddings"),
    ("token_embd_norm", "embeddings.LayerNorm"),
    ("attn_q", "attention.self.query"),
    ("attn_k", "attention.self.key"),
    ("attn_v", "attention.self.value"),
    ("attn_output", "attention.output.dense"),
    ("attn_output_norm", "attention.output.LayerNorm"),
    ("ffn_up", "intermediate.dense"),
    ("ffn_down", "output.dense"),
    ("layer_output_norm", "output.LayerNorm"),
];

/// What comes before the names of folders that hold more than the encoder.
const PREFIXES: [&str; 2] = ["", "bert."];

/// Parts of folders that embeddings do not need.
const UNNEEDED: &[&str] = &["pooler.", "position_ids", "cls."];

const POOLING: Key = Key { gguf: "pooling_type", folder: "" };

/// The number of GGUF for taking the first token, and where folders of sentence-transformers tell it.
const FIRST_TOKEN: usize = 2;
const POOLING_FILE: &str = "1_Pooling/config.json";
const FIRST_TOKEN_KEY: &str = "pooling_mode_cls_token";

fn read(settings: &Settings, _: usize) -> Result<Architecture, ImportError> {
    let names = |prefix: &'static str| Names { tables: vec![NAMES], prefix, layer: "encoder.layer" };
    let has_tokens = |prefix: &&'static str| {
        let name = names(prefix).tensor(false, None, "token_embd", "weight");
        name.is_some_and(|name| settings.weights().get(&name).is_some())
    };
    let prefix = PREFIXES.into_iter().find(has_tokens).unwrap_or_default();
    let encoder = Encoder::read(settings, names(prefix), UNNEEDED, pooling(settings)?)?;
    Ok(encoder.into())
}

fn pooling(settings: &Settings) -> Result<Pooling, ImportError> {
    let first = match &settings.source {
        Source::Gguf(_) => settings.find(POOLING)? == Some(FIRST_TOKEN),
        Source::Folder(folder) => match folder.file(POOLING_FILE) {
            Some(path) => Config::read(&path)?.find(FIRST_TOKEN_KEY)?.unwrap_or(false),
            None => false,
        },
    };
    Ok(if first { Pooling::First } else { Pooling::Mean })
}
