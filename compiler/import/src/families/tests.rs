use super::common::quantize::convert;
use super::*;
use crate::options::LanguageOptions;
use lostwax_ir::tensor::Tensor;
use serde_json::{Map, Value, json};
use std::path::Path;
use tempfile::TempDir;

/// Sizes of the models of these tests.
const HIDDEN: usize = 8;
const WORDS: usize = 5;
const WIDTH: usize = 12;

/// `config.json` of a small model of a class, with other settings.
fn config(class: &str, others: Value) -> Value {
    let mut config = json!({
        "architectures": [class], "hidden_size": HIDDEN, "num_hidden_layers": 1, "intermediate_size": WIDTH,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
    });
    if let (Some(config), Some(others)) = (config.as_object_mut(), others.as_object()) {
        config.extend(others.clone());
    }
    config
}

fn write_weights(path: &Path, tensors: &[(String, Vec<usize>)]) {
    let (mut header, mut size) = (Map::new(), 0);
    for (name, shape) in tensors {
        let end = size + 4 * shape.iter().product::<usize>();
        header.insert(name.clone(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [size, end] }));
        size = end;
    }
    let header = Value::Object(header).to_string();
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0x3c; size]].concat();
    std::fs::write(path.join("model.safetensors"), file).unwrap();
}

fn folder(config: &Value, tensors: &[(String, Vec<usize>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    write_weights(folder.path(), tensors);
    let vocabulary: Map<String, Value> =
        ["a", "b", "c", "d", "<|im_end|>"].iter().enumerate().map(|(i, word)| (word.to_string(), json!(i))).collect();
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [{ "id": 4, "content": "<|im_end|>", "special": true, "single_word": false,
        "lstrip": false, "rstrip": false, "normalized": false }],
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "a" },
    });
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    folder
}

/// The tensors of a Llama of these sizes.
fn tensors() -> Vec<(String, Vec<usize>)> {
    let layer = [
        ("input_layernorm", vec![HIDDEN]),
        ("post_attention_layernorm", vec![HIDDEN]),
        ("self_attn.q_proj", vec![HIDDEN, HIDDEN]),
        ("self_attn.k_proj", vec![HIDDEN / 2, HIDDEN]),
        ("self_attn.v_proj", vec![HIDDEN / 2, HIDDEN]),
        ("self_attn.o_proj", vec![HIDDEN, HIDDEN]),
        ("mlp.gate_proj", vec![WIDTH, HIDDEN]),
        ("mlp.up_proj", vec![WIDTH, HIDDEN]),
        ("mlp.down_proj", vec![HIDDEN, WIDTH]),
    ];
    let layer = layer.map(|(name, shape)| (format!("model.layers.0.{name}.weight"), shape));
    let ends = [("embed_tokens", vec![WORDS, HIDDEN]), ("norm", vec![HIDDEN])];
    ends.map(|(name, shape)| (format!("model.{name}.weight"), shape)).into_iter().chain(layer).collect()
}

