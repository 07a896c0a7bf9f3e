//! Damaged and forged files give errors, never panics.

mod common;

use common::{PLAN, artifact, forge, forge_plan, forged_plan, index};
use lostwax_format::{
    Artifact, Buffer, Dispatch, Expr, FormatError, Index, MAX_MESSAGE_BYTES, Operands, Plan, Region, Variant, Weight, expr::Kind,
};
use proptest::prelude::*;
use prost::Message;

fn problem(file: &[u8]) -> String {
    Artifact::parse(file).err().map_or_else(String::new, |error| error.to_string())
}

fn is_refused(file: &[u8]) -> bool {
    Artifact::parse(file).and_then(|artifact| artifact.verify(file)).is_err()
}

#[test]
fn truncation_is_refused() {
    let file = artifact();
    for length in 0..file.len() {
        assert!(is_refused(&file[..length]), "{length} bytes");
    }
    let longer = [file.as_slice(), &[0]].concat();
    assert!(is_refused(&longer));
}

#[test]
fn every_flipped_bit_is_found() {
    let mut file = artifact();
    let header = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let text = 8 + file[8..header].iter().rposition(|byte| *byte != b' ').unwrap() + 2;
    let positions = (0..text).chain((text..file.len()).step_by(97)).chain(file.len() - 700..file.len());
    for position in positions {
        for bit in [1, 0x20, 0x80] {
            file[position] ^= bit;
            assert!(is_refused(&file), "bit {bit} of byte {position}");
            file[position] ^= bit;
        }
    }
    assert!(!is_refused(&file));
}

#[test]
fn weights_are_left_to_verify() {
    let mut file = artifact();
    let weights = Artifact::parse(&file).unwrap().weights();
    file[weights.start] ^= 1;
    let parsed = Artifact::parse(&file).unwrap();
    assert!(parsed.verify(&file).unwrap_err().to_string().contains("invalid artifact, w: "));
}

#[test]
fn other_safetensors_files_are_recognized() {
    let file = forge(&[], index());
    assert!(problem(&file).contains("__lostwax__/plan: it is missing"));
    let foreign = br#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    let foreign = [&(foreign.len() as u64).to_le_bytes(), foreign.as_slice(), &[0]].concat();
    assert!(problem(&foreign).contains("this is not a lostwax artifact"));
}

#[test]
fn claimed_sizes_allocate_nothing() {
    let lengths = [u64::MAX, u64::MAX - 7, 1 << 62, 1 << 33, 100_000_001, 100_000_000];
    for length in lengths {
        assert!(is_refused(&[length.to_le_bytes().as_slice(), b"{}"].concat()));
    }
    let headers = [
        r#"{"w":{"dtype":"U8","shape":[18446744073709551605],"data_offsets":[0,18446744073709551605]}}"#,
        r#"{"w":{"dtype":"F64","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#,
        r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}"#,
        r#"{"w":{"dtype":"U8","shape":[99999999999999999999999],"data_offsets":[0,1]}}"#,
    ];
    for header in headers {
        assert!(is_refused(&[&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()), "{header}");
    }
    let nested = "[".repeat(100_000);
    assert!(is_refused(&[&(nested.len() as u64).to_le_bytes(), nested.as_bytes()].concat()));
}

#[test]
fn long_messages_are_refused() {
    let file = forge_plan(&vec![0; MAX_MESSAGE_BYTES + 1]);
    assert!(matches!(Artifact::parse(&file), Err(FormatError::LimitExceeded { .. })));
}

#[test]
fn other_versions_name_the_way_out() {
    for version in [0, 2, u32::MAX] {
        let file = forge(&[], Index { format_version: version, ..index() });
        let text = problem(&file);
        assert!(matches!(Artifact::parse(&file), Err(FormatError::Incompatible { .. })));
        for part in [&format!("format version {version}"), "forger 9.9", env!("CARGO_PKG_VERSION"), "lostwax compile"] {
            assert!(text.contains(part), "{text}");
        }
    }
    let file = forge(&[], Index { features: vec!["time-travel".into()], ..index() });
    assert!(problem(&file).contains("the feature `time-travel`"));
}

/// Changes a valid plan and returns why the file is refused.
fn changed(change: impl FnOnce(&mut Plan)) -> String {
    let mut plan = forged_plan();
    assert!(problem(&forge_plan(&plan.encode_to_vec())).is_empty());
    change(&mut plan);
    problem(&forge_plan(&plan.encode_to_vec()))
}

#[test]
fn expressions_refer_backwards() {
    let pair = |left, right| Expr { kind: Some(Kind::Add(Operands { left, right })) };
    for expr in [pair(4, 0), pair(0, 5), pair(0, u32::MAX), Expr { kind: Some(Kind::Symbol(1)) }, Expr { kind: None }] {
        assert!(changed(|plan| plan.exprs.push(expr)).contains("expression 4"));
    }
}

