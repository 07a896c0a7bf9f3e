//! What kernels may take: profiles of limits, for the processors that code is made for.

use crate::fault::unsupported;
use crate::language::missing;
use lostwax_device_gpu::NAME;
use lostwax_device_gpu::format::{Form, Language, Limits, Shader, Shortage, WORKGROUP};
use lostwax_ir::kernel::Kernel;
use lostwax_target_api::{EmitError, VariantInfo};

/// Processors that have the same in common.
pub(crate) struct Profile {
    /// What specifications and variants call it.
    pub(crate) name: &'static str,
    /// Which processors it is.
    pub(crate) doc: &'static str,
    /// What all of them have.
    limits: Limits,
    /// The language that they take, which every kernel must be written in.
    language: Language,
}

/// All profiles; the first is that of code for which none is named.
///
/// Metal has 31 slots for buffers, of which the parameters and the sizes take two.
pub(crate) const PROFILES: [Profile; 4] = [
    Profile {
        name: "native",
        doc: "what Vulkan, Metal and Direct3D 12 have in common on today's processors",
        limits: Limits {
            storage_buffers: 29,
            binding_bytes: 128 << 20,
            buffer_bytes: 256 << 20,
            workgroup_bytes: 16 << 10,
            invocations: 256,
            workgroups: 65_535,
        },
        language: Language::Wgsl,
    },
    Profile {
        name: "webgpu-default",
        doc: "what every implementation of WebGPU has",
        limits: Limits {
            storage_buffers: 8,
            binding_bytes: 128 << 20,
            buffer_bytes: 256 << 20,
            workgroup_bytes: 16 << 10,
            invocations: 256,
            workgroups: 65_535,
        },
        language: Language::Wgsl,
    },
    Profile {
        name: "vulkan",
        doc: "what the Vulkan Roadmap 2022 requires",
        limits: Limits {
            storage_buffers: 30,
            binding_bytes: 128 << 20,
            buffer_bytes: 1 << 30,
            workgroup_bytes: 16 << 10,
            invocations: 256,
            workgroups: 65_535,
        },
        language: Language::Spirv,
    },
    Profile {
        name: "metal",
        doc: "what Metal has on Apple's own processors",
        limits: Limits {
            storage_buffers: 29,
            binding_bytes: 256 << 20,
            buffer_bytes: 256 << 20,
            workgroup_bytes: 32 << 10,
            invocations: 1024,
            workgroups: 65_535,
        },
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

    /// The most arguments of a kernel.
    pub(crate) fn arguments(&self) -> u32 {
        u32::try_from(self.limits.storage_buffers).unwrap_or(u32::MAX)
    }

    /// Whether all processors of the profile can run the kernel.
    ///
    /// # Errors
    /// What it takes, what the profile allows, and the profiles that allow it.
    pub(crate) fn check(&self, kernel: &Kernel, shader: &Shader) -> Result<(), EmitError> {
        let Some(form) = shader.plainest() else { return Ok(()) };
        let needs = Limits { workgroups: least_workgroups(kernel, shader), ..shader.needs(form) };
        let Some(problem) = self.objection(form, &needs) else { return Ok(()) };
        let fitting = PROFILES.iter().filter(|profile| profile.objection(form, &needs).is_none());
        let targets: Vec<String> = fitting.map(|profile| format!("{NAME}:{}", profile.name)).collect();
        let advice = match targets.is_empty() {
            true => "no profile has them; another target may".to_string(),
            false => format!("the target `{}` has them", targets.join("` or `")),
        };
        let problem = format!("it takes {problem}; {advice}");
        Err(EmitError::LimitExceeded { target: NAME.into(), kernel: kernel.name.clone(), problem })
    }

    /// What a form takes and not all processors of the profile have.
    fn objection(&self, form: &Form, needs: &Limits) -> Option<String> {
        let (name, language) = (self.name, self.language.name());
        if let Some(Shortage { what, needed, most }) = needs.shortage(&self.limits) {
            return Some(format!("{needed} {what}, the profile `{name}` has {most}"));
        }
        let missing = missing(self.language, &form.features);
        let features: Vec<&str> = missing.iter().map(|feature| feature.name()).collect();
        let problem = || format!("{}, which the language of the profile `{name}`, {language}, has not", features.join(" and "));
        (!features.is_empty()).then(problem)
    }
}

/// The workgroups in each of two dimensions that even the smallest sizes take.
fn least_workgroups(kernel: &Kernel, shader: &Shader) -> u64 {
    let items = u64::try_from(kernel.grid.bounds().0).unwrap_or(0);
    let groups = if shader.threads == 0 { items.div_ceil(WORKGROUP.into()) } else { items };
    let root = groups.isqrt();
    if root * root < groups { root + 1 } else { root }
}
