//! The linker: ELF objects in, one position-independent image out.
//!
//! Sections are laid out by kind, one after another; every relocation must be a distance within the image, so
//! that nothing is left to do when the image is loaded. Anything else in an object is an error.

mod relocate;

use crate::fault::generator;
use crate::module::{ZEROS, kernel_symbol};
use lostwax_device_cpu::format::{Arch, Entry, Image, MemoryMap};
use lostwax_target_api::EmitError;
use object::read::elf::ElfFile64;
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex, SectionKind, SymbolIndex, SymbolSection,
};
use relocate::Relocation;
use std::collections::BTreeMap;

type Elf<'a> = ElfFile64<'a, Endianness>;

/// One object and what it defines.
pub(crate) struct Unit {
    /// The ELF bytes.
    pub(crate) object: Vec<u8>,
    /// The number of buffers and symbols of each kernel.
    pub(crate) kernels: Vec<(u32, u32)>,
    /// Bytes of zeros that its kernels read.
    pub(crate) zero_bytes: u64,
}

/// A section that became part of a segment.
#[derive(Clone, Copy)]
struct PlacedObject {
    executable: bool,
    offset: u64,
}

/// One object with the positions of its sections.
struct Linked<'a> {
    elf: Elf<'a>,
    placed: BTreeMap<usize, PlacedObject>,
}

/// The segments while they grow.
#[derive(Default)]
struct Segments {
    text: Vec<u8>,
    constants: Vec<u8>,
}

/// Links the objects; kernels are numbered in their order.
pub(crate) fn link(arch: Arch, units: &[Unit]) -> Result<Vec<u8>, EmitError> {
    let mut segments = Segments::default();
    let objects: Vec<Linked> = units.iter().map(|unit| place(unit, &mut segments)).collect::<Result<_, _>>()?;
    let zero_bytes = units.iter().map(|unit| unit.zero_bytes).max().unwrap_or(0);
    let (text_bytes, constant_bytes) = (segments.text.len() as u64, segments.constants.len() as u64);
    let map = MemoryMap::new(arch, text_bytes, constant_bytes, zero_bytes);
    let map =
        map.ok_or_else(|| generator(format!("{text_bytes} bytes of code and {constant_bytes} of constants are too many")))?;
    let mut entries = Vec::new();
    for (linked, unit) in objects.iter().zip(units) {
        linked.relocate(arch, &map, &mut segments)?;
        entries.extend(linked.entries(&unit.kernels)?);
    }
    Ok(Image { arch, entries, text: &segments.text, constants: &segments.constants, zero_bytes }.write())
}

/// Appends the sections of one object to the segments.
fn place<'a>(unit: &'a Unit, segments: &mut Segments) -> Result<Linked<'a>, EmitError> {
    let elf = Elf::parse(unit.object.as_slice()).map_err(broken)?;
    let mut placed = BTreeMap::new();
    for section in elf.sections() {
        let executable = match section.kind() {
            SectionKind::Text => true,
            SectionKind::ReadOnlyData | SectionKind::ReadOnlyString | SectionKind::ReadOnlyDataWithRel => false,
            SectionKind::Data | SectionKind::UninitializedData | SectionKind::Tls if section.size() > 0 => {
                return Err(generator(format!("the object has writable data in {}", section.name().unwrap_or("?"))));
            }
            _ => continue,
        };
        if section.name().is_ok_and(|name| name.starts_with(".eh_frame")) {
            continue;
        }
        let segment = if executable { &mut segments.text } else { &mut segments.constants };
        let alignment = section.align().max(1) as usize;
        segment.resize(segment.len().next_multiple_of(alignment), 0);
        placed.insert(section.index().0, PlacedObject { executable, offset: segment.len() as u64 });
        segment.extend(section.data().map_err(broken)?);
    }
    Ok(Linked { elf, placed })
}

