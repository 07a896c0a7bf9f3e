//! How a contraction is cut into tiles and blocks.

use super::block_scaled::BlockScaled;
use super::roles::{Loops, Right, Roles};
use crate::size_hint::size_hint;
use lostwax_ir::panels::PANEL_ROWS;
use lostwax_target_api::{Caps, MemoryKind};

/// The sizes of tiles and blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    /// Lanes of one vector statement.
    pub(super) lanes: i64,
    /// Columns of one panel of the second factor.
    pub(super) panel: i64,
    /// Rows of one tile.
    pub(super) rows: i64,
    /// Panels of one tile.
    pub(super) panels: i64,
    /// Rows of one block, a multiple of the tile's; one block's part of the first factor stays in cache.
    pub(super) block_rows: i64,
    /// Panels of one block, a multiple of the tile's.
    pub(super) block_panels: i64,
}

/// Panel widths with the relative time that a column of them takes.
const PANELS: [(i64, f64); 3] = [(16, 1.0), (24, 1.03), (8, 1.15)];

fn choose_panel(columns: i64) -> i64 {
    let time = |(width, weight): &(i64, f64)| ((columns + width - 1) / width * width) as f64 * weight;
    let best = PANELS.iter().min_by(|a, b| time(a).total_cmp(&time(b)));
    best.map_or(16, |(width, _)| *width)
}

/// Panels of one tile whose elements are decoded: each is a stream of memory of its own.
const DECODED_PANELS: i64 = 3;

/// The width of the panels of the second factor.
pub(super) fn panel(roles: &Roles) -> i64 {
    match roles.right {
        Right::Plain(..) => choose_panel(size_hint(&roles.loops.column.extent)),
        Right::Decoded { .. } => PANEL_ROWS as i64,
    }
}

fn most_panels(roles: &Roles) -> i64 {
    match roles.right {
        Right::Plain(..) => i64::MAX,
        Right::Decoded { .. } => DECODED_PANELS,
    }
}

/// The tile height that covers `rows` with the least time, at most `limit`: short tiles load more per product.
fn choose_rows(rows: i64, limit: i64) -> i64 {
    const TILE_OVERHEAD: i64 = 1;
    let time = |height: i64| (rows + height - 1) / height * (height + TILE_OVERHEAD);
    (1..=limit).rev().min_by_key(|height| time(*height)).unwrap_or(1)
}

/// Rows of one tile whose addresses stay in scalar registers.
const ADDRESSED_ROWS: i64 = 6;

pub(super) fn choose_tile(roles: &Roles, caps: &Caps) -> Tile {
    let panel = panel(roles);
    let lanes = if panel % 16 == 0 { 16 } else { 8 };
    let registers_per_panel = (panel * 4 / i64::from(caps.vector_bytes)).max(1);
    let budget = i64::from(caps.vector_registers) * 3 / 4;
    let count = size_hint(&roles.loops.row_count()).max(1);
    let limit = (budget / registers_per_panel).max(1);
    let panel_count = ((size_hint(&roles.loops.column.extent) + panel - 1) / panel).max(1);
    let rows = choose_rows(count, limit.min(ADDRESSED_ROWS));
    let panels = (budget / (rows * registers_per_panel)).clamp(1, panel_count.min(most_panels(roles)));
    let (block_rows, block_panels) = choose_blocks(&roles.loops, caps, count, panel_count, (rows, panels));
    Tile { lanes, panel, rows, panels, block_rows, block_panels }
}

/// Rows of one tile whose terms are computed jointly with columns, at most.
const JOINT_ROWS: i64 = 6;

/// The tile of a sum of values that are computed from rows and columns together.
pub(super) fn choose_block_scaled_tile(block_scaled: &BlockScaled, caps: &Caps) -> Tile {
    let panel = PANEL_ROWS as i64;
    let count = size_hint(&block_scaled.loops.row_count()).max(1);
    let panel_count = ((size_hint(&block_scaled.loops.column.extent) + panel - 1) / panel).max(1);
    let rows = choose_rows(count, JOINT_ROWS);
    let panels = if rows == 1 { DECODED_PANELS.min(panel_count) } else { 1 };
    let (block_rows, block_panels) = choose_blocks(&block_scaled.loops, caps, count, panel_count, (rows, panels));
    Tile { lanes: panel, panel, rows, panels, block_rows, block_panels }
}

/// Tiles of rows that a block has at least, unless work items are small.
const MOST_TILES: i64 = 8;

/// Blocks small enough for the second-level cache, and enough of them for all cores.
fn choose_blocks(loops: &Loops, caps: &Caps, rows: i64, panels: i64, tile: (i64, i64)) -> (i64, i64) {
    let depth = size_hint(&loops.depth.extent).max(1);
    let cache = i64::try_from(caps.memory_bytes(MemoryKind::Core)).unwrap_or(i64::MAX);
    let cached = (cache / 2 / (depth * 4)).max(tile.0);
    let batch: i64 = loops.batch.iter().map(|axis| size_hint(&axis.extent)).product();
    let wanted = (i64::from(caps.parallelism) * 4 / batch.max(1)).max(1);
    let round = |value: i64, step: i64| ((value + step - 1) / step * step).max(step);
    let shared = (rows + wanted - 1) / wanted;
    let tiles = (i64::from(caps.item_elements) / tile.0.max(1)).clamp(1, MOST_TILES);
    let block_rows = round(cached.min(shared.max(tile.0 * tiles)).min(rows), tile.0);
    let row_blocks = (rows + block_rows - 1) / block_rows;
    let column_blocks = ((wanted + row_blocks - 1) / row_blocks).clamp(1, panels);
    (block_rows, round((panels + column_blocks - 1) / column_blocks, tile.1))
}
