//! Text in and out, with a decoder that is written in Rust.

#![cfg(feature = "llm")]

mod common;

use lostwax_runtime::format::LanguageModel;
use lostwax_runtime::llm::{
    ChatTemplate, Decoder, FinishReason, Generator, Language, Message, Perplexity, Request, Sampler, Sampling, StepOutput,
    Tokenizer,
};
use lostwax_runtime::{Bindings, Model, RuntimeError};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

/// One token for each byte, and 256 that ends a text.
fn tokenizer_json() -> String {
    let vocabulary: Vec<String> = (0..256).map(|byte| format!("\"<0x{byte:02X}>\":{byte}")).collect();
    format!(
        r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{{"id":256,"content":"<end>","single_word":false,
        "lstrip":false,"rstrip":false,"normalized":false,"special":true}}],"normalizer":null,"pre_tokenizer":null,
        "post_processor":null,"decoder":{{"type":"Sequence","decoders":[{{"type":"ByteFallback"}},{{"type":"Fuse"}}]}},
        "model":{{"type":"BPE","byte_fallback":true,"vocab":{{{}}},"merges":[]}}}}"#,
        vocabulary.join(",")
    )
}

fn language() -> Language {
    let model = LanguageModel { vocabulary_size: 257, context_length: 64, eos: vec![256], ..LanguageModel::default() };
    Language::new(model, tokenizer_json().as_bytes()).expect("the tokenizer is valid")
}

/// Says the text, whatever the prompt is, and writes down what it was given.
struct Parrot {
    text: Vec<u8>,
    said: usize,
    position: usize,
    logits: Vec<f32>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Decoder for Parrot {
    fn vocabulary_size(&self) -> usize {
        257
    }

    fn context_length(&self) -> usize {
        64
    }

    fn position(&self) -> usize {
        self.position
    }

    fn append(&mut self, tokens: &[u32]) -> Result<&[f32], RuntimeError> {
        self.calls.lock().unwrap().push(format!("+{}", tokens.len()));
        self.position += tokens.len();
        self.logits = vec![0.0; 257];
        let next = self.text.get(self.said).map_or(256, |byte| usize::from(*byte));
        self.logits[next] = 9.0;
        self.said += 1;
        Ok(&self.logits)
    }

    fn truncate(&mut self, position: usize) -> Result<(), RuntimeError> {
        self.calls.lock().unwrap().push(format!("={position}"));
        self.position = position;
        self.said = 0;
        Ok(())
    }
}

fn generator(text: &str) -> (Generator, Arc<Mutex<Vec<String>>>) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let parrot = Parrot { text: text.into(), said: 0, position: 0, logits: Vec::new(), calls: Arc::clone(&calls) };
    (Generator::new(Box::new(parrot)), calls)
}

fn request<'a>(language: &'a Language, prompt: &'a [u32], stop: &'a [String]) -> Request<'a> {
    Request { stop, sampling: Sampling::greedy(), ..Request::new(language, prompt) }
}

fn pieces(text: &str, stop: &[&str], max_tokens: usize, flow: ControlFlow<()>) -> (Vec<String>, String, FinishReason) {
    let (language, mut pieces) = (language(), Vec::new());
    let stop: Vec<String> = stop.iter().map(ToString::to_string).collect();
    let request = Request { max_tokens, ..request(&language, &[65, 66], &stop) };
    let generated = generator(text).0.generate(&language, &request, &mut |piece| {
        pieces.push(piece.to_owned());
        flow
    });
    let generated = generated.expect("the parrot speaks");
    (pieces, generated.text, generated.finish_reason)
}

#[test]
fn text_comes_in_whole_characters() {
    let (pieces, text, finish_reason) = pieces("aé🙂", &[], 100, ControlFlow::Continue(()));
    assert_eq!(
        (pieces, text.as_str(), finish_reason),
        (vec!["a".into(), "é".into(), "🙂".into()], "aé🙂", FinishReason::EndOfText)
    );
}

