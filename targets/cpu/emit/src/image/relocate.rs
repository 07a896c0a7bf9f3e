//! Relocations: how a distance is written into an instruction or into data.

use crate::fault::generator;
use lostwax_device_cpu::format::Arch;
use lostwax_target_api::EmitError;
use object::elf;

/// One relocation with both ends known, counted from the start of the image.
pub(super) struct Relocation {
    /// The ELF type.
    pub(super) kind: elf::RelocationType,
    /// Where it is applied.
    pub(super) place: i64,
    /// What it refers to, addend included.
    pub(super) target: i64,
}

/// Whether the symbol of such a relocation is the instruction that holds the high half.
pub(super) fn refers_to_high_half(kind: elf::RelocationType) -> bool {
    matches!(kind, elf::R_RISCV_PCREL_LO12_I | elf::R_RISCV_PCREL_LO12_S)
}

/// Whether a relocation writes the high half of a distance.
pub(super) fn is_high_half(kind: elf::RelocationType) -> bool {
    kind == elf::R_RISCV_PCREL_HI20
}

impl Relocation {
    /// Writes the distance at `at` of the segment.
    pub(super) fn apply(&self, arch: Arch, segment: &mut [u8], at: u64) -> Result<(), EmitError> {
        match arch {
            Arch::X86_64 => self.apply_x86_64(segment, at),
            Arch::Aarch64 => self.apply_aarch64(segment, at),
            Arch::Riscv64 => self.apply_riscv64(segment, at),
        }
    }

    fn distance(&self) -> i64 {
        self.target.wrapping_sub(self.place)
    }

    fn apply_x86_64(&self, segment: &mut [u8], at: u64) -> Result<(), EmitError> {
        match self.kind {
            elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 => write(segment, at, self.fits(32)?.to_le_bytes().first_chunk::<4>()),
            elf::R_X86_64_PC64 => write(segment, at, Some(&self.distance().to_le_bytes())),
            _ => Err(self.unknown("x86-64")),
        }
    }

    fn apply_aarch64(&self, segment: &mut [u8], at: u64) -> Result<(), EmitError> {
        let low = self.target & 0xfff;
        match self.kind {
            elf::R_AARCH64_PREL32 => write(segment, at, self.fits(32)?.to_le_bytes().first_chunk::<4>()),
            elf::R_AARCH64_PREL64 => write(segment, at, Some(&self.distance().to_le_bytes())),
            elf::R_AARCH64_CALL26 | elf::R_AARCH64_JUMP26 => insert(segment, at, 0x03ff_ffff, self.fits(28)? >> 2),
            elf::R_AARCH64_CONDBR19 => insert(segment, at, 0x00ff_ffe0, (self.fits(21)? >> 2) << 5),
            elf::R_AARCH64_TSTBR14 => insert(segment, at, 0x0007_ffe0, (self.fits(16)? >> 2) << 5),
            elf::R_AARCH64_ADR_PREL_PG_HI21 => {
                let pages = (self.target >> 12) - (self.place >> 12);
                insert(segment, at, 0x60ff_ffe0, (pages & 3) << 29 | (pages >> 2 & 0x7_ffff) << 5)
            }
            elf::R_AARCH64_ADD_ABS_LO12_NC | elf::R_AARCH64_LDST8_ABS_LO12_NC => insert(segment, at, 0x003f_fc00, low << 10),
            elf::R_AARCH64_LDST16_ABS_LO12_NC => insert(segment, at, 0x003f_fc00, (low >> 1) << 10),
            elf::R_AARCH64_LDST32_ABS_LO12_NC => insert(segment, at, 0x003f_fc00, (low >> 2) << 10),
            elf::R_AARCH64_LDST64_ABS_LO12_NC => insert(segment, at, 0x003f_fc00, (low >> 3) << 10),
            elf::R_AARCH64_LDST128_ABS_LO12_NC => insert(segment, at, 0x003f_fc00, (low >> 4) << 10),
            _ => Err(self.unknown("aarch64")),
        }
    }