fn problem(config: &Value, tensors: &[(String, Vec<usize>)]) -> String {
    let folder = folder(config, tensors);
    load(folder.path(), &Families::default(), &LanguageOptions::default())
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

/// The settings that a family reads for a context.
fn decoder(class: &str, context: usize, others: Value) -> Decoder {
    let folder = folder(&config(class, others), &[]);
    let settings = Settings::open(folder.path()).unwrap();
    match (Families::default().of(&settings).unwrap().read)(&settings, context).unwrap() {
        Architecture::Decoder(decoder) => *decoder,
        Architecture::Encoder(_) => panic!("{class} is a decoder"),
    }
}

fn llama(others: Value) -> Value {
    config("LlamaForCausalLM", others)
}

#[test]
fn models_that_are_whole_are_read() {
    assert_eq!(problem(&llama(json!({})), &tensors()), "");
}

#[test]
fn errors_name_tensors() {
    let config = llama(json!({}));
    for position in 0..tensors().len() {
        let mut some = tensors();
        let (name, _) = some.remove(position);
        assert!(problem(&config, &some).contains(&name), "{name}");
        let mut other = tensors();
        other[position].1[0] += 1;
        let (name, shape) = &other[position];
        let is_vocabulary = name.contains("embed_tokens");
        assert!(is_vocabulary || problem(&config, &other).contains(name), "{name} {shape:?}");
    }
    let more = [tensors(), vec![("model.layers.0.self_attn.sinks".to_string(), vec![2])]].concat();
    assert!(problem(&config, &more).contains("`model.layers.0.self_attn.sinks`"));
}

#[test]
fn errors_name_settings() {
    let cases = [
        (json!({ "architectures": ["NoSuchModel"] }), "architecture `NoSuchModel`: known are LlamaForCausalLM"),
        (json!({ "architectures": [] }), "`architectures`"),
        (json!({ "hidden_size": 0 }), "`hidden_size`"),
        (json!({ "hidden_size": 1u64 << 40 }), "`hidden_size`"),
        (json!({ "num_hidden_layers": 1 << 20 }), "`num_hidden_layers`"),
        (json!({ "num_key_value_heads": 3 }), "`num_key_value_heads`"),
        (json!({ "head_dim": 0 }), "`head_dim`"),
        (json!({ "head_dim": 7 }), "cannot be turned"),
        (json!({ "hidden_act": "cube" }), "the activation `cube`"),
        (json!({ "rope_theta": -1.0 }), "`rope_theta`"),
        (json!({ "rope_scaling": { "rope_type": "spiral" } }), "rotary positions scaled by `spiral`"),
        (json!({ "rope_scaling": { "rope_type": "linear", "factor": 0.0 } }), "`factor`"),
        (json!({ "rope_scaling": { "rope_type": "linear", "factor": "x" } }), "`factor`"),
        (json!({ "rope_scaling": { "rope_type": "longrope", "long_factor": [1.0], "short_factor": 1.0 } }), "`short_factor`"),
        (json!({ "rope_scaling": { "rope_type": "yarn", "factor": 8.0, "attention_factor": -1.0 } }), "no frequencies"),
    ];
    for (others, expected) in cases {
        let text = problem(&llama(others), &tensors());
        assert!(text.contains(expected), "{text}: {expected}");
    }
    let folder = folder(&llama(json!({})), &tensors());
    for options in [
        LanguageOptions { context: 0, ..LanguageOptions::default() },
        LanguageOptions { cache: DType::I32, ..LanguageOptions::default() },
    ] {
        assert!(load(folder.path(), &Families::default(), &options).is_err());
    }
}

#[test]
fn windows_follow_the_settings() {
    let windows = |decoder: &Decoder| decoder.layers.iter().map(|layer| layer.window).collect::<Vec<_>>();
    let layers = |mut others: Value| {
        others["num_hidden_layers"] = json!(4);
        others["sliding_window"] = json!(9);
        others
    };
    let (some, none) = (Some(9), None);
    let qwen = |first: usize| json!({ "use_sliding_window": true, "max_window_layers": first });
    let cases = [
        ("MistralForCausalLM", json!({}), vec![some; 4]),
        ("Qwen2ForCausalLM", json!({}), vec![none; 4]),
        ("Qwen2ForCausalLM", qwen(3), vec![none, none, none, some]),
        ("Gemma2ForCausalLM", json!({}), vec![some, none, some, none]),
        ("Gemma3ForCausalLM", json!({ "sliding_window_pattern": 3 }), vec![some, some, none, some]),
    ];
    for (class, others, expected) in cases {
        assert_eq!(windows(&decoder(class, 64, layers(others))), expected, "{class}");
    }
    let types = json!({ "layer_types": ["full_attention", "sliding_attention", "full_attention", "sliding_attention"] });
    let gemma = decoder("Gemma3ForCausalLM", 64, layers(types));
    assert_eq!(gemma.layers[..2], [LayerKind { window: None, rope: 0 }, LayerKind { window: some, rope: 1 }]);
}

/// The second frequency of a Llama with heads of 4 elements, whose base is 100.
fn second_frequency(context: usize, scaling: Value) -> f64 {
    let others = json!({ "rope_theta": 100.0, "rope_scaling": scaling });
    decoder("LlamaForCausalLM", context, others).ropes[0].frequencies[1]
}

#[test]
fn rotary_positions_are_scaled() {
    let linear = json!({ "type": "linear", "factor": 4.0 });
    assert!((second_frequency(64, linear) - 0.1 / 4.0).abs() < 1e-12);
    let dynamic = |original: usize| json!({ "type": "dynamic", "factor": 2.0, "original_max_position_embeddings": original });
    assert!((second_frequency(64, dynamic(64)) - 0.1).abs() < 1e-12);
    let base: f64 = 100.0 * (2.0f64 * 64.0 / 16.0 - 1.0).powi(2);
    assert!((second_frequency(64, dynamic(16)) - base.powf(-0.5)).abs() < 1e-12);
    let long = json!({ "type": "longrope", "long_factor": [1.0, 5.0], "short_factor": [1.0, 2.0],
        "original_max_position_embeddings": 16 });
    assert!((second_frequency(16, long.clone()) - 0.1 / 2.0).abs() < 1e-12);
    assert!((second_frequency(17, long) - 0.1 / 5.0).abs() < 1e-12);
    let nested = json!({ "rope_parameters": {
        "full_attention": { "rope_type": "linear", "factor": 8.0, "rope_theta": 100.0 },
        "sliding_attention": { "rope_type": "default", "rope_theta": 25.0 },
    } });
    let gemma = decoder("Gemma3ForCausalLM", 64, nested);
    let second = |rope: usize| gemma.ropes[rope].frequencies[1];
    assert!((second(0) - 0.1 / 8.0).abs() < 1e-12 && (second(1) - 0.2).abs() < 1e-12);
}

#[test]
fn descriptions_tell_of_tokens_and_sampling() {
    let folder = folder(&llama(json!({ "bos_token_id": 1, "eos_token_id": 2 })), &tensors());
    let generation = json!({ "eos_token_id": [2, 3], "temperature": 0.5, "top_k": 7, "do_sample": true });
    let tokenizer = json!({ "add_bos_token": true, "chat_template": [
        { "name": "tool_use", "template": "x" }, { "name": "default", "template": "{{ messages }}" },
    ] });
    std::fs::write(folder.path().join("generation_config.json"), generation.to_string()).unwrap();
    std::fs::write(folder.path().join("tokenizer_config.json"), tokenizer.to_string()).unwrap();
    let options = LanguageOptions { context: 1000, ..LanguageOptions::default() };
    let model = load(folder.path(), &Families::default(), &options).unwrap().description;
    assert_eq!((model.vocabulary_size, model.context_length), (WORDS as u32, 64));
    assert_eq!((model.bos, model.add_bos, model.eos), (Some(1), true, vec![2, 3, 4]));
    assert_eq!(model.chat_template, "{{ messages }}");
    let sampling = model.sampling.unwrap();
    assert_eq!((sampling.temperature, sampling.top_k, sampling.top_p), (Some(0.5), Some(7), None));
    assert!(!model.vectors.is_empty());
    let conversations: Vec<usize> = model.conversations.iter().map(|vector| vector.messages.len()).collect();
    assert_eq!(conversations, [1, 4]);
    assert!(model.conversations[1].text.contains("And 3 + 3?") && !model.conversations[1].ids.is_empty());
}

#[test]
fn weights_are_converted() {
    let values: Vec<f32> = (0..64).map(|i| (i as f32 * 0.7).sin()).collect();
    let bytes = Tensor::f32(&[2, 32], &values).unwrap().bytes().to_vec();
    for (name, least, most) in [("f32", 0.0, 0.0), ("f16", 1e-6, 1e-3), ("q8_0", 1e-4, 1e-2), ("q4_0", 1e-2, 0.2)] {
        let to = quant_from_name(name).unwrap().unwrap();
        let (conversion, converted) = convert("w", DType::F32, to, &[2, 32], &bytes).unwrap();
        assert_eq!((conversion.to, converted.is_some()), (to, true));
        assert!((least..=most).contains(&conversion.error), "{name}: {}", conversion.error);
    }
    let q8 = quant_from_name("q8_0").unwrap().unwrap();
    let (kept, bytes) = convert("w", DType::F32, q8, &[4, 16], &bytes).unwrap();
    assert_eq!((kept.to, bytes), (DType::F32, None));
    assert_eq!(quant_from_name("keep").unwrap(), None);
    assert!(quant_from_name("iq4_nl").unwrap_err().to_string().contains("keep, f32, f16, bf16, q4_0"));
}
