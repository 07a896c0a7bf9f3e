//! A device that runs kernels written in Rust, and a model for it.

#![allow(dead_code)]

use lostwax_runtime::Device;
use lostwax_runtime::api::{self, BufferRef, DeviceError, Executor, Io, Prepared, Program, Region, VariantInfo, WeightBytes};
use lostwax_runtime::format::{
    Buffer, Certificate, CertificateCase, Constraint, Dispatch, EntryPoint, Exprs, Plan, ReferenceInput, ReferenceOutput,
    Region as PlanRegion, State, Step, Symbol, TensorSpec, Variant, WeightData, Writer,
};
use std::sync::Arc;

/// Runs code that is a list of kernel names, one a line.
pub struct FakeDevice;

/// The device, for sessions.
pub fn device() -> Device {
    Device::from(Arc::new(FakeDevice) as Arc<dyn api::Device>)
}

struct FakeProgram {
    kernels: Vec<String>,
    weights: WeightBytes,
}

struct FakeExecutor {
    program: Arc<FakeProgram>,
    prepared: Prepared,
    arena: Vec<u8>,
    states: Vec<Vec<u64>>,
}

impl api::Device for FakeDevice {
    fn name(&self) -> &str {
        "fake"
    }

    fn unsupported_reason(&self, variant: &VariantInfo) -> Option<String> {
        (variant.device != "fake").then(|| "it is not a fake".into())
    }

    fn load(&self, code: &[u8], weights: WeightBytes) -> Result<Arc<dyn Program>, DeviceError> {
        let invalid = || DeviceError::InvalidCode { device: "fake".into(), problem: "not text".into() };
        let text = std::str::from_utf8(code).map_err(|_| invalid())?;
        let kernels: Vec<String> = text.lines().map(str::to_owned).collect();
        Ok(Arc::new(FakeProgram { kernels, weights }))
    }
}

impl Program for FakeProgram {
    fn kernel_count(&self) -> usize {
        self.kernels.len()
    }

    fn executor(self: Arc<Self>, _threads: usize) -> Result<Box<dyn Executor>, DeviceError> {
        Ok(Box::new(FakeExecutor { program: self, prepared: Prepared::default(), arena: Vec::new(), states: Vec::new() }))
    }
}

impl Executor for FakeExecutor {
    fn prepare(&mut self, prepared: &Prepared) -> Result<(), DeviceError> {
        self.arena = vec![0xaa; prepared.arena_bytes as usize];
        self.states.resize(prepared.state_bytes.len(), Vec::new());
        for (state, bytes) in self.states.iter_mut().zip(&prepared.state_bytes) {
            state.resize((*bytes as usize).div_ceil(8), 0xaaaa);
        }
        self.prepared = prepared.clone();
        Ok(())
    }

    fn run(&mut self, io: &mut Io<'_>) -> Result<(), DeviceError> {
        for position in 0..self.prepared.dispatches.len() {
            self.dispatch(position, io);
        }
        Ok(())
    }

    fn run_profiled(&mut self, io: &mut Io<'_>, seconds: &mut Vec<f64>) -> Result<(), DeviceError> {
        seconds.iter_mut().for_each(|seconds| *seconds += 0.5);
        self.run(io)
    }

    fn state(&mut self, index: usize) -> Result<&mut [u8], DeviceError> {
        let bytes = self.prepared.state_bytes.get(index).map_or(0, |bytes| *bytes as usize);
        let state = self.states.get_mut(index).ok_or_else(|| DeviceError::no_state(index))?;
        Ok(&mut bytemuck::cast_slice_mut(state)[..bytes])
    }
}

impl FakeExecutor {
    /// Kernels have one buffer that they write, which is the last.
    fn dispatch(&mut self, position: usize, io: &mut Io<'_>) {
        let dispatch = &self.prepared.dispatches[position];
        let arguments: Vec<Vec<f32>> = dispatch.buffers.iter().map(|buffer| self.read(*buffer, io)).collect();
        let (result, arguments) = arguments.split_last().expect("a kernel has buffers");
        let kernel = self.program.kernels[dispatch.kernel as usize].as_str();
        let mut values = result.clone();
        for (index, value) in values.iter_mut().enumerate().take(dispatch.grid as usize) {
            *value = match kernel {
                "add" => arguments[0][index] + arguments[1][index % arguments[1].len()],
                "scale" => arguments[0][index] * dispatch.symbols[0] as f32,
                "count" => *value + 1.0,
                other => panic!("unknown kernel {other}"),
            };
        }
        let target = *dispatch.buffers.last().expect("a kernel has buffers");
        self.memory_mut(target, io).copy_from_slice(bytemuck::cast_slice(&values));
    }

