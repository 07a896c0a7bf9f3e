//! The certificate of an artifact, measured again on this machine.

use crate::{DType, Device, Model, Options, RuntimeError, Tensor, TensorView};
use lostwax_format::{CertificateCase, ReferenceInput, ReferenceOutput};

/// The difference of one output from what the certificate says.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedOutput {
    /// The entry point.
    pub entry_point: String,
    /// The output.
    pub name: String,
    /// The largest absolute difference; infinite where a value is not a number and should be.
    pub max_abs: f64,
    /// The largest difference relative to the magnitude of the reference.
    pub max_rel: f64,
    /// Whether all differences are within the tolerance of the certificate.
    pub ok: bool,
}

/// An input of a certificate case: values uniformly distributed in `low..=high`, rounded down for integers, `value >= 0.5` for
/// bool. They depend on seed, name, type and shape only.
///
/// # Errors
/// [`RuntimeError::InvalidInput`] if the shape is impossible or the type is a block format.
pub fn reference_input(
    seed: u64,
    name: &str,
    dtype: DType,
    shape: &[usize],
    low: f64,
    high: f64,
) -> Result<Tensor, RuntimeError> {
    let mut tensor = Tensor::zeros(dtype, shape)?;
    let mut random = SplitMix::new(seed, name);
    let mut next = || low + (high - low) * random.next_unit();
    let bytes = tensor.bytes_mut();
    match dtype.name() {
        "f32" => fill(bytes, || (next() as f32).to_le_bytes()),
        "f64" => fill(bytes, || next().to_le_bytes()),
        "f16" => fill(bytes, || half::f16::from_f64(next()).to_le_bytes()),
        "bf16" => fill(bytes, || half::bf16::from_f64(next()).to_le_bytes()),
        "i8" => fill(bytes, || (next().floor() as i8).to_le_bytes()),
        "i16" => fill(bytes, || (next().floor() as i16).to_le_bytes()),
        "i32" => fill(bytes, || (next().floor() as i32).to_le_bytes()),
        "i64" => fill(bytes, || (next().floor() as i64).to_le_bytes()),
        "u8" => fill(bytes, || (next().floor() as u8).to_le_bytes()),
        "u16" => fill(bytes, || (next().floor() as u16).to_le_bytes()),
        "u32" => fill(bytes, || (next().floor() as u32).to_le_bytes()),
        "u64" => fill(bytes, || (next().floor() as u64).to_le_bytes()),
        "bool" => fill(bytes, || [u8::from(next() >= 0.5)]),
        other => return Err(RuntimeError::input(format!("reference input `{name}`"), format!("cannot be generated as {other}"))),
    }
    Ok(tensor)
}

fn fill<const N: usize>(bytes: &mut [u8], mut next: impl FnMut() -> [u8; N]) {
    bytes.as_chunks_mut::<N>().0.iter_mut().for_each(|chunk| *chunk = next());
}

/// The SplitMix64 generator.
struct SplitMix(u64);

impl SplitMix {
    /// Starts from the seed and the FNV-1a hash of the name.
    fn new(seed: u64, name: &str) -> Self {
        let hash =
            name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Self(seed ^ hash)
    }

