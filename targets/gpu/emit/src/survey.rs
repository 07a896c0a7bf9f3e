//! How a kernel accesses memory, found before it is written.

use lostwax_ir::dim::{Dim, Symbol};
use lostwax_ir::kernel::{BufferDecl, BufferId, Cond, Kernel, LocalDecl, LoopKind, Place, Scalar, Stmt, Storage};
use lostwax_ir::types::DType;

/// The elements of a vector.
pub(crate) const QUAD: i64 = 4;

/// The element of the first lane, if neighbouring lanes have neighbouring elements and the first begins a vector.
pub(crate) fn first_of_quads(index: &Dim, lane: &Symbol) -> Option<Dim> {
    let (stride, first) = index.affine_in(lane)?;
    (stride.is(1) && first.is_multiple_of(QUAD)).then_some(first)
}

/// Whether the lanes of a loop may access four elements at once: their number is a multiple of four, all of them run, and no symbol
/// differs between them.
pub(crate) fn takes_quads(extent: &Dim, kind: &LoopKind, body: &[Stmt]) -> bool {
    *kind == LoopKind::Vector { active: None }
        && extent.as_constant().is_some_and(|lanes| lanes % QUAD == 0)
        && !body.iter().any(defines_index)
}

fn defines_index(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::LetIndex { .. } => true,
        Stmt::If { then, otherwise, .. } => then.iter().chain(otherwise).any(defines_index),
        _ => false,
    }
}

/// How a kernel accesses a buffer or local.
#[derive(Clone, Copy, Default)]
struct Uses {
    is_loaded: bool,
    has_quads: bool,
    has_single_stores: bool,
}

/// What is known of a kernel's accesses.
pub(crate) struct Accesses {
    /// The buffers that are best declared as vectors of four.
    pub(crate) quad_buffers: Vec<bool>,
    /// The locals that are.
    pub(crate) quad_locals: Vec<bool>,
    /// Whether it may read what it has written to a buffer.
    pub(crate) rereads: bool,
}

impl Accesses {
    pub(crate) fn of(kernel: &Kernel) -> Self {
        let mut survey = Survey {
            buffers: vec![Uses::default(); kernel.buffers.len()],
            locals: vec![Uses::default(); kernel.locals.len()],
            rows: kernel.rows.iter().map(|row| row.buffer).collect(),
            lane: None,
        };
        survey.block(&kernel.body);
        let is_wide = |uses: &Uses, dtype: DType| has_words(dtype) && uses.has_quads && !uses.has_single_stores;
        let buffer = |(decl, uses): (&BufferDecl, &Uses)| is_wide(uses, decl.dtype) && decl.pieces == 1;
        let local = |(decl, uses): (&LocalDecl, &Uses)| {
            is_wide(uses, decl.dtype) && decl.storage == Storage::Shared && i64::from(decl.len) % QUAD == 0
        };
        Self {
            quad_buffers: kernel.buffers.iter().zip(&survey.buffers).map(buffer).collect(),
            quad_locals: kernel.locals.iter().zip(&survey.locals).map(local).collect(),
            rereads: kernel.buffers.iter().zip(&survey.buffers).any(|(decl, uses)| decl.writable && uses.is_loaded),
        }
    }
}

fn has_words(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::I32 | DType::U32)
}

struct Survey<'k> {
    buffers: Vec<Uses>,
    locals: Vec<Uses>,
    /// The buffers that rows lie in.
    rows: Vec<BufferId>,
    /// The variable of the enclosing vector loop, if its lanes may access four elements at once.
    lane: Option<&'k Symbol>,
}

impl<'k> Survey<'k> {
    fn block(&mut self, body: &'k [Stmt]) {
        body.iter().for_each(|stmt| self.stmt(stmt));
    }

    fn stmt(&mut self, stmt: &'k Stmt) {
        match stmt {
            Stmt::For { var, extent, kind, body } => {
                self.within(takes_quads(extent, kind, body).then_some(var), |this| this.block(body));
            }
            Stmt::If { cond, then, otherwise } => {
                let lane = self.lane.filter(|lane| !mentions(cond, lane));
                self.within(lane, |this| [then, otherwise].into_iter().for_each(|body| this.block(body)));
            }
            Stmt::Let { value: Scalar::Load(place), .. } => self.access(place, self.lane, false),
            Stmt::Let { value: Scalar::LoadIf { place, valid, .. }, .. } => {
                self.access(place, self.lane.filter(|lane| !mentions(valid, lane)), false);
            }
            Stmt::Store { place, .. } => self.access(place, self.lane, true),
            Stmt::Reduce { local, .. } => {
                self.locals.get_mut(local.0 as usize).into_iter().for_each(|uses| uses.has_single_stores = true);
            }
            Stmt::Let { .. } | Stmt::LetIndex { .. } | Stmt::SetRow { .. } | Stmt::Prefetch(..) => {}
        }
    }

    fn within(&mut self, lane: Option<&'k Symbol>, body: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.lane, lane);
        body(self);
        self.lane = outer;
    }

    fn access(&mut self, place: &Place, lane: Option<&Symbol>, stores: bool) {
        let (uses, index) = match place {
            Place::Buffer(buffer, index) => (self.buffers.get_mut(buffer.0 as usize), index),
            Place::Local(local, index) => (self.locals.get_mut(local.0 as usize), index),
            Place::Row(row, ..) => {
                let buffer = self.rows.get(row.0 as usize).and_then(|buffer| self.buffers.get_mut(buffer.0 as usize));
                return buffer.into_iter().for_each(|uses| uses.is_loaded = true);
            }
        };
        let is_quad = lane.is_some_and(|lane| first_of_quads(index, lane).is_some());
        uses.into_iter().for_each(|uses| {
            uses.is_loaded |= !stores;
            uses.has_quads |= is_quad;
            uses.has_single_stores |= stores && !is_quad;
        });
    }
}

/// Whether a condition depends on a symbol.
fn mentions(cond: &Cond, symbol: &Symbol) -> bool {
    cond.0.iter().any(|part| part.mentions(symbol))
}
