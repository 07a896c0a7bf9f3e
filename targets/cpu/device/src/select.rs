//! Which code this machine can run.

use crate::format::{Arch, NAME};
use lostwax_target_api::{Adapter, Property, PropertyValue, VariantInfo};

/// The operating system of code from files that name none.
const UNNAMED_OS: &str = "linux";

/// Why this machine cannot run a variant; `None` if it can.
pub(crate) fn unsupported_reason(variant: &VariantInfo) -> Option<String> {
    Host::this().unsupported_reason(variant)
}

/// What code depends on besides features.
struct Host {
    arch: &'static str,
    os: &'static str,
    /// The calling convention of `extern "C"`.
    abi: &'static str,
}

impl Host {
    /// This program's.
    fn this() -> Self {
        let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
        Self { arch, os, abi: c_abi(arch, os, cfg!(target_feature = "d")) }
    }

    fn unsupported_reason(&self, variant: &VariantInfo) -> Option<String> {
        let Self { arch, os, abi } = self;
        let VariantInfo { device, arch: code_arch, os: code_os, abi: code_abi, features, .. } = variant;
        let code_os = if code_os.is_empty() { UNNAMED_OS } else { code_os };
        let missing: Vec<&str> = features.iter().map(String::as_str).filter(|name| !has_feature(name)).collect();
        if device != NAME {
            return Some(format!("it is for a {device} device"));
        }
        if code_arch != arch {
            return Some(format!("it is for {code_arch}, this machine is {arch}"));
        }
        if code_os != *os {
            return Some(format!("it is for {code_os}, this machine runs {os}"));
        }
        if !code_abi.is_empty() && code_abi != abi {
            return Some(format!("its kernels are called as {code_abi}, this program calls them as {abi}"));
        }
        (!missing.is_empty()).then(|| format!("this machine lacks {}", missing.join(", ")))
    }
}

/// The name of the calling convention of C.
fn c_abi(arch: &str, os: &str, doubles_in_registers: bool) -> &'static str {
    match (arch, os) {
        ("x86_64", "windows") => "win64",
        ("x86_64", _) => Arch::X86_64.abi(),
        ("aarch64", "windows") => "aapcs64-windows",
        ("aarch64", "macos" | "ios") => "aapcs64-darwin",
        ("aarch64", _) => Arch::Aarch64.abi(),
        ("riscv64", _) if doubles_in_registers => Arch::Riscv64.abi(),
        _ => "unknown",
    }
}

/// The features of this CPU that variants may require.
pub(crate) fn describe() -> Adapter {
    let present = FEATURES.iter().copied().filter(|name| has_feature(name)).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let properties = vec![
        Property { name: "threads", value: PropertyValue::Count(threads) },
        Property { name: "features", value: PropertyValue::Names(present) },
    ];
    Adapter { specification: String::new(), name: std::env::consts::ARCH.into(), properties }
}

/// Detects features by the name that both LLVM and Rust know them by; what is not listed counts as absent.
macro_rules! features {
    ($detect:ident, $($feature:tt)*) => {
        const FEATURES: &[&str] = &[$($feature,)*];

        fn has_feature(name: &str) -> bool {
            match name { $($feature => std::arch::$detect!($feature),)* _ => false }
        }
    };
}

#[cfg(target_arch = "x86_64")]
features!(is_x86_feature_detected,
    "sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "fma" "bmi1" "bmi2" "f16c" "lzcnt" "movbe"
    "avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl" "avx512vnni" "avxvnni");

#[cfg(target_arch = "aarch64")]
features!(is_aarch64_feature_detected, "neon" "dotprod" "fp16" "i8mm" "bf16");

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const FEATURES: &[&str] = &[];

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has_feature(_: &str) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(arch: &str, features: &[&str]) -> VariantInfo {
        let features = features.iter().map(|name| name.to_string()).collect();
        VariantInfo { device: NAME.into(), arch: arch.into(), os: std::env::consts::OS.into(), features, ..Default::default() }
    }

    #[test]
    fn unknown_features_and_other_architectures_are_refused() {
        let host = std::env::consts::ARCH;
        assert_eq!(unsupported_reason(&variant(host, &[])), None);
        assert_eq!(unsupported_reason(&variant(host, &["tea", "milk"])).unwrap(), "this machine lacks tea, milk");
        assert_eq!(unsupported_reason(&variant("pdp11", &[])).unwrap(), format!("it is for pdp11, this machine is {host}"));
        let other = VariantInfo { device: "foreign".into(), ..variant(host, &[]) };
        assert_eq!(unsupported_reason(&other).unwrap(), "it is for a foreign device");
    }

    #[test]
    fn other_systems_and_calling_conventions_are_refused() {
        let code = |os: &str, abi: &str| VariantInfo { os: os.into(), abi: abi.into(), ..variant("aarch64", &[]) };
        let on = |os| Host { arch: "aarch64", os, abi: c_abi("aarch64", os, true) };
        assert_eq!(on("linux").unsupported_reason(&code("linux", "aapcs64")), None);
        for os in ["macos", "windows", "android"] {
            let expected = format!("it is for linux, this machine runs {os}");
            assert_eq!(on(os).unsupported_reason(&code("linux", "aapcs64")).unwrap(), expected);
            assert_eq!(on(os).unsupported_reason(&code("", "")).unwrap(), expected);
        }
        let message = on("linux").unsupported_reason(&code("linux", "ilp32")).unwrap();
        assert_eq!(message, "its kernels are called as ilp32, this program calls them as aapcs64");
        assert_eq!(on("linux").unsupported_reason(&code("", "")), None);
    }

    #[test]
    fn the_calling_convention_of_this_program_is_known() {
        let arch = Arch::host().unwrap();
        assert_eq!(Host::this().abi, arch.abi());
        assert_eq!(c_abi("riscv64", "linux", false), "unknown");
    }

    #[test]
    fn the_features_that_are_reported_are_those_that_variants_may_need() {
        let PropertyValue::Names(names) = describe().properties.remove(1).value else { panic!("features are names") };
        assert_eq!(unsupported_reason(&variant(std::env::consts::ARCH, &names)), None);
        let missing: Vec<&str> = FEATURES.iter().copied().filter(|name| !names.contains(name)).collect();
        assert!(missing.iter().all(|name| unsupported_reason(&variant(std::env::consts::ARCH, &[name])).is_some()));
    }
}
