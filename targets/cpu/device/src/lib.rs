#![deny(missing_docs)]
//! The CPU device of lostwax: runs the code that `lostwax-target-cpu` writes.
//!
//! - [`mod@format`]: the code bytes, shared with the target.
//! - `select`: which code this machine can run.
//! - `mapping`: code in executable memory.
//! - `pages`: that memory, for each operating system; never writable and executable at the same time.
//! - `memory`: aligned working memory.
//! - `executor`: working memory, checked buffer references, the run itself.
//! - `pool`: threads that share the work items of a dispatch.
//! - `peaks`: measures the peak throughput.
//!
//! Bytes from outside are checked before anything is mapped or run: [`format::Image::parse`] for code, `prepare` for plans.

mod executor;
pub mod format;
mod mapping;
mod memory;
mod pages;
mod peaks;
mod pool;
mod select;

use executor::{CpuExecutor, CpuProgram};
use format::NAME;
use lostwax_target_api::{
    Adapter, Device, DeviceError, DeviceMemory, Executor, HostMemory, Peaks, Program, VariantInfo, WeightBytes,
};
use mapping::Mapping;
use memory::Memory;
use std::sync::Arc;

/// The CPU that this program runs on.
pub fn device() -> Arc<dyn Device> {
    Arc::new(Cpu)
}

struct Cpu;

impl Device for Cpu {
    fn name(&self) -> &str {
        NAME
    }

    fn unsupported_reason(&self, variant: &VariantInfo) -> Option<String> {
        select::unsupported_reason(variant)
    }

    fn load(&self, code: &[u8], weights: WeightBytes) -> Result<Arc<dyn Program>, DeviceError> {
        Ok(Arc::new(CpuProgram { code: Mapping::new(code)?, weights }))
    }

    fn adapters(&self) -> Vec<Adapter> {
        vec![select::describe()]
    }

    fn allocate(&self, bytes: u64) -> Result<Box<dyn DeviceMemory>, DeviceError> {
        Ok(Box::new(HostMemory(Memory::new(bytes)?)))
    }

    fn peaks(&self, threads: usize) -> Result<Option<Peaks>, DeviceError> {
        peaks::measure(pool::thread_count(threads)).map(Some)
    }
}

impl Program for CpuProgram {
    fn kernel_count(&self) -> usize {
        self.code.kernel_count()
    }

    fn executor(self: Arc<Self>, threads: usize) -> Result<Box<dyn Executor>, DeviceError> {
        Ok(Box::new(CpuExecutor::new(self, threads)?))
    }
}
