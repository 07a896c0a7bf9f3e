//! Profiles: the limits of the GPUs that code is generated for.

use crate::fault::unsupported;
use crate::language::missing;
use lostwax_device_gpu::NAME;
use lostwax_device_gpu::format::{Language, Limits, Shader, ShaderVariant, Shortage, WORKGROUP};
use lostwax_ir::kernel::Kernel;
use lostwax_target_api::{EmitError, VariantInfo};

/// What the GPUs of a group have in common.
pub(crate) struct Profile {
    /// Its name in specifications and variants.
    pub(crate) name: &'static str,
    /// The GPUs of the group.
    pub(crate) doc: &'static str,
    /// The limits that all of them have.
    limits: Limits,
    /// The language that they take, which every kernel must be written in.
    language: Language,
}

/// What every implementation of WebGPU has.
const COMMON: Limits = Limits {
    storage_buffers: 8,
    binding_bytes: 128 << 20,
    buffer_bytes: 256 << 20,
    workgroup_bytes: 16 << 10,
    invocations: 256,
    workgroups: 65_535,
};

/// All profiles; the first is that of code for which none is named.
///
/// Metal has 31 slots for buffers; the parameters and the sizes take two.
pub(crate) const PROFILES: [Profile; 4] = [
    Profile {
        name: "native",
        doc: "what Vulkan, Metal and Direct3D 12 have in common on today's GPUs",
        limits: Limits { storage_buffers: 29, ..COMMON },
        language: Language::Wgsl,
    },
    Profile { name: "webgpu-default", doc: "what every implementation of WebGPU has", limits: COMMON, language: Language::Wgsl },
    Profile {
        name: "vulkan",
        doc: "what the Vulkan Roadmap 2022 requires",
        limits: Limits { storage_buffers: 30, buffer_bytes: 1 << 30, ..COMMON },
        language: Language::Spirv,
    },
    Profile {
        name: "metal",
        doc: "what Metal has on Apple GPUs",
        limits: Limits { storage_buffers: 29, binding_bytes: 256 << 20, workgroup_bytes: 32 << 10, invocations: 1024, ..COMMON },
        language: Language::Msl,
    },
];

/// The profile that a specification names.
///
/// # Errors
/// [`EmitError::Unsupported`] with all that there are.
pub(crate) fn named(specification: &str) -> Result<&'static Profile, EmitError> {
    let found = PROFILES.iter().find(|profile| specification.is_empty() || profile.name == specification);
    found.ok_or_else(|| {
        let known: Vec<String> = PROFILES.iter().map(|profile| format!("`{}`, {}", profile.name, profile.doc)).collect();
        unsupported(format!("`{specification}`; its profiles of limits are {}", known.join("; ")))
    })
}

impl Profile {
    /// The profile of a variant.
    pub(crate) fn of(variant: &VariantInfo) -> Result<&'static Profile, EmitError> {
        named(&variant.name)
    }

    /// The maximum number of arguments of a kernel.
    pub(crate) fn arguments(&self) -> u32 {
        u32::try_from(self.limits.storage_buffers).unwrap_or(u32::MAX)
    }

    /// Whether all GPUs of the profile can run the kernel.
    ///
    /// # Errors
    /// What it takes, what the profile allows, and the profiles that allow it.
    pub(crate) fn check(&self, kernel: &Kernel, shader: &Shader) -> Result<(), EmitError> {
        let Some(variant) = shader.plainest() else { return Ok(()) };
        let needs = Limits { workgroups: least_workgroups(kernel, shader), ..shader.needs(variant) };
        let Some(problem) = self.objection(variant, &needs) else { return Ok(()) };
        let fitting = PROFILES.iter().filter(|profile| profile.objection(variant, &needs).is_none());
        let targets: Vec<String> = fitting.map(|profile| format!("{NAME}:{}", profile.name)).collect();
        let advice = match targets.is_empty() {
            true => "no profile has them; another target may".to_string(),
            false => format!("the target `{}` has them", targets.join("` or `")),
        };
        let problem = format!("it takes {problem}; {advice}");
        Err(EmitError::LimitExceeded { target: NAME.into(), kernel: kernel.name.clone(), problem })
    }

    /// What a variant needs and not all GPUs of the profile have.
    fn objection(&self, variant: &ShaderVariant, needs: &Limits) -> Option<String> {
        let (name, language) = (self.name, self.language.name());
        if let Some(Shortage { what, needed, most }) = needs.shortage(&self.limits) {
            return Some(format!("{needed} {what}, the profile `{name}` has {most}"));
        }
        let missing = missing(self.language, &variant.features);
        let features: Vec<&str> = missing.iter().map(|feature| feature.name()).collect();
        let problem = || format!("{}, which {language}, the language of the profile `{name}`, lacks", features.join(" and "));
        (!features.is_empty()).then(problem)
    }
}

/// The workgroups in each of two dimensions at the smallest sizes.
fn least_workgroups(kernel: &Kernel, shader: &Shader) -> u64 {
    let grid = u64::try_from(kernel.grid.bounds().0).unwrap_or(0);
    let groups = if shader.threads == 0 { grid.div_ceil(WORKGROUP.into()) } else { grid };
    let root = groups.isqrt();
    if root * root < groups { root + 1 } else { root }
}
