//! Plans that lie, in files whose hashes are right, give errors and never panics.

#[path = "../format/tests/common/mod.rs"]
mod forge;

use forge::{forge_plan, forged_plan};
use lostwax_runtime::api::{Device, DeviceError, Executor, Io, Prepared, Program, VariantInfo, WeightBytes};
use lostwax_runtime::format::{Expr, Operands, Plan, expr::Kind};
use lostwax_runtime::{Bindings, Model, Options, RuntimeError, Tensor};
use proptest::prelude::*;
use prost::Message;
use std::sync::Arc;

/// Runs nothing.
struct Idle;

impl Device for Idle {
    fn name(&self) -> &str {
        "idle"
    }

    fn unsupported_reason(&self, _: &VariantInfo) -> Option<String> {
        None
    }

    fn load(&self, _: &[u8], _: WeightBytes) -> Result<Arc<dyn Program>, DeviceError> {
        Ok(Arc::new(Idle))
    }
}

impl Program for Idle {
    fn kernel_count(&self) -> usize {
        1
    }

    fn executor(self: Arc<Self>, _: usize) -> Result<Box<dyn Executor>, DeviceError> {
        Ok(Box::new(Idle))
    }
}

impl Executor for Idle {
    fn prepare(&mut self, _: &Prepared) -> Result<(), DeviceError> {
        Ok(())
    }

    fn run(&mut self, _: &mut Io<'_>) -> Result<(), DeviceError> {
        Ok(())
    }

    fn run_profiled(&mut self, io: &mut Io<'_>, _: &mut Vec<f64>) -> Result<(), DeviceError> {
        self.run(io)
    }

    fn state(&mut self, _: usize) -> Result<&mut [u8], DeviceError> {
        Ok(&mut [])
    }
}

/// Does all that can be done with a model.
fn exercise(plan: &[u8]) -> Result<(), RuntimeError> {
    let model = Model::from_bytes(forge_plan(plan))?;
    drop((model.entry_points(), model.states(), model.symbols()));
    let checks = [
        model.requirements(None, &Bindings::new()).err(),
        model.requirements(None, &Bindings::from([("n".into(), 3)])).err(),
        model.requirements_for(None, &[&[5], &[5]], &Bindings::new()).err(),
        model.check_certificate(&Idle.into()).err(),
    ];
    let mut session = model.session_with(Idle, Options::new().with_max_memory(1 << 20))?;
    let x = Tensor::from_slice(&[1.0f32; 4], &[4])?;
    let result = session.run([("x", &x)]).err();
    let profile = session.profile(&[("x", x.as_view())], 1).err();
    checks.into_iter().chain([result, profile]).flatten().for_each(|error| drop(error.to_string()));
    session.state("s").map(drop)
}

impl From<Idle> for lostwax_runtime::Device {
    fn from(idle: Idle) -> Self {
        Self::from(Arc::new(idle) as Arc<dyn Device>)
    }
}

fn operation(kind: fn(Operands) -> Kind, left: u32, right: u32) -> Expr {
    Expr { kind: Some(kind(Operands { left, right })) }
}

/// Runs a changed plan on 4 elements and tells why that fails.
fn refused(change: impl FnOnce(&mut Plan)) -> String {
    let mut plan = forged_plan();
    change(&mut plan);
    let model = Model::from_bytes(forge_plan(&plan.encode_to_vec())).expect("the positions in the plan exist");
    let mut session = model.session(Idle).expect("the device takes everything");
    let x = Tensor::from_slice(&[1.0f32; 4], &[4]).expect("the shape fits");
    session.run([("x", &x)]).err().map_or_else(String::new, |error| error.to_string())
}

/// The position of the constant `value`.
fn constant(plan: &mut Plan, value: i64) -> u32 {
    plan.exprs.push(Expr { kind: Some(Kind::Constant(value)) });
    plan.exprs.len() as u32 - 1
}

#[test]
fn impossible_sizes_are_refused() {
    assert_eq!(refused(|_| ()), "");
    let text = refused(|plan| plan.steps[0].buffers[1].offset = constant(plan, 1));
    assert!(text.contains("step `copy` uses 16 bytes at 1, which are outside"), "{text}");
    let text = refused(|plan| plan.steps[0].buffers[1].bytes = constant(plan, i64::MAX));
    assert!(text.contains("outside of their memory"), "{text}");
    assert!(refused(|plan| plan.steps[0].buffers[1].offset = constant(plan, -4)).contains("is -4"));
    assert!(refused(|plan| plan.variants[0].dispatches[0].grid = constant(plan, -1)).contains("the grid of step `copy` is -1"));
    assert!(refused(|plan| plan.entry_points[0].arena_bytes = constant(plan, -1)).contains("the working memory is -1"));
    assert!(refused(|plan| plan.entry_points[0].outputs[0].dims = vec![constant(plan, -1)]).contains("a dimension of `y` is -1"));
    let huge = |plan: &mut Plan| plan.entry_points[0].outputs[0].dims = vec![constant(plan, i64::MAX); 3];
    assert!(refused(huge).contains("`y` would be f32["));
    let large = |plan: &mut Plan| plan.entry_points[0].outputs[0].dims = vec![constant(plan, i64::MAX / 8)];
    assert!(refused(large).contains("more than the available memory"));
}

#[test]
fn arithmetic_that_overflows_is_refused() {
    let text = refused(|plan| {
        let huge = constant(plan, i64::MAX);
        plan.exprs.push(operation(Kind::Multiply, huge, 2));
        plan.entry_points[0].arena_bytes = huge + 1;
    });
    assert!(text.contains("is out of range"), "{text}");
    let text = refused(|plan| {
        let zero = constant(plan, 0);
        plan.exprs.push(operation(Kind::FloorDivide, 2, zero));
        plan.entry_points[0].arena_bytes = zero + 1;
    });
    assert!(text.contains("`floordiv(n, 0)` is out of range"), "{text}");
}

#[test]
fn deep_and_wide_expressions_are_described() {
    for (left, right) in [(true, false), (false, true), (true, true)] {
        let mut plan = forged_plan();
        for _ in 0..200_000 {
            let last = plan.exprs.len() as u32 - 1;
            plan.exprs.push(operation(Kind::Minimum, if left { last } else { 2 }, if right { last } else { 2 }));
        }
        plan.entry_points[0].inputs[0].dims[0] = plan.exprs.len() as u32 - 1;
        let model = Model::from_bytes(forge_plan(&plan.encode_to_vec())).unwrap();
        assert!(model.entry_points()[0].inputs[0].dims[0].len() < 300);
        let mut session = model.session(Idle).unwrap();
        let x = Tensor::from_slice(&[1.0f32; 4], &[4]).unwrap();
        let text = session.run([("x", &x)]).err().unwrap().to_string();
        assert!(text.contains("`n`, which no input determines"), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_plans_do_not_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut plan = forged_plan().encode_to_vec();
        for (position, value) in changes {
            let position = position.index(plan.len());
            plan[position] = value;
        }
        drop(exercise(&plan).err().map(|error| error.to_string()));
    }

    #[test]
    fn small_numbers_anywhere_do_not_panic(position in any::<prop::sample::Index>(), value in 0u8..8) {
        let mut plan = forged_plan().encode_to_vec();
        let position = position.index(plan.len());
        plan[position] = value;
        drop(exercise(&plan).err().map(|error| error.to_string()));
    }
}
