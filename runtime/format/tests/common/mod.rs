//! A small artifact, and files whose hashes are right but whose contents need not be.

#![allow(dead_code)]

use lostwax_format::{
    Buffer, Certificate, CertificateCase, Dispatch, EntryPoint, Exprs, Index, Plan, Region, Section, State, Step, Symbol,
    TensorSpec, Variant, WeightData, Writer,
};
use prost::Message;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use sha2::{Digest, Sha256};

pub const INDEX: &str = "__lostwax__/index";
pub const PLAN: &str = "__lostwax__/plan";

fn tensor(name: &str, dims: &[u32]) -> TensorSpec {
    TensorSpec { name: name.into(), dtype: "f32".into(), dims: dims.to_vec() }
}

/// One kernel over `x: f32[n]` with code `code` in a variant without needs.
pub fn plan(code: String) -> Plan {
    let mut exprs = Exprs::new();
    let (zero, four, size) = (exprs.constant(0), exprs.constant(4), exprs.symbol(0));
    let bytes = exprs.multiply(size, four).expect("operands exist");
    let buffer = |region: Region| Buffer { region: region as i32, index: 0, offset: zero, bytes };
    let step = Step {
        buffers: vec![buffer(Region::Input), buffer(Region::Output)],
        label: "copy".into(),
        nodes: vec!["/copy".into()],
        flops: zero,
        bytes,
    };
    let entry = EntryPoint {
        name: "main".into(),
        inputs: vec![tensor("x", &[size])],
        outputs: vec![tensor("y", &[size])],
        arena_bytes: zero,
        arena_lower_bound_bytes: zero,
        step_count: 1,
        ..EntryPoint::default()
    };
    let variant = Variant {
        device: "fake".into(),
        code_section: code,
        kernels: vec!["copy".into()],
        dispatches: vec![Dispatch { kernel: 0, grid: size, symbols: vec![size], buffers: Vec::new() }],
        ..Variant::default()
    };
    Plan {
        model_name: "small".into(),
        exprs: exprs.finish(),
        symbols: vec![Symbol { name: "n".into(), min: 0, max: 1 << 40 }],
        states: vec![State { tensor: Some(tensor("s", &[four])), initial_weight: Some(0) }],
        entry_points: vec![entry],
        steps: vec![step],
        variants: vec![variant],
        ..Plan::default()
    }
}

/// A writer with weights of several kinds, code, a certificate and another section, and the plan to write.
pub fn writer() -> (Writer<'static>, Plan) {
    let mut writer = Writer::new("tests 1.0");
    let weights: [(&str, &str, &[u64], usize); 6] = [
        ("w", "f32", &[4], 16),
        ("a", "bf16", &[2, 3], 12),
        ("none", "i32", &[0], 0),
        ("also none", "u8", &[3, 0], 0),
        ("q", "q4_k", &[2, 256], 288),
        ("flag", "bool", &[], 1),
    ];
    for (position, (name, dtype, dims, bytes)) in weights.into_iter().enumerate() {
        let contents = vec![position as u8; bytes];
        let data = if position % 2 == 0 {
            WeightData::Bytes(contents.into())
        } else {
            WeightData::Later(Box::new(move || Ok(contents.clone())))
        };
        writer.weight(name, dtype, dims, data).expect("the weight is valid");
    }
    let code = writer.code("fake", "any", "plain", b"copy".as_slice()).expect("the name is free");
    let case = CertificateCase { entry_point: "main".into(), seed: 7, ..CertificateCase::default() };
    writer.certificate(&Certificate { cases: vec![case] });
    writer.section("tokenizer", vec![5; 100]).expect("the name is free");
    (writer, plan(code))
}

pub fn artifact() -> Vec<u8> {
    let (writer, plan) = writer();
    let mut file = Vec::new();
    writer.write(&plan, &mut file).expect("the plan is valid");
    file
}

/// The index, with all hashes still to be filled in.
pub fn index() -> Index {
    Index { format_version: 1, producer: "forger 9.9".into(), ..Index::default() }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

fn header(tensors: &[(String, Vec<u8>)], last: usize) -> Vec<u8> {
    let mut start = 0;
    let sizes = tensors.iter().map(|(name, bytes)| (name.as_str(), bytes.len())).chain([(INDEX, last)]);
    let infos = sizes.map(|(name, bytes)| {
        let info = TensorInfo { dtype: Dtype::U8, shape: vec![bytes], data_offsets: (start, start + bytes) };
        start += bytes;
        (name.to_owned(), info)
    });
    let metadata = Metadata::new(None, infos.collect()).expect("the layout has no holes");
    let mut text = serde_json::to_string(&metadata).expect("the header is JSON");
    while !(text.len() + 8).is_multiple_of(64) {
        text.push(' ');
    }
    [(text.len() as u64).to_le_bytes().as_slice(), text.as_bytes()].concat()
}

/// A file of these byte tensors with an index whose hashes are right.
pub fn forge(tensors: &[(String, Vec<u8>)], mut index: Index) -> Vec<u8> {
    let section = |(name, bytes): &(String, Vec<u8>)| Section { name: name.clone(), sha256: sha256(bytes) };
    index.sections = tensors.iter().map(section).collect();
    index.header_sha256 = vec![0; 32];
    let header = header(tensors, index.encoded_len() + 32);
    index.header_sha256 = sha256(&header);
    let message = index.encode_to_vec();
    let mut file = header;
    tensors.iter().for_each(|(_, bytes)| file.extend(bytes));
    file.extend(&message);
    file.extend(sha256(&message));
    file
}

/// A file that holds this plan and code for it, and no weights.
pub fn forge_plan(plan: &[u8]) -> Vec<u8> {
    let code = ("__lostwax__/code/fake".to_owned(), b"copy".to_vec());
    forge(&[code, (PLAN.to_owned(), plan.to_vec())], index())
}

/// The plan above for [`forge_plan`].
pub fn forged_plan() -> Plan {
    let mut plan = plan("__lostwax__/code/fake".into());
    plan.states.clear();
    plan
}
