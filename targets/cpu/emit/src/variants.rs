//! Specifications of variants, and what schedules follow from.

use crate::fault::TARGET;
use crate::machine::{MACHINES, Machine};
use lostwax_device_cpu::format::Arch;
use lostwax_target_api::{Caps, EmitError, Memory, MemoryKind, Variant, VariantInfo};

/// The variants that `specification` names: an architecture for all of its levels, or `ARCH+LEVEL+...` for some; an empty
/// architecture is the host's.
pub(crate) fn variants(specification: &str) -> Result<Vec<Variant>, EmitError> {
    let mut parts = specification.split('+').map(str::trim);
    let arch = match parts.next() {
        None | Some("") => Arch::host(),
        Some(name) => Arch::from_name(name),
    };
    let levels: Vec<&str> = parts.collect();
    let of_arch = || MACHINES.iter().filter(|machine| Some(machine.arch) == arch);
    if of_arch().next().is_none() || levels.iter().any(|level| of_arch().all(|machine| machine.name != *level)) {
        return Err(unknown(specification));
    }
    Ok(of_arch().filter(|machine| levels.is_empty() || levels.contains(&machine.name)).map(variant).collect())
}

/// The level that a variant stands for.
pub(crate) fn machine(variant: &Variant) -> Result<&'static Machine, EmitError> {
    let info = &variant.info;
    let found = MACHINES.iter().find(|machine| machine.name == info.name && machine.arch.name() == info.arch);
    found.ok_or_else(|| unknown(&format!("{}+{}", info.arch, info.name)))
}

fn unknown(specification: &str) -> EmitError {
    let levels: Vec<String> = MACHINES.iter().map(|machine| format!("{}+{}", machine.arch.name(), machine.name)).collect();
    let what = format!("`{specification}`; it knows an architecture for all of its levels, or some of {}", levels.join(", "));
    EmitError::Unsupported { target: TARGET.into(), what }
}

fn variant(machine: &Machine) -> Variant {
    let info = VariantInfo {
        device: TARGET.into(),
        arch: machine.arch.name().into(),
        os: machine.os.into(),
        abi: machine.arch.abi().into(),
        name: machine.name.into(),
        features: machine.required.iter().copied().flatten().map(ToString::to_string).collect(),
    };
    Variant { info, caps: caps(machine), only_for: machine.only_for }
}

fn caps(machine: &Machine) -> Caps {
    Caps {
        vector_bytes: machine.vector_bytes,
        vector_registers: machine.registers,
        instructions: machine.instructions,
        memories: &[Memory { kind: MemoryKind::Core, bytes: 512 << 10 }],
        parallelism: 16,
        item_elements: 16 << 10,
        arguments: u32::MAX,
        binding_bytes: u64::MAX,
        workgroups: None,
        flops_per_ns: machine.flops_per_ns,
        bytes_per_ns: 12.0,
        dispatch_ns: 2000.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lostwax_target_api::Operation;

    fn names(specification: &str) -> Vec<String> {
        variants(specification).unwrap().into_iter().map(|variant| variant.info.name).collect()
    }

    #[test]
    fn specifications_name_levels() {
        assert_eq!(names("x86_64"), ["x86-64-v4-vnni", "x86-64-v4", "x86-64-v3-vnni", "x86-64-v3", "x86-64-v2"]);
        assert_eq!(names("x86_64+x86-64-v3"), ["x86-64-v3"]);
        assert_eq!(names("x86_64+x86-64-v2+x86-64-v4"), ["x86-64-v4", "x86-64-v2"]);
        assert_eq!(names("aarch64"), ["armv8-a"]);
        assert_eq!(names("riscv64"), ["rv64gc"]);
        assert!(!names("").is_empty());
    }

    #[test]
    fn variants_are_for_what_they_have_instructions_for() {
        for variant in ["x86_64", "aarch64", "riscv64"].iter().flat_map(|arch| variants(arch).unwrap()) {
            let has = |operation| variant.caps.instructions.iter().any(|instruction| instruction.operation == operation);
            assert!(variant.only_for.iter().all(|operation| has(*operation)), "{}", variant.info);
            let bytes = variant.only_for.contains(&Operation::DOT4);
            assert_eq!(bytes, variant.info.name.ends_with("vnni"), "{}", variant.info);
            assert_eq!((variant.serves(&[].into()), variant.serves(&[Operation::DOT4].into())), (!bytes, true));
        }
    }

    #[test]
    fn unknown_specifications_say_what_is_known() {
        let message = variants("x86_64+x86-64-v9").unwrap_err().to_string();
        assert!(message.contains("x86_64+x86-64-v3") && message.contains("riscv64"), "{message}");
        assert!(variants("pdp11").is_err());
    }
}
