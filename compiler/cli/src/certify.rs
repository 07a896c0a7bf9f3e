//! The numerics certificate of an artifact.

use crate::compare::{Compared, comparable, interpret, references};
use crate::console::Console;
use crate::error::CliError;
use crate::registry::registry;
use crate::settings::with_fallbacks;
use lostwax_compiler::plan_sizes::PlanSizes;
use lostwax_import::program::Program;
use lostwax_ir::graph::Graph;
use lostwax_ir::tensor::Tensor as Reference;
use lostwax_runtime::format::{
    Artifact, Certificate, CertificateCase, EntryPoint, ReferenceInput, ReferenceOutput, WeightData, Writer,
};
use lostwax_runtime::{AlignedBuffer, DType, Model, RuntimeError, Session, Tensor, reference_input};

const SEED: u64 = 1;

/// The difference that a certificate allows on another machine, relative to the largest reference value.
const TOLERANCE: f64 = 1e-3;

/// Values that a certificate keeps of each output.
const SAMPLES: usize = 256;

/// Runs the model and the reference interpreter at small sizes and gives the same artifact with a certificate.
pub fn certify(model: &Model, program: &Program, console: &Console) -> Result<Model, CliError> {
    let graph = comparable(program.clone())?;
    let plan = model.artifact().plan();
    let entry = plan.entry_points.first().ok_or_else(|| CliError::usage("the model has no entry point"))?;
    let described = reference_inputs(model, entry)?;
    let inputs = described.iter().map(|input| Ok((input.name.clone(), tensor(entry, input)?)));
    let inputs = inputs.collect::<Result<Vec<(String, Tensor)>, CliError>>()?;
    let device = registry().device(None, model.variants()).map(with_fallbacks).map_err(RuntimeError::from)?;
    let mut session = model.session(device.clone())?;
    let case = measure(&mut session, &graph, entry, described, &inputs, console)?;
    let certificate = Certificate { cases: vec![CertificateCase { device: device.name().to_string(), ..case }] };
    with_certificate(model, &certificate)
}

fn reference_inputs(model: &Model, entry: &EntryPoint) -> Result<Vec<ReferenceInput>, CliError> {
    let mut sizes = PlanSizes::new(model.artifact().plan());
    sizes.complete(entry);
    let inputs = entry.inputs.iter().map(|spec| {
        let unknown = || CliError::usage(format!("--certify: the shape of `{}` is not known", spec.name));
        let dims = sizes.shape(spec).ok_or_else(unknown)?.into_iter().map(|size| size as u64).collect();
        let high = if spec.dtype.starts_with(['f', 'b']) { 1.0 } else { 10.0 };
        Ok(ReferenceInput { name: spec.name.clone(), dims, low: 0.0, high })
    });
    inputs.collect()
}

fn tensor(entry: &EntryPoint, input: &ReferenceInput) -> Result<Tensor, CliError> {
    let spec = entry.inputs.iter().find(|spec| spec.name == input.name);
    let dtype = spec.and_then(|spec| DType::from_name(&spec.dtype));
    let dtype = dtype.ok_or_else(|| CliError::usage(format!("`{}` has an unknown element type", input.name)))?;
    let shape: Vec<usize> = input.dims.iter().map(|size| *size as usize).collect();
    Ok(reference_input(SEED, &input.name, dtype, &shape, input.low, input.high)?)
}

fn measure(
    session: &mut Session,
    graph: &Graph,
    entry: &EntryPoint,
    described: Vec<ReferenceInput>,
    inputs: &[(String, Tensor)],
    console: &Console,
) -> Result<CertificateCase, CliError> {
    let outputs = session.run(inputs.iter().map(|(name, tensor)| (name, tensor)))?;
    let expected = interpret(graph, &references(inputs)?, console)?;
    let references = outputs.iter().filter_map(|(name, found)| Some(reference_output(name, found, expected.get(name)?)));
    Ok(CertificateCase {
        entry_point: entry.name.clone(),
        variant: session.variant().to_string(),
        seed: SEED,
        inputs: described,
        outputs: references.collect(),
        ..CertificateCase::default()
    })
}

fn reference_output(name: &str, found: &Tensor, expected: &Reference) -> ReferenceOutput {
    let Compared { max_abs, max_rel, .. } = Compared::new(found, expected, TOLERANCE);
    let values = expected.to_f64();
    let largest = values.iter().copied().filter(|value| value.is_finite()).map(f64::abs).fold(0.0, f64::max);
    let count = SAMPLES.min(values.len());
    let samples = (0..count).filter_map(|sample| values.get(sample * values.len() / count).copied());
    ReferenceOutput {
        name: name.to_string(),
        dims: expected.shape().iter().map(|size| *size as u64).collect(),
        max_abs,
        max_rel,
        tolerance_abs: TOLERANCE * largest,
        tolerance_rel: 0.0,
        samples: samples.collect(),
    }
}

/// Writes all of an artifact again, with a certificate.
fn with_certificate(model: &Model, certificate: &Certificate) -> Result<Model, CliError> {
    let (artifact, bytes) = (model.artifact(), model.file_bytes());
    let mut writer = Writer::new(artifact.index().producer.clone());
    copy_sections(artifact, bytes, &mut writer)?;
    writer.certificate(certificate);
    let mut buffer = AlignedBuffer::new();
    writer.write(artifact.plan(), &mut buffer).map_err(lostwax_runtime::RuntimeError::from)?;
    Ok(Model::from_bytes(buffer)?)
}

fn copy_sections<'a>(artifact: &Artifact, bytes: &'a [u8], writer: &mut Writer<'a>) -> Result<(), CliError> {
    let weights = bytes.get(artifact.weights()).unwrap_or_default();
    for weight in &artifact.plan().weights {
        let range = weight.offset as usize..(weight.offset + weight.bytes) as usize;
        let data = WeightData::Bytes(weights.get(range).unwrap_or_default().into());
        writer.weight(&weight.name, &weight.dtype, &weight.dims, data).map_err(lostwax_runtime::RuntimeError::from)?;
    }
    for (position, variant) in artifact.plan().variants.iter().enumerate() {
        let code = artifact.code(position).and_then(|range| bytes.get(range)).unwrap_or_default();
        let written = writer.code(&variant.device, &variant.arch, &variant.name, code);
        written.map_err(lostwax_runtime::RuntimeError::from)?;
    }
    let tokenizer = artifact.tokenizer().and_then(|range| bytes.get(range));
    if let Some((language, tokenizer)) = artifact.language_model().zip(tokenizer) {
        writer.language_model(language, tokenizer).map_err(lostwax_runtime::RuntimeError::from)?;
    }
    Ok(())
}