#[test]
fn text_ends_for_each_reason() {
    let stop = FinishReason::StopString("END".into());
    assert_eq!(pieces("say ENDless", &["END"], 100, ControlFlow::Continue(())).1, "say ");
    assert_eq!(pieces("say ENDless", &["END"], 100, ControlFlow::Continue(())).2, stop);
    assert_eq!(pieces("say EN", &["END"], 100, ControlFlow::Continue(())).1, "say EN");
    assert_eq!(pieces("abc", &[], 2, ControlFlow::Continue(())).1, "ab");
    assert_eq!(pieces("abc", &[], 0, ControlFlow::Continue(())).2, FinishReason::MaxTokens);
    assert_eq!(pieces("abc", &[], 9, ControlFlow::Break(())), (vec!["a".into()], "a".into(), FinishReason::Cancelled));
    assert_eq!(pieces(&"x".repeat(99), &[], 99, ControlFlow::Continue(())).2, FinishReason::ContextFull);
}

#[test]
fn what_was_seen_is_not_computed_again() {
    let (language, (mut generator, calls)) = (language(), generator("ab"));
    let mut run =
        |prompt: &[u32]| generator.generate(&language, &request(&language, prompt, &[]), &mut |_| ControlFlow::Continue(()));
    run(&[1, 2, 3]).unwrap();
    let second = run(&[1, 2, 3, 97, 98, 4]).unwrap();
    assert_eq!((second.timings.cached_tokens, second.timings.prompt_tokens), (5, 1));
    run(&[1, 9]).unwrap();
    run(&[1, 9]).unwrap();
    let calls = calls.lock().unwrap().join(" ");
    assert_eq!(calls, "=0 +3 +1 +1 =5 +1 +1 +1 =1 +1 +1 +1 =1 +1 +1 +1");
    assert!(matches!(run(&[7; 65]), Err(RuntimeError::ContextFull { needed: 65, limit: 64 })));
}

#[test]
fn sampling_follows_probabilities() {
    let logits = [1.0f32, 3.0, 2.0, -1.0].map(|value: f32| value.ln_1p().max(-50.0));
    let sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..Sampling::default() };
    let draw = |sampling: &Sampling| {
        let mut sampler = Sampler::new(sampling.clone()).unwrap();
        (0..9000).map(|_| sampler.sample(&logits, &[]).unwrap()).collect::<Vec<u32>>()
    };
    let (first, second) = (draw(&sampling), draw(&sampling));
    let share = |ids: &[u32], id| ids.iter().filter(|found| **found == id).count() as f64 / 9000.0;
    assert_eq!(first, second);
    for (id, expected) in [(0, 2.0 / 9.0), (1, 4.0 / 9.0), (2, 3.0 / 9.0), (3, 0.0)] {
        assert!((share(&first, id) - expected).abs() < 0.02, "{id}");
    }
    assert_ne!(first, draw(&Sampling { seed: 1, ..sampling }));
    assert_eq!(share(&draw(&Sampling { top_k: 2, ..sampling }), 0), 0.0);
    assert_eq!(share(&draw(&Sampling { top_p: 0.7, ..sampling }), 0), 0.0);
    assert_eq!(share(&draw(&Sampling { min_p: 0.6, ..sampling }), 0), 0.0);
}

#[test]
fn ties_and_bad_numbers() {
    let mut greedy = Sampler::new(Sampling::greedy()).unwrap();
    assert_eq!(greedy.sample(&[1.0, 5.0, 5.0], &[]).unwrap(), 1);
    for logits in [&[f32::NAN, 1.0][..], &[f32::INFINITY], &[f32::NEG_INFINITY], &[]] {
        assert!(matches!(greedy.sample(logits, &[]), Err(RuntimeError::InvalidLogits { .. })));
    }
    let mut penalized = Sampler::new(Sampling { repetition_penalty: 2.0, repetition_window: 1, ..Sampling::greedy() }).unwrap();
    assert_eq!(penalized.sample(&[4.0, 3.0], &[0]).unwrap(), 1);
    assert_eq!(penalized.sample(&[4.0, 3.0], &[0, 1]).unwrap(), 0);
    assert!(Sampler::new(Sampling { top_p: f32::NAN, ..Sampling::default() }).is_err());
}