    fn read(&self, buffer: BufferRef, io: &Io<'_>) -> Vec<f32> {
        let range = buffer.offset as usize..(buffer.offset + buffer.bytes) as usize;
        let bytes = match buffer.region {
            Region::Weights => &(*self.program.weights).as_ref()[range],
            Region::Arena => &self.arena[range],
            Region::Input(index) => &io.inputs[index as usize][range],
            Region::Output(index) => &io.outputs[index as usize][range],
            Region::State(index) => &bytemuck::cast_slice::<u64, u8>(&self.states[index as usize])[range],
        };
        bytemuck::pod_collect_to_vec(bytes)
    }

    fn memory_mut<'a>(&'a mut self, buffer: BufferRef, io: &'a mut Io<'_>) -> &'a mut [u8] {
        let range = buffer.offset as usize..(buffer.offset + buffer.bytes) as usize;
        match buffer.region {
            Region::Arena => &mut self.arena[range],
            Region::Output(index) => &mut io.outputs[index as usize][range],
            Region::State(index) => &mut bytemuck::cast_slice_mut::<u64, u8>(&mut self.states[index as usize])[range],
            Region::Weights | Region::Input(_) => panic!("read only"),
        }
    }
}

/// Expressions of the model below.
struct Sizes {
    zero: u32,
    one: u32,
    two: u32,
    three: u32,
    four: u32,
    /// `32*h`
    width: u32,
    batch: u32,
    count: u32,
    bytes: u32,
}

fn sizes(exprs: &mut Exprs) -> Sizes {
    let mut constant = |value| exprs.constant(value);
    let (zero, one, two, three, four) = (constant(0), constant(1), constant(2), constant(3), constant(4));
    let thirty_two = constant(32);
    let (batch, height) = (exprs.symbol(0), exprs.symbol(1));
    let width = exprs.multiply(thirty_two, height).expect("operands exist");
    let count = exprs.multiply(batch, width).expect("operands exist");
    let bytes = exprs.multiply(count, four).expect("operands exist");
    Sizes { zero, one, two, three, four, width, batch, count, bytes }
}

fn tensor(name: &str, dims: &[u32]) -> TensorSpec {
    TensorSpec { name: name.into(), dtype: "f32".into(), dims: dims.to_vec() }
}

fn buffer(region: PlanRegion, index: u32, offset: u32, bytes: u32) -> Buffer {
    Buffer { region: region as i32, index, offset, bytes }
}

fn step(label: &str, buffers: Vec<Buffer>, flops: u32, bytes: u32) -> Step {
    Step { buffers, label: label.into(), nodes: vec![format!("/{label}")], flops, bytes }
}

fn entry_points(sizes: &Sizes) -> Vec<EntryPoint> {
    let main = EntryPoint {
        name: "main".into(),
        inputs: vec![tensor("x", &[sizes.batch, sizes.width]), tensor("bias", &[])],
        outputs: vec![tensor("y", &[sizes.batch, sizes.width]), tensor("runs", &[])],
        constraints: Vec::new(),
        arena_bytes: sizes.bytes,
        arena_lower_bound_bytes: sizes.bytes,
        first_step: 0,
        step_count: 4,
    };
    let constraint = Constraint { left: sizes.batch, right: sizes.width, message: "`a` must be square".into() };
    let square = EntryPoint {
        name: "square".into(),
        inputs: vec![tensor("a", &[sizes.batch, sizes.width])],
        outputs: vec![tensor("b", &[sizes.batch, sizes.width])],
        constraints: vec![constraint],
        arena_bytes: sizes.zero,
        arena_lower_bound_bytes: sizes.zero,
        first_step: 4,
        step_count: 1,
    };
    vec![main, square]
}

fn add_weight(s: &Sizes, weight: u32) -> Vec<Buffer> {
    let all = |region| buffer(region, 0, s.zero, s.bytes);
    vec![all(PlanRegion::Input), buffer(PlanRegion::Weights, 0, weight, s.four), all(PlanRegion::Arena)]
}

