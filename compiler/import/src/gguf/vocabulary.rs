//! The vocabulary of a GGUF file as a `tokenizer.json`.

use super::Metadata;
use crate::ImportError;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use thiserror::Error;

/// Token types that are found in text before it is cut: unknown, control, user defined.
const WHOLE_TYPES: [u32; 3] = [2, 3, 4];

/// Of these, those that are not text of their own.
const CONTROL_TYPE: u32 = 3;

/// What stands for a space in vocabularies of words.
const SPACE: &str = "\u{2581}";

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";
const LLAMA3: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Names of ways to cut text, and the patterns that cut it one after the other.
const CUTS: &[(&[&str], &[&str])] = &[
    (&["", "default"], &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"]),
    (&["gpt-2", "phi-2", "mpt", "olmo", "jina-es", "jina-de", "gigachat"], &[GPT2]),
    (&["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"], &[r"\p{N}", GPT2]),
    (&["llama-bpe", "llama3", "llama-v3", "falcon3", "dbrx", "smaug-bpe", "pixtral"], &[LLAMA3]),
    (&["qwen2", "deepseek-r1-qwen", "stablelm2", "megrez"], &[QWEN2]),
];

/// Cuts whose whole pieces are taken from the vocabulary before merges are tried.
const WHOLE_PIECES: [&str; 5] = ["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"];

/// A vocabulary as GGUF files hold it, in `tokenizer.ggml`.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// `model`: `llama`, `gpt2` or `bert`.
    pub model: String,
    /// `pre`: how text is cut before it is merged.
    pub pre: String,
    /// `tokens`.
    pub tokens: Vec<String>,
    /// `scores`; empty if there are none.
    pub scores: Vec<f32>,
    /// `token_type`; all normal if empty.
    pub token_types: Vec<u32>,
    /// `merges`, each two pieces with a space between.
    pub merges: Vec<String>,
    /// `bos_token_id`, for `bert` the token of the class.
    pub bos: Option<u32>,
    /// `eos_token_id`, for `bert` the separator.
    pub eos: Option<u32>,
    /// `unknown_token_id`.
    pub unknown: Option<u32>,
    /// `add_bos_token`; by default true except for `gpt2`.
    pub add_bos: Option<bool>,
    /// `add_eos_token`; by default true for `bert` only.
    pub add_eos: Option<bool>,
    /// `add_space_prefix`; by default true for `llama` only.
    pub add_space_prefix: Option<bool>,
}

/// Why a vocabulary cannot become a tokenizer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum VocabularyError {
    /// It breaks a rule.
    #[error("invalid vocabulary: {0}")]
    Invalid(String),
    /// It is of a kind that is not supported.
    #[error("unsupported vocabulary: {0}")]
    Unsupported(String),
}

