//! Which variant of the code this machine can run.

use crate::NAME;
use crate::format::Arch;
use lostwax_target_api::{Adapter, Property, PropertyValue, VariantInfo};

/// The position of the first variant that can run here; targets list variants best first.
pub(crate) fn fastest(variants: &[VariantInfo]) -> Option<usize> {
    variants.iter().position(can_run)
}

fn can_run(variant: &VariantInfo) -> bool {
    let host = Arch::host().map(Arch::name);
    variant.device == NAME && Some(variant.arch.as_str()) == host && variant.features.iter().all(|name| has_feature(name))
}

/// What this processor has of what variants may need.
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
        VariantInfo { device: NAME.into(), arch: arch.into(), name: "test".into(), features }
    }

    #[test]
    fn unknown_features_and_other_architectures_are_not_chosen() {
        let host = std::env::consts::ARCH;
        let variants = [variant("pdp11", &[]), variant(host, &["tea"]), variant(host, &[])];
        assert_eq!(fastest(&variants), Some(2));
        assert_eq!(fastest(&variants[..2]), None);
    }

    #[test]
    fn the_features_that_are_told_are_those_that_variants_may_need() {
        let PropertyValue::Names(names) = describe().properties.remove(1).value else { panic!("features are names") };
        assert_eq!(fastest(&[variant(std::env::consts::ARCH, &names)]), Some(0));
        let missing: Vec<&str> = FEATURES.iter().copied().filter(|name| !names.contains(name)).collect();
        assert!(missing.iter().all(|name| fastest(&[variant(std::env::consts::ARCH, &[name])]).is_none()));
    }
}
