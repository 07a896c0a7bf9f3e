//! Memory that is accessed four elements at a time.
//!
//! Where the lanes of a vector loop access neighbours from a multiple of four on, four of them take one access to a vector of four,
//! if the memory is declared as such vectors. Single elements of it can still be read, but not written, since others may write to
//! the same vector meanwhile.

use crate::builder::Value;
use crate::fault::Emit;
use crate::kernel::{Element, Emitter, Typed, Variables, register_type};
use crate::place::lane_of;
use crate::survey::{QUAD, first_of_quads};
use lostwax_ir::dim::Dim;
use lostwax_ir::kernel::{Place, Scalar};
use lostwax_ir::types::DType;
use naga::{Expression, TypeInner, VectorSize};

/// Vectors that the lanes of a loop access.
struct Access {
    /// The array of vectors.
    base: Value,
    dtype: DType,
    /// The position of the first lanes' vector.
    first: Dim,
}

impl Emitter<'_> {
    fn access(&self, place: &Place) -> Option<Access> {
        let lane = self.lanes.as_ref()?.quads.as_ref()?;
        let (base, dtype, start, index) = match place {
            Place::Buffer(buffer, index) => {
                let buffer = self.buffers.get(buffer.0 as usize).filter(|buffer| buffer.element == Element::Quads)?;
                (*buffer.pointers.first()?, buffer.dtype, buffer.base.clone(), index)
            }
            Place::Local(local, index) => {
                let local = self.locals.get(local.0 as usize)?;
                let Variables::Quads(base) = local.variables else { return None };
                (base, local.dtype, Dim::default(), index)
            }
            Place::Row(..) => return None,
        };
        Some(Access { base, dtype, first: (start + first_of_quads(index, lane)?).floor_div(QUAD) })
    }

    fn quad_pointer(&mut self, access: &Access, number: usize, guard: Option<Value>) -> Emit<Value> {
        let index = self.integer(&(access.first.clone() + Dim::constant(number as i64)), 0)?;
        let zero = self.builder.int(0);
        let index = guard.map_or(index, |guard| self.builder.select(guard, index, zero));
        Ok(self.builder.value(Expression::Access { base: access.base, index }))
    }

    /// What the lanes load, if they can load it four at a time.
    pub(crate) fn load_quads(&mut self, scalar: &Scalar) -> Emit<Option<Typed>> {
        let (place, condition) = match scalar {
            Scalar::Load(place) => (place, None),
            Scalar::LoadIf { place, valid, otherwise } if !valid.0.iter().any(|part| self.varies(part)) => {
                (place, Some((valid, otherwise)))
            }
            _ => return Ok(None),
        };
        let Some(access) = self.access(place) else { return Ok(None) };
        let mut guard = None;
        if let Some((valid, otherwise)) = condition {
            let otherwise = self.operand(otherwise)?;
            guard = self.condition(valid, 0)?.map(|valid| (valid, otherwise));
        }
        let mut lanes = Vec::new();
        for number in 0..self.lane_count() / QUAD as usize {
            let pointer = self.quad_pointer(&access, number, guard.as_ref().map(|(valid, _)| *valid))?;
            let base = self.builder.load(pointer);
            lanes.extend((0..QUAD as u32).map(|index| self.builder.value(Expression::AccessIndex { base, index })));
        }
        if let Some((valid, otherwise)) = guard {
            for (lane, value) in lanes.iter_mut().enumerate() {
                let otherwise = lane_of(&otherwise, lane)?;
                *value = self.builder.select(valid, *value, otherwise);
            }
        }
        Ok(Some(Typed { dtype: access.dtype, lanes }))
    }

    /// Stores what the lanes have, if they can store it four at a time.
    pub(crate) fn store_quads(&mut self, place: &Place, value: &Typed) -> Emit<bool> {
        let Some(access) = self.access(place).filter(|access| access.dtype == value.dtype) else { return Ok(false) };
        let ty = self.builder.add_type(TypeInner::Vector { size: VectorSize::Quad, scalar: register_type(access.dtype)? });
        for number in 0..self.lane_count() / QUAD as usize {
            let first = number * QUAD as usize;
            let components = (first..first + QUAD as usize).map(|lane| lane_of(value, lane)).collect::<Emit<_>>()?;
            let vector = self.builder.value(Expression::Compose { ty, components });
            let pointer = self.quad_pointer(&access, number, None)?;
            self.builder.store(pointer, vector);
        }
        Ok(true)
    }
}