    fn next_unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl Model {
    /// Runs the cases of the certificate on a device and compares with the reference values in it. Empty if there is no
    /// certificate.
    ///
    /// # Errors
    /// What a run reports. A difference is not an error; see [`CheckedOutput::ok`].
    pub fn check_certificate(&self, device: &Device) -> Result<Vec<CheckedOutput>, RuntimeError> {
        let mut checked = Vec::new();
        for case in &self.artifact().certificate().cases {
            self.check_case(device, case, &mut checked)?;
        }
        Ok(checked)
    }

    fn check_case(&self, device: &Device, case: &CertificateCase, checked: &mut Vec<CheckedOutput>) -> Result<(), RuntimeError> {
        let bindings = case.bindings.iter().map(|binding| (binding.name.clone(), binding.value)).collect();
        let options = Options { bindings, ..Options::new().with_entry_point(&case.entry_point) };
        let mut session = self.session_with(device.clone(), options)?;
        let inputs = case.inputs.iter().map(|input| Ok((input.name.as_str(), self.case_input(case, input)?)));
        let inputs = inputs.collect::<Result<Vec<(&str, Tensor)>, RuntimeError>>()?;
        let outputs = session.run(inputs.iter().map(|(name, tensor)| (name, tensor)))?;
        for reference in &case.outputs {
            let missing = || RuntimeError::input(format!("certificate, output `{}`", reference.name), "there is no such output");
            let tensor = outputs.get(&reference.name).ok_or_else(missing)?;
            checked.push(compare(&case.entry_point, reference, tensor.as_view())?);
        }
        Ok(())
    }

    fn case_input(&self, case: &CertificateCase, input: &ReferenceInput) -> Result<Tensor, RuntimeError> {
        let problem = |text| RuntimeError::input(format!("certificate, input `{}`", input.name), text);
        let spec = self.entry_point(Some(&case.entry_point))?.1.inputs.iter().find(|spec| spec.name == input.name);
        let dtype = crate::prepare::dtype(spec.ok_or_else(|| problem("there is no such input"))?)?;
        let shape: Option<Vec<usize>> = input.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
        let shape = shape.ok_or_else(|| problem("the shape is out of range"))?;
        reference_input(case.seed, &input.name, dtype, &shape, input.low, input.high)
    }
}

fn compare(entry_point: &str, reference: &ReferenceOutput, tensor: TensorView<'_>) -> Result<CheckedOutput, RuntimeError> {
    let same_shape = reference.dims.iter().copied().eq(tensor.shape().iter().map(|dim| *dim as u64));
    let mut checked = CheckedOutput {
        entry_point: entry_point.into(),
        name: reference.name.clone(),
        max_abs: 0.0,
        max_rel: 0.0,
        ok: same_shape,
    };
    let values = values(tensor)?;
    let count = reference.samples.len() as u128;
    for (sample, expected) in reference.samples.iter().enumerate() {
        let position = sample as u128 * values.len() as u128 / count;
        let found = values.get(position as usize).copied().unwrap_or(f64::NAN);
        let difference = difference(found, *expected);
        checked.max_abs = checked.max_abs.max(difference);
        checked.max_rel = checked.max_rel.max(if difference == 0.0 { 0.0 } else { difference / expected.abs() });
        checked.ok &= difference <= reference.tolerance_abs + reference.tolerance_rel * expected.abs();
    }
    Ok(checked)
}

fn difference(found: f64, expected: f64) -> f64 {
    let same = found == expected || (found.is_nan() && expected.is_nan());
    let difference = (found - expected).abs();
    match same {
        true => 0.0,
        false if difference.is_nan() => f64::INFINITY,
        false => difference,
    }
}

fn values(tensor: TensorView<'_>) -> Result<Vec<f64>, RuntimeError> {
    let bytes = tensor.bytes();
    Ok(match tensor.dtype().name() {
        "f32" => each(bytes, |bytes| f32::from_le_bytes(bytes).into()),
        "f64" => each(bytes, f64::from_le_bytes),
        "f16" => each(bytes, |bytes| half::f16::from_le_bytes(bytes).to_f64()),
        "bf16" => each(bytes, |bytes| half::bf16::from_le_bytes(bytes).to_f64()),
        "i8" => each(bytes, |bytes| i8::from_le_bytes(bytes).into()),
        "i16" => each(bytes, |bytes| i16::from_le_bytes(bytes).into()),
        "i32" => each(bytes, |bytes| i32::from_le_bytes(bytes).into()),
        "i64" => each(bytes, |bytes| i64::from_le_bytes(bytes) as f64),
        "u8" | "bool" => each(bytes, |bytes| u8::from_le_bytes(bytes).into()),
        "u16" => each(bytes, |bytes| u16::from_le_bytes(bytes).into()),
        "u32" => each(bytes, |bytes| u32::from_le_bytes(bytes).into()),
        "u64" => each(bytes, |bytes| u64::from_le_bytes(bytes) as f64),
        other => return Err(RuntimeError::input("certificate", format!("{other} outputs cannot be compared"))),
    })
}

fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| value(*chunk)).collect()
}
