#![forbid(unsafe_code)]
//! Talks with a language model.
//!
//! ```text
//! lostwax compile smollm2-135m-instruct-q4_1.gguf -o smollm2.lwx
//! chat smollm2.lwx
//! ```

use lostwax_runtime::llm::{DecoderOptions, Generator, Language, Message, Request, open_decoder};
use lostwax_runtime::{Device, Model};
use std::error::Error;
use std::io::{BufRead, Write, stderr, stdin, stdout};
use std::ops::ControlFlow;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model] = args.as_slice() else { return Err("usage: chat MODEL.lwx".into()) };
    let model = Model::open(model)?;
    let language = Language::open(&model)?;
    let mut generator = Generator::new(open_decoder(&model, DecoderOptions::new(Device::cpu()))?);
    let mut messages = Vec::new();
    eprint!("> ");
    for line in stdin().lock().lines() {
        messages.push(Message::new("user", line?));
        let answer = answer(&mut generator, &language, &messages)?;
        messages.push(Message::new("assistant", answer));
        eprint!("> ");
        stderr().flush()?;
    }
    Ok(())
}

/// Prints the answer as it comes. What the generator has seen before is not computed again.
fn answer(generator: &mut Generator, language: &Language, messages: &[Message]) -> Result<String, Box<dyn Error>> {
    let prompt = language.encode_chat(messages)?;
    let generated = generator.generate(language, &Request::new(language, &prompt), &mut |text| {
        print!("{text}");
        if stdout().flush().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    println!();
    eprintln!("{:.1} tokens/s", generated.timings.decode_rate());
    Ok(generated.text)
}