impl Linked<'_> {
    fn entries(&self, kernels: &[(u32, u32)]) -> Result<Vec<Entry>, EmitError> {
        let entry = |(position, (buffers, symbols)): (usize, &(u32, u32))| {
            let name = kernel_symbol(position);
            let symbol = self.elf.symbol_by_name(&name).ok_or_else(|| generator(format!("{name} is not defined")))?;
            let section = symbol.section_index().and_then(|index| self.placed.get(&index.0));
            let section = section.ok_or_else(|| generator(format!("{name} is not defined")))?;
            Ok(Entry { offset: section.offset + symbol.address(), buffers: *buffers, symbols: *symbols })
        };
        kernels.iter().enumerate().map(entry).collect()
    }

    /// Applies all relocations of the object.
    fn relocate(&self, arch: Arch, map: &MemoryMap, segments: &mut Segments) -> Result<(), EmitError> {
        for (index, placed) in &self.placed {
            let section = self.elf.section_by_index(SectionIndex(*index)).map_err(broken)?;
            let segment = if placed.executable { &mut segments.text } else { &mut segments.constants };
            for (offset, relocation) in section.relocations() {
                let object::RelocationFlags::Elf { r_type } = relocation.flags() else { continue };
                let at = placed.offset + offset;
                let RelocationTarget::Symbol(symbol) = relocation.target() else {
                    return Err(generator("a relocation has no symbol"));
                };
                let target = self.target(arch, map, symbol, r_type)?;
                let place = address(map, *placed, offset);
                let relocation = Relocation { kind: r_type, place, target: target.wrapping_add(relocation.addend()) };
                relocation.apply(arch, segment, at)?;
            }
        }
        Ok(())
    }

    /// What a relocation refers to: an address in the image, or for the low half of a pair the distance that its high half encodes.
    fn target(
        &self,
        arch: Arch,
        map: &MemoryMap,
        symbol: SymbolIndex,
        kind: object::elf::RelocationType,
    ) -> Result<i64, EmitError> {
        let address = self.symbol_address(map, symbol)?;
        if arch == Arch::Riscv64 && relocate::refers_to_high_half(kind) {
            return self.distance_of_high_half(map, symbol);
        }
        Ok(address)
    }

    fn symbol_address(&self, map: &MemoryMap, index: SymbolIndex) -> Result<i64, EmitError> {
        let symbol = self.elf.symbol_by_index(index).map_err(broken)?;
        let name = symbol.name().unwrap_or("?");
        match symbol.section() {
            SymbolSection::Section(section) => match self.placed.get(&section.0) {
                Some(placed) => Ok(address(map, *placed, symbol.address())),
                None => Err(generator(format!("`{name}` lies in a section that is not part of the code"))),
            },
            SymbolSection::Undefined if name == ZEROS => Ok(map.zeros as i64),
            _ => Err(generator(format!("`{name}` is not defined"))),
        }
    }

    /// RISC-V refers to the instruction with the high half, whose own relocation gives the distance.
    fn distance_of_high_half(&self, map: &MemoryMap, label: SymbolIndex) -> Result<i64, EmitError> {
        let missing = || generator("the high half of a relocation is missing");
        let label = self.elf.symbol_by_index(label).map_err(broken)?;
        let index = label.section_index().ok_or_else(missing)?;
        let placed = self.placed.get(&index.0).ok_or_else(missing)?;
        let section = self.elf.section_by_index(index).map_err(broken)?;
        let high = section.relocations().find(|(offset, relocation)| {
            *offset == label.address()
                && matches!(relocation.flags(), object::RelocationFlags::Elf { r_type } if relocate::is_high_half(r_type))
        });
        let (offset, relocation) = high.ok_or_else(missing)?;
        let RelocationTarget::Symbol(symbol) = relocation.target() else { return Err(missing()) };
        let target = self.symbol_address(map, symbol)?.wrapping_add(relocation.addend());
        Ok(target - address(map, *placed, offset))
    }
}

fn address(map: &MemoryMap, placed: PlacedObject, offset: u64) -> i64 {
    let start = if placed.executable { 0 } else { map.constants };
    (start + placed.offset + offset) as i64
}

fn broken(error: object::Error) -> EmitError {
    generator(format!("the object cannot be read: {error}"))
}
