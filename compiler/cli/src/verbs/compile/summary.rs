//! The report that closes a compilation.

use super::Args;
use crate::format::{bytes, hex};
use crate::report::Report;
use crate::source::stage_name;
use crate::verbs::inspect::{Memory, entry_json, interface, symbols_json, tensors_json};
use lostwax_compiler::pipeline::Compiled;
use lostwax_compiler::placement::Fallback;
use lostwax_import::families::Conversion;
use lostwax_import::program::Program;
use lostwax_runtime::Model;
use lostwax_runtime::format::{CertificateCase, ReferenceOutput, Variant};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

/// All that the report is made from.
pub struct Summary<'a> {
    pub args: &'a Args,
    pub program: &'a Program,
    pub compiled: &'a Compiled,
    pub model: &'a Model,
    pub memory: Memory,
    pub import: Duration,
    pub emitted: Vec<PathBuf>,
    pub sha256: [u8; 32],
}

impl Summary<'_> {
    pub fn report(&self, total: Duration) -> Report {
        let sha256 = hex(&self.sha256);
        Report::new(self.text(&sha256, total), self.json(&sha256, total))
    }

    fn text(&self, sha256: &str, total: Duration) -> String {
        let plan = self.model.artifact().plan();
        let (nodes, steps) = (self.program.node_count(), plan.steps.len());
        let mut text = format!("model      {}  {nodes} nodes -> {steps} steps\n", self.args.model.display());
        text += &interface(self.model);
        for (variant, size) in plan.variants.iter().zip(&self.compiled.code_bytes) {
            let (device, arch, name, kernels) = (&variant.device, &variant.arch, &variant.name, variant.kernels.len());
            let _ = writeln!(text, "code       {device} {arch} {name}: {kernels} kernels, {}", bytes(*size as u64));
        }
        text += &self.placement();
        text += &self.memory.text();
        for case in &self.model.artifact().certificate().cases {
            for output in &case.outputs {
                let (name, seed) = (&output.name, case.seed);
                let _ = writeln!(text, "numerics   {name}: max |err| {:.1e} at seed {seed} on {}", output.max_abs, case.variant);
            }
        }
        for conversion in self.conversions() {
            let Conversion { name, from, to, error } = conversion;
            let _ = writeln!(text, "converted  {name}: {from} -> {to}, relative error {error:.2e}");
        }
        for warning in &self.compiled.warnings {
            let _ = writeln!(text, "slow       {warning}");
        }
        for path in &self.emitted {
            let _ = writeln!(text, "emitted    {}", path.display());
        }
        let times: Vec<String> = self.times().map(|(stage, time)| format!("{stage} {:.2} s", time.as_secs_f64())).collect();
        let _ = writeln!(text, "time       {}, total {:.2} s", times.join(", "), total.as_secs_f64());
        let size = bytes(self.model.file_bytes().len() as u64);
        let _ = writeln!(text, "wrote      {} {size} sha256 {sha256}", self.args.output.display());
        text
    }

    /// How many kernels run where, a line for each way that variants divide them, and the kernels that run elsewhere.
    fn placement(&self) -> String {
        let plan = self.model.artifact().plan();
        let mut lines: Vec<String> = plan.variants.iter().map(|variant| self.divided(variant)).collect();
        lines.dedup();
        lines.extend(self.compiled.fallbacks.iter().map(ToString::to_string));
        lines.iter().map(|line| format!("placement  {line}\n")).collect()
    }

    fn divided(&self, variant: &Variant) -> String {
        let own = format!("{} kernels on {}", variant.kernels.len(), variant.device);
        match self.fallbacks_of(variant).count() {
            0 => own,
            left => format!("{own}, {left} on {}", variant.fallback_device),
        }
    }

    fn fallbacks_of(&self, variant: &Variant) -> impl Iterator<Item = &Fallback> {
        let is_same = |refusal: &&Fallback| refusal.device == variant.device && refusal.variant == variant.name;
        self.compiled.fallbacks.iter().filter(is_same)
    }

    fn conversions(&self) -> &[Conversion] {
        self.program.language.as_ref().map_or(&[], |language| &language.conversions)
    }

    fn times(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        let stages = self.compiled.times.iter().map(|(stage, time)| (stage_name(*stage), *time));
        [("import", self.import)].into_iter().chain(stages)
    }

    fn json(&self, sha256: &str, total: Duration) -> Value {
        let plan = self.model.artifact().plan();
        let variants = plan.variants.iter().zip(&self.compiled.code_bytes).map(|(variant, code_bytes)| {
            json!({
                "device": variant.device,
                "arch": variant.arch,
                "name": variant.name,
                "kernels": variant.kernels.len(),
                "code_bytes": code_bytes,
                "fallback_kernels": self.fallbacks_of(variant).map(fallback_json).collect::<Vec<_>>(),
            })
        });
        let seconds: serde_json::Map<String, Value> =
            self.times().map(|(stage, time)| (stage.to_string(), json!(time.as_secs_f64()))).collect();
        json!({
            "model": self.args.model,
            "output": self.args.output,
            "nodes": self.program.node_count(),
            "steps": plan.steps.len(),
            "entry_points": self.model.entry_points().iter().map(entry_json).collect::<Vec<_>>(),
            "states": tensors_json(&self.model.states()),
            "symbols": symbols_json(self.model),
            "certificate": self.model.artifact().certificate().cases.iter().map(case_json).collect::<Vec<_>>(),
            "variants": variants.collect::<Vec<_>>(),
            "memory": self.memory.json(),
            "conversions": self.conversions().iter().map(conversion_json).collect::<Vec<_>>(),
            "warnings": self.compiled.warnings,
            "emitted": self.emitted,
            "bytes": self.model.file_bytes().len(),
            "sha256": sha256,
            "seconds": seconds,
            "total_seconds": total.as_secs_f64(),
        })
    }
}

fn case_json(case: &CertificateCase) -> Value {
    let output = |output: &ReferenceOutput| json!({ "name": output.name, "max_abs": output.max_abs, "max_rel": output.max_rel });
    let outputs: Vec<Value> = case.outputs.iter().map(output).collect();
    json!({ "entry_point": case.entry_point, "variant": case.variant, "seed": case.seed, "outputs": outputs })
}

fn fallback_json(refusal: &Fallback) -> Value {
    json!({ "kernel": refusal.kernel, "runs_on": refusal.fallback, "reason": refusal.reason })
}

fn conversion_json(conversion: &Conversion) -> Value {
    let Conversion { name, from, to, error } = conversion;
    json!({ "tensor": name, "from": from.name(), "to": to.name(), "relative_error": error })
}
