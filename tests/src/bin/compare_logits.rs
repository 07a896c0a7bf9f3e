//! Compares the logits of two compiled decoders after each token of a text, which the first one's tokenizer reads.
//!
//! Usage: `compare_logits FIRST.lwx SECOND.lwx TEXT`. Prints the largest difference and the largest logit.

use lostwax_runtime::llm::{DecoderOptions, Language, open_decoder};
use lostwax_runtime::{Device, Model};
use lostwax_tests::report;
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    report("compare_logits FIRST.lwx SECOND.lwx TEXT", |[first, second, text]| compare(first, second, text))
}

fn compare(first: &str, second: &str, text: &str) -> Result<String, Box<dyn Error>> {
    let (first, second) = (Model::open(first)?, Model::open(second)?);
    let tokens = Language::open(&first)?.encode_prompt(&std::fs::read_to_string(text)?)?;
    let open = |model: &Model| open_decoder(model, DecoderOptions::new(Device::cpu()));
    let (mut first, mut second) = (open(&first)?, open(&second)?);
    let count = tokens.len().min(first.context_length()).min(second.context_length());
    let (mut difference, mut largest) = (0f32, 0f32);
    for token in &tokens[..count] {
        let pairs = first.append(&[*token])?.iter().zip(second.append(&[*token])?);
        (difference, largest) = pairs
            .fold((difference, largest), |(difference, largest), (x, y)| (difference.max((x - y).abs()), largest.max(x.abs())));
    }
    Ok(format!("{count} tokens: logits differ by {difference:e} at most, the largest is {largest}"))
}
