//! Specifications of variants and what the scheduler is told about each.

use crate::fault::TARGET;
use crate::machine::{MACHINES, Machine};
use lostwax_device_cpu::format::Arch;
use lostwax_target_api::{Caps, EmitError, Variant, VariantInfo};

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
    Variant { info, caps: caps(machine), for_dot_products: machine.for_dot_products }
}

fn caps(machine: &Machine) -> Caps {
    Caps {
        vector_bytes: machine.vector_bytes,
        vector_registers: machine.registers,
        fused_multiply_add: machine.fused,
        broadcast_operand: machine.broadcast_operand,
        l1_bytes: 32 << 10,
        l2_bytes: 512 << 10,
        l3_bytes: 2 << 20,
        parallelism: 16,
        item_elements: 16 << 10,
        arguments: u32::MAX,
        binding_bytes: u64::MAX,
        threads: None,
        flops_per_ns: machine.flops_per_ns,
        bytes_per_ns: 12.0,
        dispatch_ns: 2000.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn unknown_specifications_say_what_is_known() {
        let message = variants("x86_64+x86-64-v9").unwrap_err().to_string();
        assert!(message.contains("x86_64+x86-64-v3") && message.contains("riscv64"), "{message}");
        assert!(variants("pdp11").is_err());
    }
}
