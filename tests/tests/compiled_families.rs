//! Language models that are compiled, against their graphs in the reference interpreter.

use lostwax::Registry;
use lostwax::compiler::model::{CompileOptions, compile};
use lostwax::import::LanguageOptions as Options;
use lostwax::import::families::quant_from_name;
use lostwax_ir::types::DType;
use lostwax_runtime::llm::{DecoderOptions, open_decoder, open_decoders};
use lostwax_runtime::{AlignedBuffer, Device, Model};
use lostwax_tests::decoder::Interpreted;
use lostwax_tests::levels;
use lostwax_tests::tiny::{TinyModel, TinyModels};
use std::path::Path;

/// How far logits of compiled models may lie from those of the interpreter.
const TOLERANCE: f32 = 1e-4;

/// The same with caches of binary16 numbers or bytes, where values beside the middle of two of them may fall to either side.
const HALF_TOLERANCE: f32 = 2e-3;

/// The same where activations are quantized, as those beside the middle of two bytes may fall to either side.
const QUANTIZED_TOLERANCE: f32 = 0.1;

/// Tokens that are appended at once before the rest follows one by one.
const TOGETHER: usize = 13;

fn distance(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    let differences = left.iter().zip(right).map(|(x, y)| (x - y).abs());
    differences.fold(0.0, |largest, difference| if difference.is_nan() { f32::INFINITY } else { largest.max(difference) })
}

/// Compiles a model for devices and compares it with its graphs, on each device at each level that it can run: tokens that are
/// appended at once, then others one by one.
fn check(name: &str, recorded: &TinyModels, model: &TinyModel, language: Options, devices: &[&str]) {
    let tokens = &recorded.reading.tokens;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    model.write_gguf(&recorded.tokenizer, &path);
    let graphs = Registry::default().import.language(&path, &language).unwrap();
    let expected = Interpreted::new(&graphs).run("score", tokens);
    let rows: Vec<&[f32]> = expected.chunks(graphs.description.vocabulary_size as usize).collect();
    let compiled = compiled(&path, language, devices);
    let tolerance = match language {
        Options { activations: DType::I8, quant: Some(_), .. } => QUANTIZED_TOLERANCE,
        Options { cache: DType::F16, .. } => HALF_TOLERANCE,
        _ => TOLERANCE,
    };
    let device = |name: &&str| Registry::default().device(Some(name), &[]).unwrap();
    for (level, device) in devices.iter().flat_map(|name| levels::devices(&compiled, &device(name)).unwrap()) {
        let mut decoder = open_decoder(&compiled, DecoderOptions::new(device)).unwrap();
        let (start, rest) = tokens.split_at(TOGETHER);
        let mut largest = distance(decoder.append(start).unwrap(), rows[TOGETHER - 1]);
        for (position, token) in (TOGETHER..).zip(rest) {
            largest = largest.max(distance(decoder.append(&[*token]).unwrap(), rows[position]));
        }
        println!("{name} on {level}: {largest}");
        assert!(largest < tolerance, "{name} on {level}: {largest}");
    }
}

fn compiled(path: &Path, language: Options, devices: &[&str]) -> Model {
    let targets = devices.iter().map(|device| device.to_string()).collect();
    let mut options = CompileOptions { targets, ..CompileOptions::default() };
    options.import.language = language;
    let mut buffer = AlignedBuffer::new();
    compile(
        &Registry::default(),
        &Registry::default().import.load(path, &options.import).unwrap(),
        &options,
        &mut |_| (),
        &mut buffer,
    )
    .unwrap();
    Model::from_bytes(buffer).unwrap()
}

fn options(recorded: &TinyModels) -> Options {
    Options { context: recorded.reading.tokens.len(), ..Options::default() }
}

#[test]
fn compiled_decoders_give_the_logits_of_their_graphs() {
    let recorded = TinyModels::recorded();
    for (name, model) in &recorded.families {
        check(name, &recorded, model, options(&recorded), &["cpu"]);
    }
}

#[test]
fn compiled_decoders_read_weights_of_fewer_bits() {
    let recorded = TinyModels::recorded();
    for (family, quant, cache) in [
        ("qwen2", "bf16", DType::F32),
        ("mixtral", "f16", DType::F32),
        ("llama", "q8_0", DType::F16),
        ("mixtral", "q4_1", DType::I8),
        ("gemma3", "q4_0", DType::F32),
    ] {
        for activations in [DType::F32, DType::I8] {
            let language = Options { quant: quant_from_name(quant).unwrap(), cache, activations, ..options(&recorded) };
            check(&format!("{family} {quant} {activations}"), &recorded, &recorded.families[family], language, &["cpu"]);
        }
    }
}