impl Vocabulary {
    /// The vocabulary in the metadata of a GGUF file.
    ///
    /// # Errors
    /// [`ImportError::Invalid`] naming the key that is missing or of another kind.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self, ImportError> {
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        let types: Vec<i64> = metadata.find(&key("token_type"))?.unwrap_or_default();
        let kind = |value: &i64| {
            u32::try_from(*value)
                .map_err(|_| ImportError::invalid("metadata key", &key("token_type"), format!("{value} is not a token type")))
        };
        Ok(Self {
            model: metadata.get::<&str>(&key("model"))?.to_string(),
            pre: metadata.find::<&str>(&key("pre"))?.unwrap_or_default().to_string(),
            tokens: metadata.get::<&[String]>(&key("tokens"))?.to_vec(),
            scores: metadata.find::<&[f32]>(&key("scores"))?.unwrap_or_default().to_vec(),
            token_types: types.iter().map(kind).collect::<Result<_, _>>()?,
            merges: metadata.find::<&[String]>(&key("merges"))?.unwrap_or_default().to_vec(),
            bos: metadata.find(&key("bos_token_id"))?,
            eos: metadata.find(&key("eos_token_id"))?,
            unknown: metadata.find(&key("unknown_token_id"))?,
            add_bos: metadata.find(&key("add_bos_token"))?,
            add_eos: metadata.find(&key("add_eos_token"))?,
            add_space_prefix: metadata.find(&key("add_space_prefix"))?,
        })
    }

    /// The tokenizer that gives the tokens which llama.cpp gives.
    ///
    /// # Errors
    /// [`VocabularyError`] naming what is wrong, and what is supported.
    pub fn to_tokenizer_json(&self) -> Result<String, VocabularyError> {
        self.check()?;
        let parts = match self.model.as_str() {
            "llama" => self.words(),
            "gpt2" => self.bytes()?,
            "bert" => self.word_pieces(),
            other => {
                let problem = format!("the model `{other}`; supported are llama, gpt2 and bert");
                return Err(VocabularyError::Unsupported(problem));
            }
        };
        let [normalizer, pre_tokenizer, decoder, model] = parts;
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": self.added_tokens(),
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
            "post_processor": self.post_processor(), "decoder": decoder, "model": model,
        });
        Ok(tokenizer.to_string())
    }

    /// Whether texts begin with `bos`.
    pub fn adds_bos(&self) -> bool {
        self.bos.is_some() && self.add_bos.unwrap_or(self.model != "gpt2")
    }

    fn check(&self) -> Result<(), VocabularyError> {
        let count = self.tokens.len();
        let problem = |text: String| Err(VocabularyError::Invalid(text));
        for (name, length) in [("scores", self.scores.len()), ("token types", self.token_types.len())] {
            if length != 0 && length != count {
                return problem(format!("{length} {name} for {count} tokens"));
            }
        }
        let special = [self.bos, self.eos, self.unknown];
        match special.into_iter().flatten().find(|id| *id as usize >= count) {
            Some(id) => problem(format!("token {id} does not exist; there are {count}")),
            None => Ok(()),
        }
    }

    fn token(&self, id: Option<u32>) -> Option<&str> {
        self.tokens.get(id? as usize).map(String::as_str)
    }

    /// Tokens with their types; of tokens that are written the same, the first.
    fn ids(&self) -> HashMap<&str, usize> {
        let mut ids = HashMap::new();
        for (id, token) in self.tokens.iter().enumerate() {
            ids.entry(token.as_str()).or_insert(id);
        }
        ids
    }

    fn token_type(&self, id: usize) -> u32 {
        self.token_types.get(id).copied().unwrap_or(1)
    }

    fn added_tokens(&self) -> Vec<Value> {
        let whole =
            self.tokens.iter().enumerate().filter(|(id, token)| WHOLE_TYPES.contains(&self.token_type(*id)) && !token.is_empty());
        let added = whole.map(|(id, token)| {
            json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": self.token_type(id) == CONTROL_TYPE,
            })
        });
        added.collect()
    }

    fn post_processor(&self) -> Value {
        let bos = self.adds_bos().then_some(self.bos).flatten();
        let eos = self.add_eos.unwrap_or(self.model == "bert").then_some(self.eos).flatten();
        let special = |id: Option<u32>| id.map(|id| json!({ "SpecialToken": { "id": id.to_string(), "type_id": 0 } }));
        let around = |id: &str| {
            let middle = Some(json!({ "Sequence": { "id": id, "type_id": 0 } }));
            [special(bos), middle, special(eos)].into_iter().flatten().collect::<Vec<_>>()
        };
        let tokens = bos
            .into_iter()
            .chain(eos)
            .map(|id| (id.to_string(), json!({ "id": id.to_string(), "ids": [id], "tokens": [self.token(Some(id))] })));
        let tokens: Map<String, Value> = tokens.collect();
        if tokens.is_empty() {
            return Value::Null;
        }
        let pair = [around("A"), around("B")].concat();
        json!({ "type": "TemplateProcessing", "single": around("A"), "pair": pair, "special_tokens": tokens })
    }

    fn bpe(&self, merges: Vec<[&str; 2]>, extra: Value) -> Value {
        let mut model = json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": self.ids(), "merges": merges,
        });
        if let (Some(model), Value::Object(extra)) = (model.as_object_mut(), extra) {
            model.extend(extra);
        }
        model
    }

    /// Normalizer, pre-tokenizer, decoder and model of vocabularies of words, where pieces are merged by score.
    fn words(&self) -> [Value; 4] {
        let prefix = self.add_space_prefix.unwrap_or(true);
        let replace = |from: &str, to: &str| json!({ "type": "Replace", "pattern": { "String": from }, "content": to });
        let mut normalizers = vec![replace(" ", SPACE)];
        let mut decoders = vec![replace(SPACE, " "), json!({ "type": "ByteFallback" }), json!({ "type": "Fuse" })];
        if prefix {
            normalizers.insert(0, json!({ "type": "Prepend", "prepend": SPACE }));
            decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
        }
        let extra = json!({ "unk_token": self.token(self.unknown), "fuse_unk": true, "byte_fallback": true });
        let model = self.bpe(self.merges_by_score(), extra);
        let sequence = json!({ "type": "Sequence", "normalizers": normalizers });
        [sequence, Value::Null, json!({ "type": "Sequence", "decoders": decoders }), model]
    }

    /// All ways to make a token of two others; the token with the highest score comes first.
    fn merges_by_score(&self) -> Vec<[&str; 2]> {
        let ids = self.ids();
        let mut merges: Vec<(f32, usize, usize, [&str; 2])> = Vec::new();
        for (id, token) in self.tokens.iter().enumerate() {
            let score = self.scores.get(id).copied().unwrap_or(0.0);
            let cuts = token.char_indices().skip(1).filter_map(|(cut, _)| token.split_at_checked(cut));
            let pairs = cuts.filter_map(|(left, right)| Some((score, *ids.get(left)?, *ids.get(right)?, [left, right])));
            merges.extend(pairs);
        }
        merges.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        merges.into_iter().map(|(.., pair)| pair).collect()
    }

    /// Normalizer, pre-tokenizer, decoder and model of vocabularies of bytes, where pieces are merged in a given order.
    fn bytes(&self) -> Result<[Value; 4], VocabularyError> {
        let known = || CUTS.iter().flat_map(|(names, _)| *names).copied().collect::<Vec<_>>().join(" ");
        let cut = CUTS.iter().find(|(names, _)| names.contains(&self.pre.as_str()));
        let unknown = || VocabularyError::Unsupported(format!("the pre-tokenizer `{}`; supported are {}", self.pre, known()));
        let (_, patterns) = cut.ok_or_else(unknown)?;
        let split =
            |pattern: &&str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
        let to_bytes = json!({
            "type": "ByteLevel", "add_prefix_space": self.add_space_prefix.unwrap_or(false), "trim_offsets": false, "use_regex": false,
        });
        let steps: Vec<Value> = patterns.iter().map(split).chain([to_bytes.clone()]).collect();
        let merges = self.merges.iter().map(|merge| {
            let pair = merge.split_once(' ').map(|(left, right)| [left, right]);
            pair.ok_or_else(|| VocabularyError::Invalid(format!("`{merge}` is not a merge of two pieces")))
        });
        let whole = WHOLE_PIECES.contains(&self.pre.as_str());
        let model = self.bpe(merges.collect::<Result<_, _>>()?, json!({ "ignore_merges": whole }));
        Ok([Value::Null, json!({ "type": "Sequence", "pretokenizers": steps }), to_bytes, model])
    }

    /// Normalizer, pre-tokenizer, decoder and model of vocabularies whose words are cut from the left. GGUF marks beginnings of
    /// words, the tokenizer what continues them.
    fn word_pieces(&self) -> [Value; 4] {
        let mut vocabulary = Map::new();
        for (id, token) in self.tokens.iter().enumerate() {
            let piece = match token.strip_prefix(SPACE) {
                Some(begin) => begin.to_owned(),
                None if WHOLE_TYPES.contains(&self.token_type(id)) => token.clone(),
                None => format!("##{token}"),
            };
            vocabulary.entry(piece).or_insert(json!(id));
        }
        let model = json!({
            "type": "WordPiece", "unk_token": self.token(self.unknown).unwrap_or("[UNK]"), "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary,
        });
        let normalizer = json!({
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true,
        });
        let decoder = json!({ "type": "WordPiece", "prefix": "##", "cleanup": true });
        [normalizer, json!({ "type": "BertPreTokenizer" }), decoder, model]
    }
}
