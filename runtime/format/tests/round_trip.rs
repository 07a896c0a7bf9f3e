//! What is written can be read, here and by others.

mod common;

use common::{artifact, plan, writer};
use lostwax_format::{Artifact, FormatError, LanguageModel, Plan, SamplingDefaults, TokenizerSample, WeightData, Writer};
use safetensors::{Dtype, SafeTensors};

#[test]
fn plan_and_sections_come_back() {
    let file = artifact();
    let parsed = Artifact::parse(&file).unwrap();
    parsed.verify(&file).unwrap();
    let (_, mut expected) = writer();
    expected.weights = parsed.plan().weights.clone();
    assert_eq!(*parsed.plan(), expected);
    assert_eq!(&file[parsed.code(0).unwrap()], b"copy");
    assert_eq!(file[parsed.section("tokenizer").unwrap()], [5; 100]);
    assert_eq!(parsed.certificate().cases[0].seed, 7);
    assert_eq!(parsed.index().producer, "tests 1.0");
    assert!(parsed.code(1).is_none() && parsed.section("nothing").is_none());
}

#[test]
fn everything_is_aligned() {
    let file = artifact();
    let parsed = Artifact::parse(&file).unwrap();
    assert_eq!(parsed.code(0).unwrap().start % 4096, 0);
    assert_eq!(parsed.weights().start % 4096, 0);
    for weight in &parsed.plan().weights {
        assert_eq!(weight.offset % 64, 0);
    }
}

#[test]
fn safetensors_reads_the_weights() {
    let file = artifact();
    let parsed = Artifact::parse(&file).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let shapes = [("w", Dtype::F32, vec![4]), ("a", Dtype::BF16, vec![2, 3]), ("none", Dtype::I32, vec![0])];
    for (name, dtype, shape) in shapes {
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (dtype, shape.as_slice()));
    }
    assert_eq!(tensors.tensor("q").unwrap().shape(), [2, 144]);
    assert_eq!(tensors.tensor("flag").unwrap().shape(), [0usize; 0]);
    for weight in &parsed.plan().weights {
        let start = parsed.weights().start + weight.offset as usize;
        assert_eq!(tensors.tensor(&weight.name).unwrap().data(), &file[start..start + weight.bytes as usize]);
    }
}

#[test]
fn writing_is_deterministic() {
    let (writer, plan) = writer();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let written = writer.write(&plan, &mut first).unwrap();
    assert_eq!(writer.write(&plan, &mut second).unwrap(), written);
    assert!(first == second && first == artifact());
    assert_eq!(written.bytes, first.len() as u64);
    assert_eq!(written.id, Artifact::parse(&first).unwrap().id());
    let sections: Vec<(String, u64)> =
        Artifact::parse(&first).unwrap().sections().map(|(name, range)| (name.to_owned(), range.len() as u64)).collect();
    let sorted = |mut sections: Vec<(String, u64)>| {
        sections.sort();
        sections
    };
    assert_eq!(sorted(sections), sorted(written.sections));
}

/// Readers that do not know the field have code of Linux only.
#[test]
fn code_for_other_systems_needs_a_feature() {
    for (os, expected) in [("", &[][..]), ("linux", &[]), ("macos", &["os"])] {
        let (writer, mut plan) = writer();
        plan.variants[0].os = os.into();
        plan.variants[0].abi = "c".into();
        let mut file = Vec::new();
        writer.write(&plan, &mut file).unwrap();
        let parsed = Artifact::parse(&file).unwrap();
        assert_eq!(parsed.index().features, expected);
        assert_eq!((parsed.plan().variants[0].os.as_str(), parsed.plan().variants[0].abi.as_str()), (os, "c"));
    }
}

