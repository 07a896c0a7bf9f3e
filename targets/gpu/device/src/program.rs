//! Shaders compiled to pipelines, and the weights in GPU memory.

use crate::errors::{invalid_code, unsupported};
use crate::format::{Argument, Language, Shader, ShaderVariant, Shortage, WORKGROUP};
use crate::gpu::Gpu;
use crate::layout::layout;
use crate::memory::{Memory, Use};
use crate::{spirv, unchecked};
use lostwax_target_api::DeviceError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use wgpu::{BindGroupLayout, ComputePipeline, ComputePipelineDescriptor, PipelineCompilationOptions, PipelineLayoutDescriptor};

/// A kernel that is ready to run.
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) symbols: u32,
    pub(crate) threads: u32,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) layout: BindGroupLayout,
    pub(crate) pipeline: ComputePipeline,
}

impl Kernel {
    /// The workgroups of a grid in two dimensions of at most `most` each; nothing if they do not fit.
    pub(crate) fn workgroups(&self, grid: u64, most: u32) -> Option<(u32, u32)> {
        let count = if self.threads == 0 { grid.div_ceil(WORKGROUP.into()) } else { grid };
        let most = u64::from(most).max(1);
        let (x, y) = (count.clamp(1, most), count.div_ceil(most));
        (y <= most).then_some((x as u32, y as u32))
    }
}

/// Loaded code.
pub(crate) struct GpuProgram {
    pub(crate) gpu: Arc<Gpu>,
    pub(crate) kernels: Vec<Kernel>,
    pub(crate) weights: Memory,
}

impl GpuProgram {
    pub(crate) fn new(gpu: Arc<Gpu>, shaders: Vec<Shader>, weights: &[u8]) -> Result<Self, DeviceError> {
        let chosen: Vec<(&Shader, &ShaderVariant)> =
            shaders.iter().map(|shader| Ok((shader, choose(&gpu, shader)?))).collect::<Result<_, DeviceError>>()?;
        let layouts = layouts(&gpu, &shaders)?;
        let kernels = on_all_cores(&chosen, |(shader, variant)| kernel(&gpu, &layouts, shader, variant))?;
        gpu.keep_pipelines()?;
        let memory = Memory::new(&gpu, Use::storage("the weights"), weights.len() as u64)?;
        memory.write(&gpu, weights)?;
        Ok(Self { gpu, kernels, weights: memory })
    }
}

/// The first variant of a shader that the GPU can run.
fn choose<'s>(gpu: &Gpu, shader: &'s Shader) -> Result<&'s ShaderVariant, DeviceError> {
    let missing = |variant: &ShaderVariant| -> Vec<&str> {
        variant.features.iter().filter(|feature| !gpu.has(**feature)).map(|feature| feature.name()).collect()
    };
    let (name, description) = (&shader.name, gpu.description());
    let Some(variant) = shader.variants.iter().find(|variant| missing(variant).is_empty()) else {
        let missing = shader.plainest().map(missing).unwrap_or_default().join(" and ");
        return Err(unsupported(format!("{missing}, which kernel `{name}` needs; {description} lacks them")));
    };
    shader.needs(variant).shortage(&gpu.available()).map_or(Ok(variant), |Shortage { what, needed, most }| {
        let problem = format!("kernel `{name}` needs {needed}, {description} takes at most {most}");
        Err(DeviceError::LimitExceeded { resource: what, problem })
    })
}

/// Makes something of each item, on all cores; the results come in order.
fn on_all_cores<T: Sync, R: Send>(
    items: &[T],
    make: impl Fn(&T) -> Result<R, DeviceError> + Sync,
) -> Result<Vec<R>, DeviceError> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((position, item)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, items.get(at)?))) {
            let result = make(item);
            results.lock().unwrap_or_else(PoisonError::into_inner).push((position, result));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(position, _)| *position);
    results.into_iter().map(|(_, result)| result).collect()
}

/// One layout for each number of bindings, so that kernels may share bindings. All arguments may be written, since arguments in one
/// allocation must all be bound in one way.
fn layouts(gpu: &Gpu, shaders: &[Shader]) -> Result<BTreeMap<usize, BindGroupLayout>, DeviceError> {
    let counts: BTreeSet<usize> = shaders.iter().map(|shader| shader.bindings()).collect();
    let refused = |problem| DeviceError::LimitExceeded { resource: "buffers of one kernel", problem };
    gpu.guarded(refused, || counts.into_iter().map(|count| (count, layout(gpu, count, true))).collect())
}

fn kernel(
    gpu: &Gpu,
    layouts: &BTreeMap<usize, BindGroupLayout>,
    shader: &Shader,
    variant: &ShaderVariant,
) -> Result<Kernel, DeviceError> {
    let refused = |problem: String| invalid_code(format!("kernel `{}`: {problem}", shader.name));
    let layout = layouts.get(&shader.bindings()).ok_or_else(|| refused("it has no layout".into()))?.clone();
    let source = source(gpu, shader, variant).map_err(refused)?;
    let pipeline = gpu.guarded(refused, || pipeline(gpu, shader, &source, &layout))?;
    let Shader { name, symbols, threads, arguments, .. } = shader;
    Ok(Kernel { name: name.clone(), symbols: *symbols, threads: *threads, arguments: arguments.clone(), layout, pipeline })
}

/// A shader in the language that the GPU takes.
enum Source<'s> {
    Spirv(Vec<u32>),
    Wgsl(&'s str),
}

impl Source<'_> {
    fn language(&self) -> Language {
        match self {
            Self::Spirv(_) => Language::Spirv,
            Self::Wgsl(_) => Language::Wgsl,
        }
    }
}

/// SPIR-V where the GPU takes it and the variant is written in it, WGSL otherwise.
fn source<'s>(gpu: &Gpu, shader: &Shader, variant: &'s ShaderVariant) -> Result<Source<'s>, String> {
    if let Some(bytes) = variant.sources.get(&Language::Spirv).filter(|_| gpu.takes_spirv) {
        let words = spirv::read(bytes, shader.invocations(), shader.bindings());
        return words.map(Source::Spirv).map_err(|problem| format!("in {}, {problem}", Language::Spirv.name()));
    }
    let missing = || format!("it is not written in {}", Language::Wgsl.name());
    variant.text(Language::Wgsl).map(Source::Wgsl).ok_or_else(missing)
}

fn pipeline(gpu: &Gpu, shader: &Shader, source: &Source<'_>, layout: &BindGroupLayout) -> ComputePipeline {
    let name = shader.name.as_str();
    let module = match source {
        Source::Spirv(words) => unchecked::spirv_module(&gpu.device, name, words, shader.invocations()),
        Source::Wgsl(text) => unchecked::wgsl_module(&gpu.device, name, text),
    };
    let layouts = PipelineLayoutDescriptor { label: None, bind_group_layouts: &[Some(layout)], immediate_size: 0 };
    gpu.device.create_compute_pipeline(&ComputePipelineDescriptor {
        label: Some(name),
        layout: Some(&gpu.device.create_pipeline_layout(&layouts)),
        module: &module,
        entry_point: Some(source.language().entry_point()),
        compilation_options: PipelineCompilationOptions { zero_initialize_workgroup_memory: false, ..Default::default() },
        cache: gpu.pipeline_cache.as_ref(),
    })
}
