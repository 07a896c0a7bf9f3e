//! The inputs of a run: from files and values, random where nothing is given.

use super::image::{ImageArgs, own_shape, read_image};
use super::npy::{read_npy, read_npz};
use super::spec::{Fill, InputSpec, Source};
use crate::console::Console;
use crate::error::CliError;
use crate::settings::ImportArgs;
use lostwax_compiler::plan_sizes::PlanSizes;
use lostwax_ir::suggest::unknown;
use lostwax_runtime::format::{ELEMENT_TYPES, EntryPoint, TensorSpec};
use lostwax_runtime::{DType, Model, Tensor, TensorView, reference_input};
use std::collections::BTreeMap;
use std::path::Path;

/// Where inputs come from.
#[derive(Clone, Debug, clap::Args)]
pub struct InputArgs {
    /// An input: a file (`x=@x.npy`, `@inputs.npz`, `x=@photo.jpg`), or dims, type and values: `x=1x3xf32=0` one value for
    /// all, `x=3xi64=1,2,3` each, `x=1x8xi64=0..1000` random in a range; repeatable.
    #[arg(short, long = "input", value_name = "NAME=VALUE")]
    pub inputs: Vec<InputSpec>,
    /// The seed of random inputs. Inputs that are not given are random: 0..1, integers 0..10.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub image: ImageArgs,
}

/// Inputs by name.
pub type Named = Vec<(String, Tensor)>;

/// Borrows inputs for a run.
pub fn views(inputs: &[(String, Tensor)]) -> Vec<(&str, TensorView<'_>)> {
    inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.as_view())).collect()
}

/// Makes all inputs of the first entry point, in its order.
pub fn make_inputs(model: &Model, args: &InputArgs, shapes: &ImportArgs, console: &Console) -> Result<Named, CliError> {
    let plan = model.artifact().plan();
    let entry = plan.entry_points.first().ok_or_else(|| CliError::usage("the artifact has no entry point"))?;
    let mut known = PlanSizes::new(plan);
    let names: Vec<&str> = entry.inputs.iter().map(|spec| spec.name.as_str()).collect();
    shapes.check_names(names.iter().copied())?;
    for spec in &entry.inputs {
        if let Some(sizes) = shapes.sizes(&spec.name) {
            known.bind_shape(spec, &sizes);
        }
    }
    let mut given = read_all(&names, &args.inputs, args.seed)?;
    entry.inputs.iter().for_each(|spec| given.get(&spec.name).iter().for_each(|tensor| known.bind_shape(spec, tensor.shape())));
    bind_image_sizes(entry, args, &mut known)?;
    known.complete(entry);
    read_images(entry, args, &known, console, &mut given)?;
    let mut inputs = Named::new();
    for spec in &entry.inputs {
        let tensor = match given.remove(&spec.name) {
            Some(tensor) => tensor,
            None => random(spec, &input_shape(spec, &known)?, args.seed, console)?,
        };
        shapes.check_shape(&spec.name, tensor.shape())?;
        inputs.push((spec.name.clone(), tensor));
    }
    Ok(inputs)
}

/// The inputs with these names that are given as files of tensors or as values.
pub fn given_tensors(names: &[&str], inputs: &[InputSpec], seed: u64) -> Result<BTreeMap<String, Tensor>, CliError> {
    let image = inputs.iter().find(|input| matches!(&input.source, Source::File(path) if is_image(path)));
    match image {
        None => read_all(names, inputs, seed),
        Some(_) => Err(CliError::usage("images are inputs of `run`, `bench` and `verify` only; give an .npy or .npz file")),
    }
}

fn input_shape(spec: &TensorSpec, known: &PlanSizes<'_>) -> Result<Vec<usize>, CliError> {
    known.shape(spec).ok_or_else(|| CliError::usage(format!("the shape of `{}` is not known; give it with --shape", spec.name)))
}

/// All inputs but images.
fn read_all(names: &[&str], inputs: &[InputSpec], seed: u64) -> Result<BTreeMap<String, Tensor>, CliError> {
    let mut given = BTreeMap::new();
    for input in inputs {
        match &input.source {
            Source::File(path) if is_image(path) => drop(target(names, input)?),
            Source::File(path) if has_extension(path, &["npz"]) => read_members(names, input, path, &mut given)?,
            Source::File(path) => drop(given.insert(target(names, input)?, read_npy(path)?)),
            Source::Values { shape, dtype, fill } => {
                let name = target(names, input)?;
                let tensor = filled(&name, shape, dtype, fill, seed)?;
                given.insert(name, tensor);
            }
        }
    }
    Ok(given)
}

