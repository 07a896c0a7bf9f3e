//! What importers know, as values.

use crate::error::ImportError;
use crate::families::{self, Families, LanguageGraphs};
use crate::file_kind::FileKind;
use crate::files::file_kind;
use crate::onnx::{self, Operators};
use crate::options::{ImportOptions, LanguageOptions};
use crate::program::Program;
use crate::report::{CheckReport, LanguageReport};
use lostwax_ir::graph::Graph;
use std::path::Path;

/// All that models can be made of: [`Registry::default`] is what lostwax ships, programs add to it. Copies are cheap.
///
/// ```no_run
/// use lostwax_import::{ImportOptions, Registry};
/// let program = Registry::default().load("model.onnx".as_ref(), &ImportOptions::default())?;
/// # Ok::<(), lostwax_import::ImportError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// The operators of ONNX models.
    pub operators: Operators,
    /// The families of language models.
    pub families: Families,
}

impl Registry {
    /// Reads a model: an ONNX file, a GGUF file or a Hugging Face folder. The contents decide which.
    ///
    /// # Errors
    /// [`ImportError`]; unsupported operators are reported all at once. [`ImportError::NotAModel`] if it is none of these.
    pub fn load(&self, path: &Path, options: &ImportOptions) -> Result<Program, ImportError> {
        match file_kind(path)? {
            FileKind::Onnx => Ok(self.onnx(path, options)?.into()),
            FileKind::Gguf | FileKind::Folder => {
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                Ok(Program::from_language(&name, self.language(path, &options.language)?))
            }
            kind => Err(ImportError::not_a_model(path, kind)),
        }
    }

    /// Reports what a model needs, and whether it can be compiled. Of a language model, inputs, outputs and sizes are those of its
    /// first entry point.
    ///
    /// # Errors
    /// [`ImportError`] when the file cannot be read at all; what is wrong with single nodes is part of the report.
    pub fn check(&self, path: &Path, options: &ImportOptions) -> Result<CheckReport, ImportError> {
        match file_kind(path)? {
            FileKind::Onnx => onnx::check(path, &self.operators, options),
            FileKind::Gguf | FileKind::Folder => {
                let graphs = self.language(path, &options.language)?;
                Ok(graphs.entries.first().map(|(_, graph)| CheckReport::of_graph(graph)).unwrap_or_default())
            }
            kind => Err(ImportError::not_a_model(path, kind)),
        }
    }

    /// Reports what a language model consists of, and whether it can be compiled.
    ///
    /// # Errors
    /// [`ImportError`] when the settings or the list of tensors cannot be read; what is not supported is part of the report.
    pub fn check_language(&self, path: &Path, options: &LanguageOptions) -> Result<LanguageReport, ImportError> {
        families::check(path, &self.families, options)
    }

    /// Reads an ONNX file.
    ///
    /// # Errors
    /// [`ImportError`]; unsupported operators are reported all at once.
    pub fn onnx(&self, path: &Path, options: &ImportOptions) -> Result<Graph, ImportError> {
        onnx::import(path, &self.operators, options)
    }

    /// Reads an ONNX model from memory. Data that the model stores in other files is looked for in `base_dir`.
    ///
    /// # Errors
    /// [`ImportError`]; unsupported operators are reported all at once.
    pub fn onnx_bytes(&self, bytes: &[u8], base_dir: Option<&Path>, options: &ImportOptions) -> Result<Graph, ImportError> {
        onnx::import_bytes(bytes, base_dir, &self.operators, options)
    }

    /// Reports what an ONNX model in memory needs; see [`Registry::check`].
    ///
    /// # Errors
    /// [`ImportError`] when the bytes are not a model at all.
    pub fn check_onnx_bytes(
        &self,
        bytes: &[u8],
        base_dir: Option<&Path>,
        options: &ImportOptions,
    ) -> Result<CheckReport, ImportError> {
        onnx::check_bytes(bytes, base_dir, &self.operators, options)
    }

    /// Reads a language model: a GGUF file or a Hugging Face folder.
    ///
    /// # Errors
    /// [`ImportError`] naming the file, key or tensor.
    pub fn language(&self, path: &Path, options: &LanguageOptions) -> Result<LanguageGraphs, ImportError> {
        families::load(path, &self.families, options)
    }
}