#[test]
fn templates_follow_the_rules_of_their_models() {
    let chatml = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nHelp<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
    let template = ChatTemplate::new(chatml, "", "").unwrap();
    let hi = [Message::new("user", " Hi <b>&")];
    let expected = "<|im_start|>system\nHelp<|im_end|>\n<|im_start|>user\n Hi <b>&<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(template.render(&hi, true).unwrap(), expected);
    let methods = "{%- set ns = namespace(n=0) -%}\n{% for m in messages %}\n  {% if m.role == 'tool' %}{% continue %}{% endif %}\n{% set ns.n = ns.n + 1 %}\n{{ bos_token + m['content'].strip() | upper }}{{ m | tojson }}\n{% endfor %}\n{{ ns.n }}{{ 'a b'.split(' ')[-1] }}{{ 'xy'.startswith('x') }}";
    let text = ChatTemplate::new(methods, "<s>", "").unwrap().render(&hi, false).unwrap();
    assert!(text.contains("<s>HI <B>&{\"role\": \"user\", \"content\": \" Hi <b>&\"}"), "{text}");
    let refusal = ChatTemplate::new("a\n{{ raise_exception('no system') }}", "", "").unwrap().render(&hi, true);
    assert_eq!(refusal.unwrap_err().to_string(), "chat template, line 2: no system");
    let broken = ChatTemplate::new("\n\n{% for %}", "", "").err().unwrap().to_string();
    assert!(broken.contains("chat template, line 3"), "{broken}");
}

#[test]
fn what_is_recorded_does_not_depend_on_the_day() {
    let template = "{% macro today() %}{{ strftime_now('%d %B %Y') }}{% endmacro %}{{ today() }} {{ messages[0].content }}";
    let model = LanguageModel { chat_template: template.into(), ..language().description().clone() };
    let dated = Language::new(model.clone(), tokenizer_json().as_bytes()).unwrap();
    let recorded = dated.record_template(&[Message::new("user", "hi")]).unwrap();
    assert_eq!((recorded.text.as_str(), recorded.ids.len()), ("01 January 2025 hi", 18));
    let with = |model: LanguageModel| Language::new(model, tokenizer_json().as_bytes()).unwrap();
    let same = with(LanguageModel { conversations: vec![recorded.clone()], ..model.clone() });
    assert!(same.check_template().is_empty() && same.check_tokenizer().is_empty());
    let other = with(LanguageModel { conversations: vec![recorded], chat_template: "{{ messages[0].content }}".into(), ..model });
    assert_eq!(other.check_template().len(), 1);
}

#[test]
fn names_of_special_tokens_may_be_text() {
    let mut language = language();
    assert_eq!(language.encode_prompt("a<end>").unwrap(), [97, 256]);
    language.tokenizer_mut().set_plain(true);
    assert_eq!(language.encode_prompt("a<end>").unwrap(), [97, 60, 101, 110, 100, 62]);
}

#[test]
fn damaged_tokenizers_are_refused() {
    for json in ["", "{}", "[1", &tokenizer_json()[..900]] {
        assert!(matches!(Tokenizer::from_json(json.as_bytes()), Err(RuntimeError::Artifact(_))));
    }
}

#[test]
fn perplexity_of_a_parrot() {
    let parrot = |text: &[u8]| Parrot { text: text.into(), said: 0, position: 0, logits: Vec::new(), calls: Arc::default() };
    let mut perplexity = Perplexity::default();
    perplexity.add(&mut parrot(b"cc"), &[1, 2, 3, 4, 5, 99, 99], None).unwrap();
    assert_eq!(perplexity.tokens(), 3);
    assert!(perplexity.add(&mut parrot(b""), &[1, 2], None).is_err());
}

/// Always foretells one token more than the last, with 4 times the weight of each other token, and writes down what it is given.
struct Counter {
    seen: Vec<u32>,
    logits: Vec<f32>,
}

impl Decoder for Counter {
    fn vocabulary_size(&self) -> usize {
        16
    }

    fn context_length(&self) -> usize {
        64
    }

    fn position(&self) -> usize {
        self.seen.len()
    }