#[test]
fn one_artifact_decodes_on_processor_and_graphics_processor() {
    let recorded = TinyModels::recorded();
    for (family, quant, cache, activations) in [
        ("gemma3", None, DType::F32, DType::F32),
        ("llama", Some("q8_0"), DType::F16, DType::F32),
        ("qwen3", Some("q4_1"), DType::I8, DType::I8),
    ] {
        let quant = quant.and_then(|quant| quant_from_name(quant).unwrap());
        let language = Options { quant, cache, activations, ..options(&recorded) };
        check(&format!("{family} {quant:?}"), &recorded, &recorded.families[family], language, &["cpu", "gpu"]);
    }
}

/// Tokens that a layer with a window of 8 has room for: two windows and the longest run.
const ROOM: usize = 2 * 8 + 512;

/// Tokens that are appended at once, one group after the other: more than layers with windows have room for.
const GROUPS: [usize; 8] = [500, 1, 26, 1, 1, 300, 300, 1];

#[test]
fn caches_of_windows_hold_the_last_tokens_only() {
    let recorded = TinyModels::recorded();
    let mut model = recorded.families["gemma3"].clone();
    model.metadata["gemma3.context_length"] = 2048.into();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    model.write_gguf(&recorded.tokenizer, &path);
    for (cache, tolerance) in [(DType::F32, TOLERANCE), (DType::I8, HALF_TOLERANCE)] {
        let options = |full_windows| Options { context: 2048, cache, full_windows, ..Options::default() };
        let models = [false, true].map(|full| compiled(&path, options(full), &["cpu"]));
        let shortened = models.each_ref().map(|model| model.states().iter().any(|state| state.dims.contains(&ROOM.to_string())));
        assert_eq!(shortened, [true, false]);
        let open = |model| open_decoder(model, DecoderOptions::new(Device::cpu())).unwrap();
        let [mut bounded, mut full] = models.each_ref().map(open);
        let tokens = recorded.reading.tokens.iter().copied().cycle();
        for (step, length) in GROUPS.into_iter().enumerate() {
            let group: Vec<u32> = tokens.clone().skip(step).take(length).collect();
            let difference = distance(bounded.append(&group).unwrap(), full.append(&group).unwrap());
            assert!(difference < tolerance, "group {step}: {difference}");
        }
        let position = bounded.position();
        assert_eq!((bounded.rewindable(position), bounded.rewindable(300), full.rewindable(300)), (position, 0, 300));
        assert!(bounded.truncate(300).unwrap_err().to_string().contains("window"));
        bounded.truncate(0).unwrap();
        full.truncate(0).unwrap();
        let difference = distance(bounded.append(&[1, 2, 3]).unwrap(), full.append(&[1, 2, 3]).unwrap());
        assert!(difference < tolerance, "{difference}");
    }
}

/// Tokens of the prompts of texts that are decoded together: the first reaches the end of the room for windows.
const PROMPTS: [usize; 3] = [520, 3, 40];

/// Tokens that follow.
const STEPS: usize = 20;

#[test]
fn texts_decoded_together_are_texts_decoded_alone() {
    let recorded = TinyModels::recorded();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    for (family, cache) in [("gemma3", DType::F32), ("llama", DType::I8)] {
        let mut model = recorded.families[family].clone();
        model.metadata[&format!("{family}.context_length")] = 2048.into();
        model.write_gguf(&recorded.tokenizer, &path);
        let options = |slots| Options { context: 2048, cache, slots, ..Options::default() };
        let [together, alone] = [PROMPTS.len(), 1].map(|slots| compiled(&path, options(slots), &["cpu"]));
        let options = DecoderOptions::new(Device::cpu());
        let mut together = open_decoders(&together, &options, PROMPTS.len()).unwrap();
        let mut alone = open_decoders(&alone, &options, PROMPTS.len()).unwrap();
        let token = |slot: usize, position: usize| recorded.reading.tokens[(position * 7 + slot) % recorded.reading.tokens.len()];
        for (slot, length) in PROMPTS.into_iter().enumerate() {
            let prompt: Vec<u32> = (0..length).map(|position| token(slot, position)).collect();
            let difference = distance(together[slot].append(&prompt).unwrap(), alone[slot].append(&prompt).unwrap());
            assert!(difference < TOLERANCE, "{family} prompt {slot}: {difference}");
        }
        for step in 0..STEPS {
            let active = |slot: &usize| step < STEPS / 2 || *slot != 1;
            for slot in (0..PROMPTS.len()).filter(active) {
                let position = together[slot].position();
                together[slot].announce(token(slot, position));
            }
            for slot in (0..PROMPTS.len()).filter(active) {
                let next = [token(slot, alone[slot].position())];
                let difference = distance(together[slot].append(&next).unwrap(), alone[slot].append(&next).unwrap());
                assert!(difference < HALF_TOLERANCE, "{family} step {step} of text {slot}: {difference}");
            }
        }
        let last = [token(1, 0), token(1, 1)];
        let difference = distance(together[1].append(&last).unwrap(), alone[1].append(&last).unwrap());
        assert!(difference < HALF_TOLERANCE, "{family} afterwards: {difference}");
    }
}