    fn apply_riscv64(&self, segment: &mut [u8], at: u64) -> Result<(), EmitError> {
        match self.kind {
            elf::R_RISCV_RELAX => Ok(()),
            elf::R_RISCV_PCREL_HI20 => insert(segment, at, 0xffff_f000, self.fits(32)?.wrapping_add(0x800)),
            elf::R_RISCV_PCREL_LO12_I => insert(segment, at, 0xfff0_0000, self.target << 20),
            elf::R_RISCV_PCREL_LO12_S => {
                insert(segment, at, 0xfe00_0f80, (self.target >> 5 & 0x7f) << 25 | (self.target & 0x1f) << 7)
            }
            elf::R_RISCV_CALL | elf::R_RISCV_CALL_PLT => {
                let distance = self.fits(32)?;
                insert(segment, at, 0xffff_f000, distance.wrapping_add(0x800))?;
                insert(segment, at + 4, 0xfff0_0000, distance << 20)
            }
            elf::R_RISCV_BRANCH => insert(segment, at, 0xfe00_0f80, branch_bits(self.fits(13)?)),
            elf::R_RISCV_JAL => insert(segment, at, 0xffff_f000, jump_bits(self.fits(21)?)),
            elf::R_RISCV_32_PCREL => write(segment, at, self.fits(32)?.to_le_bytes().first_chunk::<4>()),
            elf::R_RISCV_ADD32 => self.accumulate(segment, at, self.target),
            elf::R_RISCV_SUB32 => self.accumulate(segment, at, self.target.wrapping_neg()),
            _ => Err(self.unknown("riscv64")),
        }
    }

    fn accumulate(&self, segment: &mut [u8], at: u64, value: i64) -> Result<(), EmitError> {
        let sum = read(segment, at)?.wrapping_add(value as u32);
        write(segment, at, Some(&sum.to_le_bytes()))
    }

    /// The distance, if it fits that many bits.
    fn fits(&self, bits: u32) -> Result<i64, EmitError> {
        let distance = self.distance();
        let limit = 1i64 << (bits - 1);
        if (-limit..limit).contains(&distance) {
            Ok(distance)
        } else {
            Err(generator(format!("a distance of {distance} bytes does not fit {bits} bits")))
        }
    }

    fn unknown(&self, arch: &str) -> EmitError {
        generator(format!("{arch} relocation {} cannot be resolved before loading", self.kind))
    }
}

fn branch_bits(distance: i64) -> i64 {
    (distance >> 12 & 1) << 31 | (distance >> 5 & 0x3f) << 25 | (distance >> 1 & 0xf) << 8 | (distance >> 11 & 1) << 7
}

fn jump_bits(distance: i64) -> i64 {
    (distance >> 20 & 1) << 31 | (distance >> 1 & 0x3ff) << 21 | (distance >> 11 & 1) << 20 | (distance >> 12 & 0xff) << 12
}

fn read(segment: &[u8], at: u64) -> Result<u32, EmitError> {
    let bytes = segment.get(at as usize..).and_then(|rest| rest.first_chunk::<4>());
    bytes.map(|bytes| u32::from_le_bytes(*bytes)).ok_or_else(outside)
}

fn write<const N: usize>(segment: &mut [u8], at: u64, bytes: Option<&[u8; N]>) -> Result<(), EmitError> {
    let place = segment.get_mut(at as usize..).and_then(|rest| rest.first_chunk_mut::<N>());
    match (place, bytes) {
        (Some(place), Some(bytes)) => {
            *place = *bytes;
            Ok(())
        }
        _ => Err(outside()),
    }
}

/// Replaces the bits of `mask` in an instruction by those of `value`.
fn insert(segment: &mut [u8], at: u64, mask: u32, value: i64) -> Result<(), EmitError> {
    let instruction = read(segment, at)? & !mask | value as u32 & mask;
    write(segment, at, Some(&instruction.to_le_bytes()))
}

fn outside() -> EmitError {
    generator("a relocation lies outside of its section")
}
