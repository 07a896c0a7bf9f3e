//! How a weighted sum is cut into tiles and blocks.

use super::roles::Roles;
use crate::size_hint::size_hint;
use lostwax_target_api::Caps;

/// Rows of one tile, at most: each has a broadcast of its own for each vector of keys.
const MOST_ROWS: i64 = 6;

/// Vectors of keys in one block, at most: what rows do not attend to in a block is computed in vain.
const MOST_KEY_VECTORS: i64 = 2;

/// Columns that one work item computes, at most.
const MOST_COLUMNS: i64 = 256;

/// Elements of the first factor that are kept close, at most.
const MOST_QUERIES: i64 = 4096;

/// The sizes of tiles and blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    /// Lanes of one vector.
    pub(super) lanes: i64,
    /// Rows of one tile.
    pub(super) rows: i64,
    /// Vectors of keys of one block.
    pub(super) key_vectors: i64,
    /// Vectors of columns whose sums are in registers at once.
    pub(super) column_vectors: i64,
    /// Columns of one work item, a multiple of the lanes.
    pub(super) columns: i64,
    /// Steps of the products' sums, if the first factors of a tile are kept close.
    pub(super) depth: Option<i64>,
}

impl Tile {
    pub(super) fn new(roles: &Roles<'_>, caps: &Caps) -> Self {
        let lanes = (i64::from(caps.vector_bytes) / 4).clamp(4, 16);
        let registers = i64::from(caps.vector_registers) * 3 / 4;
        let rows = choose_rows(size_hint(&roles.row_count()).max(1), MOST_ROWS.min(registers).max(1));
        let columns = roles.column_count().as_constant().unwrap_or(MOST_COLUMNS).clamp(1, MOST_COLUMNS);
        let vectors = (columns + lanes - 1) / lanes;
        let depth = roles.depth().as_constant().filter(|depth| depth.saturating_mul(rows) <= MOST_QUERIES);
        Self {
            lanes,
            rows,
            key_vectors: (registers / rows).clamp(1, MOST_KEY_VECTORS),
            column_vectors: (registers / rows).clamp(1, vectors),
            columns: vectors * lanes,
            depth: depth.filter(|depth| *depth > 0),
        }
    }

    /// Keys of one block.
    pub(super) fn keys(&self) -> i64 {
        self.key_vectors * self.lanes
    }
}

/// The tile height that covers all rows with the least time: a tile reads all keys and values, whatever its height.
fn choose_rows(rows: i64, limit: i64) -> i64 {
    const TILE_OVERHEAD: i64 = 2;
    let time = |height: i64| (rows + height - 1) / height * (height + TILE_OVERHEAD);
    (1..=limit).rev().min_by_key(|height| time(*height)).unwrap_or(1)
}