/// The first step names a weight that the variant replaces by its own.
fn steps(s: &Sizes) -> Vec<Step> {
    let (input, arena, output, state) = (PlanRegion::Input, PlanRegion::Arena, PlanRegion::Output, PlanRegion::State);
    let all = |region, index| buffer(region, index, s.zero, s.bytes);
    let one = |region, index| buffer(region, index, s.zero, s.four);
    vec![
        step("add-weight", add_weight(s, s.zero), s.count, s.bytes),
        step("add-bias", vec![all(arena, 0), one(input, 1), all(output, 0)], s.count, s.bytes),
        step("count", vec![one(state, 0)], s.one, s.four),
        step("copy", vec![one(state, 0), one(output, 1)], s.one, s.four),
        step("scale", vec![all(input, 0), all(output, 0)], s.count, s.bytes),
    ]
}

fn dispatches(s: &Sizes, weight: u32) -> Vec<Dispatch> {
    let dispatch = |kernel, grid, symbols: &[u32]| Dispatch { kernel, grid, symbols: symbols.to_vec(), buffers: Vec::new() };
    vec![
        Dispatch { buffers: add_weight(s, weight), ..dispatch(0, s.count, &[]) },
        dispatch(0, s.count, &[]),
        dispatch(2, s.one, &[]),
        dispatch(1, s.one, &[s.one]),
        dispatch(1, s.count, &[s.three]),
    ]
}

fn variant(code_section: String, sizes: &Sizes, weight: u32) -> Variant {
    Variant {
        device: "fake".into(),
        arch: "any".into(),
        name: "plain".into(),
        features: Vec::new(),
        code_section,
        kernels: ["add", "scale", "count"].map(String::from).to_vec(),
        dispatches: dispatches(sizes, weight),
        ..Variant::default()
    }
}

fn symbol(name: &str, min: i64, max: i64) -> Symbol {
    Symbol { name: name.into(), min, max }
}

/// `main`: `y = x + weight + bias` for `x: f32[b, 32*h]`, and the number of runs, a state that starts at 10. `square`: `b = 3 a`.
pub fn plan(writer: &mut Writer<'_>) -> Plan {
    let bytes = |values: &[f32]| WeightData::Bytes(bytemuck::cast_slice(values).to_vec().into());
    writer.weight("first", "f32", &[3], bytes(&[1.0, 2.0, 3.0])).expect("the weight is valid");
    let second = writer.weight("second", "f32", &[1], bytes(&[100.0])).expect("the weight is valid");
    writer.weight("empty", "i64", &[0, 5], WeightData::Bytes(Vec::new().into())).expect("the weight is valid");
    writer.weight("start", "f32", &[], bytes(&[10.0])).expect("the weight is valid");
    writer.weight("blocks", "q4_0", &[2, 64], WeightData::Later(Box::new(|| Ok(vec![7; 72])))).expect("the weight is valid");
    let code = writer.code("fake", "any", "plain", b"add\nscale\ncount\n".as_slice()).expect("the name is free");
    let mut exprs = Exprs::new();
    let sizes = sizes(&mut exprs);
    let second = exprs.constant(second as i64);
    Plan {
        model_name: "sample".into(),
        symbols: vec![symbol("b", 0, 64), symbol("h", 0, 100)],
        states: vec![State { tensor: Some(tensor("runs", &[])), initial_weight: Some(3) }],
        entry_points: entry_points(&sizes),
        steps: steps(&sizes),
        variants: vec![variant(code, &sizes, second)],
        exprs: exprs.finish(),
        ..Plan::default()
    }
}

/// What the compiler would certify about the model.
pub fn certificate(tolerance: f64) -> Certificate {
    let input = ReferenceInput { name: "a".into(), dims: vec![32, 32], low: 1.0, high: 1.0 };
    let output = ReferenceOutput {
        name: "b".into(),
        dims: vec![32, 32],
        max_abs: 0.0,
        max_rel: 0.0,
        tolerance_abs: tolerance,
        tolerance_rel: 0.0,
        samples: vec![3.0, 3.0, 3.25],
    };
    let case = CertificateCase {
        entry_point: "square".into(),
        device: "fake".into(),
        variant: "plain".into(),
        seed: 1,
        inputs: vec![input],
        outputs: vec![output],
        bindings: Vec::new(),
    };
    Certificate { cases: vec![case] }
}

/// The file of the model.
pub fn artifact() -> Vec<u8> {
    let mut writer = Writer::new("tests 1.0");
    let plan = plan(&mut writer);
    writer.certificate(&certificate(0.5));
    writer.section("notes", b"hello".as_slice()).expect("the name is free");
    let mut file = Vec::new();
    writer.write(&plan, &mut file).expect("the plan is valid");
    file
}
