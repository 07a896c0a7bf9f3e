//! What a language model needs, and whether it can be compiled.

use super::common::settings::Settings;
use super::{Families, load};
use crate::error::ImportError;
use crate::options::LanguageOptions;
use crate::program::Program;
use crate::report::{LanguageReport, WeightReport};
use std::path::Path;

/// Reads a GGUF file or a Hugging Face folder and makes its graphs.
///
/// # Errors
/// [`ImportError`] when the settings or the list of tensors cannot be read; what is not supported is part of the report.
pub(crate) fn check(path: &Path, families: &Families, options: &LanguageOptions) -> Result<LanguageReport, ImportError> {
    let settings = match Settings::open(path) {
        Ok(settings) => settings,
        Err(error) if is_refusal(&error) => {
            return Ok(LanguageReport { problem: Some(error.to_string()), ..LanguageReport::default() });
        }
        Err(error) => return Err(error),
    };
    let weights = settings.weights();
    let family = families.of(&settings);
    let report = LanguageReport {
        format: if settings.is_gguf() { "gguf" } else { "hugging-face" },
        architecture: settings.architecture.clone(),
        family: family.as_ref().ok().map(|family| family.name),
        tensors: weights.len(),
        weights: weight_reports(&settings),
        ..LanguageReport::default()
    };
    let loaded = family.and_then(|_| load(path, families, options));
    Ok(match loaded {
        Ok(graphs) => LanguageReport { entries: Program::from_language("", graphs).entries, ..report },
        Err(error) if is_refusal(&error) => LanguageReport { problem: Some(error.to_string()), ..report },
        Err(error) => return Err(error),
    })
}

fn is_refusal(error: &ImportError) -> bool {
    matches!(error, ImportError::Unsupported { .. } | ImportError::LimitExceeded { .. })
}

/// The weights by element type, in the order in which types first occur.
fn weight_reports(settings: &Settings) -> Vec<WeightReport> {
    let mut reports: Vec<WeightReport> = Vec::new();
    for view in settings.weights().iter() {
        let dtype = view.dtype.name();
        let position = reports.iter().position(|report| report.dtype == dtype).unwrap_or(reports.len());
        if position == reports.len() {
            reports.push(WeightReport { dtype: dtype.to_string(), tensors: 0, values: 0, bytes: 0 });
        }
        if let Some(report) = reports.get_mut(position) {
            report.tensors += 1;
            report.values += view.shape.iter().map(|size| *size as u64).product::<u64>();
            report.bytes += view.bytes.len() as u64;
        }
    }
    reports
}