    fn append(&mut self, tokens: &[u32]) -> Result<&[f32], RuntimeError> {
        self.seen.extend(tokens);
        let next = self.seen.last().map_or(0, |last| (last + 1) % 16);
        self.logits = (0..16).map(|token| if token == next { 4f32.ln() } else { 0.0 }).collect();
        Ok(&self.logits)
    }

    fn truncate(&mut self, position: usize) -> Result<(), RuntimeError> {
        self.seen.truncate(position);
        Ok(())
    }
}

#[test]
fn perplexity_counts_the_second_half_of_each_chunk() {
    let mut counter = Counter { seen: Vec::new(), logits: Vec::new() };
    let mut perplexity = Perplexity::default();
    perplexity.add(&mut counter, &[9, 9, 9, 1, 2, 3, 4, 5], Some(0)).unwrap();
    assert_eq!((perplexity.tokens(), counter.seen.as_slice()), (3, &[0, 9, 9, 1, 2, 3, 4][..]));
    assert!((perplexity.value() - 19.0 / 4.0).abs() < 1e-6 && perplexity.error() < 1e-6);
    perplexity.add(&mut counter, &[9, 9, 9, 9, 9, 1, 8, 8], None).unwrap();
    assert!(perplexity.tokens() == 6 && counter.seen[0] == 9);
    let expected = ((3.0 * (19.0f64 / 4.0).ln() + 3.0 * 19f64.ln()) / 6.0).exp();
    assert!((perplexity.value() - expected).abs() < 1e-6 && perplexity.error() > 0.1);
}

#[test]
fn generations_take_turns() {
    let language = language();
    let (mut first, calls) = generator("one");
    let (mut second, _) = generator("other");
    let long = Request { prompt_chunk: 2, ..request(&language, &[1, 2, 3, 4, 5], &[]) };
    let mut a = first.begin(&language, &long).unwrap();
    let mut b = second.begin(&language, &request(&language, &[1], &[])).unwrap();
    let steps: Vec<StepOutput> = (0..9).map(|_| (a.step(&mut first).unwrap(), b.step(&mut second).unwrap()).0).collect();
    let prompt = [3, 1, 0].map(|left| StepOutput::Prompt { left });
    assert_eq!(
        (&steps[..3], &steps[3], &steps[4]),
        (&prompt[..], &StepOutput::Text("e".into()), &StepOutput::End(String::new()))
    );
    assert_eq!(calls.lock().unwrap().join(" "), "=0 +2 +2 +1 +1");
    assert_eq!((a.finish().finish_reason, b.finish().text), (FinishReason::EndOfText, "other".into()));
}

#[test]
fn a_generation_keeps_to_its_generator() {
    let language = language();
    let (mut generator, _) = generator("abc");
    let mut left = generator.begin(&language, &request(&language, &[1, 2], &[])).unwrap();
    left.step(&mut generator).unwrap();
    generator.generate(&language, &request(&language, &[1, 2, 3], &[]), &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(matches!(left.step(&mut generator), Err(RuntimeError::InvalidInput { .. })));
    assert_eq!(left.finish().finish_reason, FinishReason::Cancelled);
    assert!(generator.begin(&language, &request(&language, &[], &[])).is_err());
}

#[test]
fn bindings_change_between_runs() {
    let model = Model::from_bytes(common::artifact()).unwrap();
    let mut session = model.session(common::device()).unwrap();
    session.bind("b", 3).unwrap();
    assert!(session.bind("b", 65).is_err() && session.bind("zz", 1).is_err());
    let x = lostwax_runtime::Tensor::from_slice(&[1.0f32; 64], &[2, 32]).unwrap();
    let bias = lostwax_runtime::Tensor::from_slice(&[0.0f32], &[]).unwrap();
    assert!(session.run([("x", &x), ("bias", &bias)]).is_err());
    session.bind("b", 2).unwrap();
    assert_eq!(session.run([("x", &x), ("bias", &bias)]).unwrap()["y"].shape(), [2, 32]);
    session.bind("b", 3).unwrap();
    assert!(session.run([("x", &x), ("bias", &bias)]).is_err());
    assert!(model.requirements(None, &Bindings::from([("b".into(), 2), ("h".into(), 1)])).is_ok());
}
