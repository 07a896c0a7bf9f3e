//! Runs kernels of other architectures in an emulator: a program that consists of the image, the buffers, and a few
//! instructions that call the kernel and write the buffers to standard output.

use lostwax_device_cpu::format::{Arch, Image, MemoryMap};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const BASE: u64 = 0x1000_0000;
const HEADER: u64 = 4096;

/// The emulator of an architecture, when it is installed.
pub fn emulator(arch: &str) -> Option<String> {
    let name = format!("qemu-{arch}");
    let found = Command::new(&name).arg("--version").output().is_ok_and(|output| output.status.success());
    found.then_some(name)
}

/// Runs kernel 0 of the code and returns the buffers after it.
pub fn run(emulator: &str, code: &[u8], buffers: &[Vec<u8>], symbols: &[i64], grid: u64) -> Vec<Vec<u8>> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("lostwax-{}-{number}", std::process::id()));
    std::fs::write(&path, program(&Image::parse(code).unwrap(), buffers, symbols, grid)).unwrap();
    make_executable(&path);
    let output = Command::new(emulator).arg(&path).output().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(output.status.success(), "{emulator}: {:?} {}", output.status, String::from_utf8_lossy(&output.stderr));
    let mut rest = output.stdout.as_slice();
    let mut take = |buffer: &Vec<u8>| {
        let (taken, after) = rest.split_at(buffer.len());
        rest = &after[buffer.len().next_multiple_of(64) - buffer.len()..];
        taken.to_vec()
    };
    buffers.iter().map(&mut take).collect()
}

fn make_executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

/// An ELF file with one segment.
fn program(image: &Image<'_>, buffers: &[Vec<u8>], symbols: &[i64], grid: u64) -> Vec<u8> {
    let sizes = (image.text.len() as u64, image.constants.len() as u64);
    let map = MemoryMap::new(image.arch, sizes.0, sizes.1, image.zero_bytes).unwrap();
    let mut memory = vec![0; map.total as usize];
    memory[..image.text.len()].copy_from_slice(image.text);
    memory[map.constants as usize..][..image.constants.len()].copy_from_slice(image.constants);
    let base = BASE + HEADER.max(image.arch.segment_alignment());
    let address = |memory: &Vec<u8>| base + memory.len() as u64;
    let data = address(&memory);
    let mut pointers = Vec::new();
    for buffer in buffers {
        pointers.push(address(&memory));
        memory.extend(buffer);
        memory.resize(memory.len().next_multiple_of(64), 0);
    }
    let data_bytes = address(&memory) - data;
    let pointer_table = address(&memory);
    pointers.iter().for_each(|pointer| memory.extend(pointer.to_le_bytes()));
    let symbol_table = address(&memory);
    symbols.iter().for_each(|symbol| memory.extend(symbol.to_le_bytes()));
    let literals = [pointer_table, symbol_table, 0, grid, base + image.entries[0].offset, data, data_bytes];
    let start = address(&memory);
    memory.extend(start_code(image.arch).iter().flat_map(|instruction| instruction.to_le_bytes()));
    memory.extend(literals.iter().flat_map(|literal| literal.to_le_bytes()));
    elf(image.arch, base, start, &memory)
}

/// Code of 16 instructions, followed by the literals that it loads.
fn start_code(arch: Arch) -> [u32; 16] {
    if arch == Arch::Aarch64 {
        let load = |at: u32, register: u32, literal: u32| 0x5800_0000 | (16 + 2 * literal - at) << 5 | register;
        let call = [load(0, 0, 0), load(1, 1, 1), load(2, 2, 2), load(3, 3, 3), load(4, 9, 4), 0xd63f_0120];
        let write = [0xd280_0020, load(7, 1, 5), load(8, 2, 6), 0xd280_0808, 0xd400_0001];
        let exit = [0xd280_0000, 0xd280_0ba8, 0xd400_0001, 0xd400_0001, 0xd400_0001];
        return concat(&[&call, &write, &exit]);
    }
    let load = |register: u32, from: u32, literal: u32| (64 + 8 * literal - from) << 20 | 5 << 15 | 3 << 12 | register << 7 | 3;
    let call = [0x0000_0297, load(10, 0, 0), load(11, 0, 1), load(12, 0, 2), load(13, 0, 3), load(6, 0, 4), 0x0003_00e7];
    let write = [0x0000_0297, 0x0010_0513, load(11, 28, 5), load(12, 28, 6), 0x0400_0893, 0x0000_0073];
    concat(&[&call, &write, &[0x0000_0513, 0x05d0_0893, 0x0000_0073]])
}

fn concat(parts: &[&[u32]]) -> [u32; 16] {
    parts.concat().try_into().unwrap()
}

fn elf(arch: Arch, base: u64, start: u64, memory: &[u8]) -> Vec<u8> {
    let (machine, flags): (u16, u32) = if arch == Arch::Aarch64 { (183, 0) } else { (243, 5) };
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    [2u16, machine].iter().for_each(|field| file.extend(field.to_le_bytes()));
    file.extend(1u32.to_le_bytes());
    [start, 64, 0].iter().for_each(|field| file.extend(field.to_le_bytes()));
    file.extend(flags.to_le_bytes());
    [64u16, 56, 1, 0, 0, 0].iter().for_each(|field| file.extend(field.to_le_bytes()));
    [1u32, 7].iter().for_each(|field| file.extend(field.to_le_bytes()));
    let (offset, bytes) = (base - BASE, memory.len() as u64);
    [offset, base, base, bytes, bytes, 4096].iter().for_each(|field| file.extend(field.to_le_bytes()));
    file.resize(offset as usize, 0);
    file.extend(memory);
    file
}