fn problem<T>(result: Result<T, FormatError>) -> String {
    match result {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_writer_refuses_what_cannot_be_read() {
    let mut writer = Writer::new("tests 1.0");
    let bytes = |count: usize| WeightData::Bytes(vec![0; count].into());
    assert!(problem(writer.weight("__lostwax__/w", "f32", &[1], bytes(4))).contains("reserved"));
    assert!(problem(writer.weight("w", "f31", &[1], bytes(4))).contains("unknown element type"));
    assert!(problem(writer.weight("w", "f32", &[2], bytes(4))).contains("has 4 bytes, its shape takes 8"));
    assert!(problem(writer.weight("w", "q4_0", &[33], bytes(18))).contains("out of range"));
    assert!(problem(writer.weight("w", "f32", &[u64::MAX, 2], bytes(4))).contains("out of range"));
    assert_eq!(writer.weight("w", "f32", &[1], bytes(4)).unwrap(), 0);
    assert_eq!(writer.weight("v", "f32", &[1], bytes(4)).unwrap(), 64);
    assert!(problem(writer.weight("w", "f32", &[1], bytes(4))).contains("taken"));
    assert!(problem(writer.section("plan", Vec::new())).contains("reserved"));
    assert!(problem(writer.write(&Plan::default(), Vec::new())).contains("no entry point"));
    assert!(problem(writer.write(&plan("missing".into()), Vec::new())).contains("no code `missing`"));
}

#[test]
fn weights_that_change_size_are_refused() {
    let mut writer = Writer::new("tests 1.0");
    let code = writer.code("fake", "any", "plain", Vec::new()).unwrap();
    writer.weight("w", "f32", &[4], WeightData::Later(Box::new(|| Ok(vec![0; 15])))).unwrap();
    assert!(problem(writer.write(&plan(code), Vec::new())).contains("has 15 bytes, its shape takes 16"));
}

fn language_model() -> LanguageModel {
    let vector = TokenizerSample { text: "hi".into(), ids: vec![1, 7] };
    LanguageModel {
        vocabulary_size: 8,
        context_length: 16,
        chat_template: "{{ messages }}".into(),
        bos: Some(1),
        eos: vec![2, 3],
        add_bos: true,
        sampling: Some(SamplingDefaults { temperature: Some(0.5), ..SamplingDefaults::default() }),
        vectors: vec![vector],
        ..LanguageModel::default()
    }
}

#[test]
fn language_models_come_back() {
    let (mut writer, plan) = common::writer();
    let model = language_model();
    writer.language_model(&model, b"{}".as_slice()).expect("the tokens exist");
    let mut file = Vec::new();
    writer.write(&plan, &mut file).expect("the plan is valid");
    let mut artifact = Artifact::parse(&file).expect("the file is valid");
    assert_eq!(artifact.language_model(), Some(&model));
    let range = artifact.tokenizer().expect("there is a tokenizer");
    assert_eq!(&file[range.clone()], b"{}");
    file[range.start] ^= 1;
    assert!(Artifact::parse(&file).err().is_some_and(|error| error.to_string().contains("__lostwax__/tokenizer.json")));
    artifact = Artifact::parse(&common::artifact()).expect("the file is valid");
    assert!(artifact.language_model().is_none() && artifact.tokenizer().is_none());
}

#[test]
fn impossible_language_models_are_refused() {
    let good = language_model();
    let bad = [
        LanguageModel { vocabulary_size: 0, ..good.clone() },
        LanguageModel { context_length: 0, ..good.clone() },
        LanguageModel { eos: vec![8], ..good.clone() },
        LanguageModel { bos: None, ..good.clone() },
        LanguageModel { vectors: vec![TokenizerSample { text: "x".into(), ids: vec![9] }], ..good },
    ];
    for model in bad {
        let (mut writer, _) = common::writer();
        assert!(matches!(writer.language_model(&model, b"{}".as_slice()), Err(FormatError::Invalid { .. })), "{model:?}");
    }
    let (mut writer, _) = common::writer();
    assert!(writer.section("tokenizer.json", b"{}".as_slice()).is_err());
}
