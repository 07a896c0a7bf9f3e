@group(0) @binding(0) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> second: array<vec4<f32>>;

const STEPS = 512u;

@compute @workgroup_size(64)
fn copy(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let stride = workgroups.x * 64u;
    for (var at = id.x; at < arrayLength(&first); at += stride) {
        second[at] = first[at];
    }
}

@compute @workgroup_size(64)
fn multiply_add(@builtin(global_invocation_id) id: vec3<u32>) {
    let at = id.x % arrayLength(&first);
    let factor = vec4(0.999);
    let offset = vec4(0.001);
    var a = first[at];
    var b = a + vec4(0.25);
    var c = a + vec4(0.5);
    var d = a + vec4(0.75);
    for (var step = 0u; step < STEPS; step++) {
        a = fma(a, factor, offset);
        b = fma(b, factor, offset);
        c = fma(c, factor, offset);
        d = fma(d, factor, offset);
    }
    second[at] = a + b + c + d;
}