fn read_members(names: &[&str], input: &InputSpec, path: &Path, given: &mut BTreeMap<String, Tensor>) -> Result<(), CliError> {
    let mut members = read_npz(path)?;
    if let Some(name) = &input.name {
        let position = members.iter().position(|(member, _)| member == name).or((members.len() == 1).then_some(0));
        let problem = || CliError::file(path, unknown("array", name, members.iter().map(|(member, _)| member.as_str())));
        let position = position.ok_or_else(problem)?;
        let (_, tensor) = members.swap_remove(position);
        given.insert(target(names, input)?, tensor);
        return Ok(());
    }
    if let Some((stranger, _)) = members.iter().find(|(member, _)| !names.contains(&member.as_str())) {
        return Err(CliError::file(path, unknown("input", stranger, names.iter().copied())));
    }
    given.extend(members);
    Ok(())
}

/// The images among the inputs, with what they are for.
fn images<'a>(entry: &'a EntryPoint, args: &'a InputArgs) -> Result<Vec<(&'a Path, &'a TensorSpec)>, CliError> {
    let names: Vec<&str> = entry.inputs.iter().map(|spec| spec.name.as_str()).collect();
    let mut images = Vec::new();
    for input in &args.inputs {
        let Source::File(path) = &input.source else { continue };
        if is_image(path) {
            let name = target(&names, input)?;
            images.extend(entry.inputs.iter().find(|spec| spec.name == name).map(|spec| (path.as_path(), spec)));
        }
    }
    Ok(images)
}

/// Sizes that nothing else decides are those of images, as near as the model allows.
fn bind_image_sizes(entry: &EntryPoint, args: &InputArgs, known: &mut PlanSizes<'_>) -> Result<(), CliError> {
    for (path, spec) in images(entry, args)? {
        let dims: Vec<Option<usize>> = spec.dims.iter().map(|dim| usize::try_from(known.value(*dim)?).ok()).collect();
        if let Some(shape) = own_shape(path, &dims)? {
            known.bind_shape(spec, &shape);
        }
    }
    Ok(())
}

fn read_images(
    entry: &EntryPoint,
    args: &InputArgs,
    known: &PlanSizes<'_>,
    console: &Console,
    given: &mut BTreeMap<String, Tensor>,
) -> Result<(), CliError> {
    for (path, spec) in images(entry, args)? {
        let shape = input_shape(spec, known)?;
        let dims: Vec<Option<usize>> = shape.iter().map(|size| Some(*size)).collect();
        if own_shape(path, &dims)?.is_some_and(|own| own != shape) {
            console.note(&format!("{} is scaled to the input `{}`, {}{shape:?}", path.display(), spec.name, spec.dtype));
        }
        given.insert(spec.name.clone(), read_image(path, &shape, &spec.dtype, &args.image)?);
    }
    Ok(())
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    extensions.contains(&extension.as_str())
}

fn is_image(path: &Path) -> bool {
    has_extension(path, &["png", "jpg", "jpeg"])
}

/// The input that is meant.
fn target(names: &[&str], input: &InputSpec) -> Result<String, CliError> {
    match (&input.name, names) {
        (Some(name), names) if names.contains(&name.as_str()) => Ok(name.clone()),
        (None, [only]) => Ok(only.to_string()),
        (Some(name), _) => Err(CliError::usage(unknown("input", name, names.iter().copied()))),
        (None, _) => Err(CliError::usage(format!("name the input, as NAME=@FILE; inputs: {}", names.join(", ")))),
    }
}

fn dtype(name: &str) -> Result<DType, CliError> {
    DType::from_name(name)
        .ok_or_else(|| CliError::usage(unknown("element type", name, ELEMENT_TYPES.iter().map(|known| known.name))))
}

fn filled(name: &str, shape: &[usize], type_name: &str, fill: &Fill, seed: u64) -> Result<Tensor, CliError> {
    let dtype = dtype(type_name)?;
    match fill {
        Fill::Random { low, high } => Ok(reference_input(seed, name, dtype, shape, *low, *high)?),
        Fill::List(values) => listed(name, shape, dtype, values),
    }
}

/// Makes each element as a random one from an empty range.
fn listed(name: &str, shape: &[usize], dtype: DType, values: &[f64]) -> Result<Tensor, CliError> {
    if let [value] = values {
        return Ok(reference_input(0, name, dtype, shape, *value, *value)?);
    }
    let mut bytes = Vec::new();
    for value in values {
        bytes.extend_from_slice(reference_input(0, name, dtype, &[], *value, *value)?.bytes());
    }
    Ok(Tensor::from_bytes(dtype, shape, &bytes)?)
}

fn random(spec: &TensorSpec, shape: &[usize], seed: u64, console: &Console) -> Result<Tensor, CliError> {
    let dtype = dtype(&spec.dtype)?;
    let high = if spec.dtype.starts_with(['f', 'b']) { 1.0 } else { 10.0 };
    console.note(&format!("input `{}` was not given: using random {}{shape:?} in 0..{high}, seed {seed}", spec.name, spec.dtype));
    Ok(reference_input(seed, &spec.name, dtype, shape, 0.0, high)?)
}
