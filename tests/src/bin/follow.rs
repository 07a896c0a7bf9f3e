//! Follows a given continuation of a prompt as long as greedy decoding would choose it.
//!
//! Usage: `follow MODEL.lwx PROMPT CONTINUATION`. Prints the first token that greedy decoding would not choose and by how much its
//! logit is below the largest, or that there is none.

use lostwax_runtime::llm::{DecoderOptions, Language, open_decoder};
use lostwax_runtime::{Device, Model};
use lostwax_tests::report;
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    report("follow MODEL.lwx PROMPT CONTINUATION", |[model, prompt, continuation]| follow(model, prompt, continuation))
}

fn follow(model: &str, prompt: &str, continuation: &str) -> Result<String, Box<dyn Error>> {
    let model = Model::open(model)?;
    let language = Language::open(&model)?;
    let start = language.encode_prompt(prompt)?.len();
    let tokens = language.encode_prompt(&format!("{prompt}{continuation}"))?;
    let (prompt, rest) = tokens.split_at(start.min(tokens.len()));
    let mut decoder = open_decoder(&model, DecoderOptions::new(Device::cpu()))?;
    let mut logits = decoder.append(prompt)?.to_vec();
    for (position, token) in rest.iter().enumerate() {
        let (best, largest) = (0..).zip(&logits).max_by(|(_, x), (_, y)| x.total_cmp(y)).ok_or("there are no logits")?;
        let given = logits.get(*token as usize).ok_or("the token is unknown")?;
        if best != *token {
            let name = |token: u32| language.tokenizer().decode(&[token], false);
            return Ok(format!("token {position}: {:?} is {} below {:?}", name(*token)?, largest - given, name(best)?));
        }
        logits = decoder.append(&[*token])?.to_vec();
    }
    Ok(format!("all {} tokens are the likeliest", rest.len()))
}