#[test]
fn positions_in_plans_are_checked() {
    let far = 1_000_000;
    assert!(changed(|plan| plan.entry_points.clear()).contains("no entry point"));
    assert!(changed(|plan| plan.entry_points[0].inputs[0].dims[0] = far).contains("refers to expression"));
    assert!(changed(|plan| plan.entry_points[0].arena_bytes = far).contains("refers to expression"));
    assert!(changed(|plan| plan.entry_points[0].first_step = 1).contains("do not follow"));
    assert!(changed(|plan| plan.entry_points[0].step_count = u32::MAX).contains("do not exist"));
    assert!(changed(|plan| plan.entry_points[0].step_count = 0).contains("there are 1 steps"));
    assert!(changed(|plan| plan.entry_points[0].outputs[0].dtype = "f31".into()).contains("unknown element type"));
    assert!(changed(|plan| plan.entry_points.push(plan.entry_points[0].clone())).contains("not unique"));
    assert!(changed(|plan| plan.steps[0].buffers[0].index = 1).contains("memory that does not exist"));
    assert!(changed(|plan| plan.steps[0].buffers[0].region = 9).contains("memory that does not exist"));
    assert!(changed(|plan| plan.steps[0].buffers[0].region = Region::State as i32).contains("memory that does not exist"));
    assert!(changed(|plan| plan.steps[0].buffers[1].region = Region::Input as i32).contains("only read"));
    assert!(changed(|plan| plan.steps[0].buffers[1].region = Region::Weights as i32).contains("only read"));
    assert!(changed(|plan| plan.steps[0].buffers[0].offset = far).contains("refers to expression"));
    assert!(changed(|plan| plan.steps[0].flops = far).contains("refers to expression"));
    assert!(changed(|plan| plan.symbols[0].min = -1).contains("has the range"));
    assert!(changed(|plan| plan.symbols[0].max = -1).contains("has the range"));
    assert!(changed(|plan| plan.variants[0].dispatches.clear()).contains("0 dispatches for 1 steps"));
    assert!(changed(|plan| plan.variants[0].dispatches[0].kernel = 1).contains("runs kernel 1 of 1"));
    let buffer = |index, offset| Buffer { region: Region::Output as i32, index, offset, bytes: 0 };
    assert!(changed(|plan| plan.variants[0].dispatches[0].buffers = vec![buffer(1, 0)]).contains("memory that does not exist"));
    assert!(changed(|plan| plan.variants[0].dispatches[0].buffers = vec![buffer(0, far)]).contains("refers to expression"));
    assert!(changed(|plan| plan.variants[0].dispatches[0].symbols[0] = far).contains("refers to expression"));
    assert!(changed(|plan| plan.variants[0].code_section = PLAN.into()).contains("is missing"));
}

/// Leaves steps of the first variant to the device of a second one, and changes both.
fn placed(change: impl FnOnce(&mut [Variant])) -> String {
    changed(|plan| {
        let own = plan.variants[0].clone();
        let dispatches = vec![Dispatch { kernel: 9, ..Dispatch::default() }];
        let steps = Variant { fallback_steps: vec![0], fallback_device: "other".into(), dispatches, ..own.clone() };
        plan.variants = vec![steps, Variant { device: "other".into(), ..own }];
        change(&mut plan.variants);
    })
}

#[test]
fn steps_are_left_to_code_that_has_them() {
    assert_eq!(placed(|_| {}), "");
    assert!(placed(|variants| variants[0].fallback_steps = vec![1]).contains("do not exist or are not in order"));
    assert!(placed(|variants| variants[0].fallback_steps = vec![0, 0]).contains("do not exist or are not in order"));
    assert!(placed(|variants| variants[0].fallback_device.clear()).contains("leaves 1 steps to the device ``"));
    assert!(placed(|variants| variants[1].fallback_device = "fake".into()).contains("leaves 0 steps to the device `fake`"));
    assert!(placed(|variants| variants[0].fallback_device = "third".into()).contains("no code for the device `third`"));
    assert!(placed(|variants| variants[0].fallback_device = "fake".into()).contains("no code for the device `fake`"));
    let circle = |variants: &mut [Variant]| {
        (variants[1].fallback_steps, variants[1].fallback_device) = (vec![0], "fake".into());
    };
    assert!(placed(circle).contains("no code for the device `other`"));
}

#[test]
fn weights_in_plans_are_checked() {
    let weight = Weight { name: "w".into(), dtype: "f32".into(), dims: vec![1], offset: 0, bytes: 4 };
    assert!(changed(|plan| plan.weights.push(weight.clone())).contains("lists 1 weights, the file has 0"));
    let bad = Weight { bytes: 8, ..weight.clone() };
    assert!(changed(|plan| plan.weights.push(bad)).contains("the size of its shape"));
    let bad = Weight { offset: 64, ..weight.clone() };
    assert!(changed(|plan| plan.weights.push(bad)).contains("does not follow"));
    let bad = Weight { dims: vec![u64::MAX, u64::MAX], ..weight };
    assert!(changed(|plan| plan.weights.push(bad)).contains("the size of its shape"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(is_refused(&bytes));
    }

    #[test]
    fn random_headers_are_refused(text in "[{}\\[\\]\":,a-zU80-9_]{0,60}", data in proptest::collection::vec(any::<u8>(), 0..20)) {
        let file = [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &data].concat();
        prop_assert!(is_refused(&file));
    }

    #[test]
    fn damaged_plans_do_not_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut plan = forged_plan().encode_to_vec();
        for (position, value) in changes {
            let position = position.index(plan.len());
            plan[position] = value;
        }
        let file = forge_plan(&plan);
        if let Ok(artifact) = Artifact::parse(&file) {
            artifact.verify(&file).unwrap();
        }
    }
}
