//! The running half: which code it takes, and loading.

use crate::format::{self, KernelFn, NAME};
use crate::memory::Memory;
use crate::program::CProgram;
use libloading::Library;
use lostwax_target_api::{Content, Device, DeviceError, DeviceMemory, HostMemory, Program, VariantInfo, WeightBytes};
use std::env::consts;
use std::io::Write;
use std::sync::Arc;
use tempfile::NamedTempFile;

/// The processor, running C.
pub fn device() -> Arc<dyn Device> {
    Arc::new(C)
}

// region: host
/// The only variant that this machine writes, and the only one that it runs.
pub(crate) fn host() -> VariantInfo {
    VariantInfo {
        device: NAME.into(),
        arch: consts::ARCH.into(),
        os: consts::OS.into(),
        abi: "c".into(),
        name: "host".into(),
        features: Vec::new(),
    }
}
// endregion: host

struct C;

// region: device
impl Device for C {
    fn name(&self) -> &str {
        NAME
    }

    fn unsupported_reason(&self, variant: &VariantInfo) -> Option<String> {
        let host = host();
        (*variant != host).then(|| format!("it is {variant}, this machine runs {host}"))
    }

    fn load(&self, code: &[u8], weights: WeightBytes) -> Result<Arc<dyn Program>, DeviceError> {
        let (signatures, bytes) = format::read(code).map_err(invalid)?;
        let library = load(bytes)?;
        let kernels = (0..signatures.len()).map(|position| function(&library, position)).collect::<Result<_, _>>()?;
        Ok(Arc::new(CProgram::new(signatures, kernels, weights, library)))
    }

    fn contents(&self, code: &[u8]) -> Result<Vec<Content>, DeviceError> {
        let (_, library) = format::read(code).map_err(invalid)?;
        Ok(vec![Content { name: "shared object".into(), bytes: library.len() as u64 }])
    }

    fn allocate(&self, bytes: u64) -> Result<Box<dyn DeviceMemory>, DeviceError> {
        Ok(Box::new(HostMemory(Memory::new(bytes)?)))
    }
}
// endregion: device

// region: load
/// Loaders take files, which need not stay.
fn load(bytes: &[u8]) -> Result<Library, DeviceError> {
    let write = || {
        let mut file = NamedTempFile::with_suffix(".so")?;
        file.write_all(bytes)?;
        Ok(file)
    };
    let file = write().map_err(|error: std::io::Error| inaccessible(&error))?;
    // SAFETY: loading runs nothing of ours but what `cc` adds to every shared object. An artifact is trusted as a library is.
    unsafe { Library::new(file.path()) }.map_err(|error| invalid(error.to_string()))
}

fn function(library: &Library, position: usize) -> Result<KernelFn, DeviceError> {
    let name = format::function_name(position);
    // SAFETY: the target gives functions of that name this type.
    let function = unsafe { library.get::<KernelFn>(name.as_bytes()) };
    function.map(|function| *function).map_err(|error| invalid(error.to_string()))
}
// endregion: load

fn inaccessible(error: &std::io::Error) -> DeviceError {
    let path = std::env::temp_dir().display().to_string();
    DeviceError::Inaccessible { device: NAME.into(), path, problem: format!("{error}; TMPDIR names another folder") }
}

fn invalid(problem: String) -> DeviceError {
    DeviceError::InvalidCode { device: NAME.into(), problem }
}
