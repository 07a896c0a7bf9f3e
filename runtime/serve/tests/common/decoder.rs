//! A language model that is written in Rust: it babbles letters that follow from everything that it has seen.

#![allow(dead_code)]

use lostwax_runtime::RuntimeError;
use lostwax_runtime::format::LanguageModel;
use lostwax_runtime::llm::{Decoder, Language};
use std::time::Duration;

/// One token for each byte, and this one that ends a text.
const END: usize = 256;

const CONTEXT: usize = 2048;

const TEMPLATE: &str = "{% for message in messages %}<{{ message.role }}>{{ message.content }}\n{% endfor %}<assistant>";

/// A language whose tokens are bytes.
pub fn language() -> Language {
    let model = LanguageModel {
        vocabulary_size: END as u32 + 1,
        context_length: CONTEXT as u32,
        eos: vec![END as u32],
        chat_template: TEMPLATE.into(),
        ..LanguageModel::default()
    };
    Language::new(model, tokenizer_json().as_bytes()).expect("the tokenizer is valid")
}

/// One token for each byte, and one that ends a text.
pub fn tokenizer_json() -> String {
    let vocabulary: Vec<String> = (0..END).map(|byte| format!("\"<0x{byte:02X}>\":{byte}")).collect();
    format!(
        r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{{"id":256,"content":"<end>","single_word":false,
        "lstrip":false,"rstrip":false,"normalized":false,"special":true}}],"normalizer":null,"pre_tokenizer":null,
        "post_processor":null,"decoder":{{"type":"Sequence","decoders":[{{"type":"ByteFallback"}},{{"type":"Fuse"}}]}},
        "model":{{"type":"BPE","byte_fallback":true,"vocab":{{{}}},"merges":[]}}}}"#,
        vocabulary.join(",")
    )
}

/// Foretells a letter, or now and then the end, by a hash of all tokens in its cache.
pub struct Babbler {
    seen: Vec<u32>,
    logits: Vec<f32>,
    pause: Duration,
}

impl Babbler {
    /// A babbler that takes so long for each run.
    pub fn with_pause(pause: Duration) -> Self {
        Self { seen: Vec::new(), logits: Vec::new(), pause }
    }

    fn next(&self) -> usize {
        let mix = |hash: u32, token: &u32| (hash ^ token).wrapping_mul(0x0100_0193).rotate_left(5);
        let hash = self.seen.iter().fold(0x811c_9dc5, mix) as usize;
        if hash.is_multiple_of(41) { END } else { 97 + hash / 41 % 26 }
    }
}

impl Decoder for Babbler {
    fn vocabulary_size(&self) -> usize {
        END + 1
    }

    fn context_length(&self) -> usize {
        CONTEXT
    }

    fn position(&self) -> usize {
        self.seen.len()
    }

    fn append(&mut self, tokens: &[u32]) -> Result<&[f32], RuntimeError> {
        std::thread::sleep(self.pause);
        let needed = self.seen.len() + tokens.len();
        if needed > CONTEXT {
            return Err(RuntimeError::ContextFull { needed, limit: CONTEXT });
        }
        self.seen.extend(tokens);
        let next = self.next();
        self.logits = (0..=END).map(|token| if token == next { 9.0 } else { 0.0 }).collect();
        Ok(&self.logits)
    }

    fn truncate(&mut self, position: usize) -> Result<(), RuntimeError> {
        self.seen.truncate(position);
        Ok(())
    }
}
