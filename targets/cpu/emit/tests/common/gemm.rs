//! A matrix product as the scheduler writes it: `C[M][N] = A[M][K] * B`, with B packed as `[N/16][K][16]`, tiles of 6 x 16.

use super::*;

pub const ROWS: i64 = 6;
pub const COLUMNS: i64 = 16;

/// The kernel; its work items are tiles, rows of tiles innermost.
pub fn gemm(m: i64, n: i64, k: i64) -> Kernel {
    let (row_tiles, column_tiles) = ((m + ROWS - 1) / ROWS, (n + COLUMNS - 1) / COLUMNS);
    let item = Symbol::index("item", &(row_tiles * column_tiles).into());
    let column = dim(&item).floor_div(row_tiles);
    let first_row = dim(&item).modulo(row_tiles) * ROWS.into();
    let first_column = column.clone() * COLUMNS.into();
    let (row, depth, lane) = (index("row", ROWS), index("depth", k), index("lane", COLUMNS));
    let local = |lane: &Symbol| Place::Local(LocalId(0), times(&row, COLUMNS) + dim(lane));
    let absolute = first_row + dim(&row);
    let set_rows = Stmt::SetRow {
        row: RowId(0),
        at: dim(&row),
        offset: absolute.clone() * k.into(),
        valid: Cond::within(&absolute, &0.into(), &m.into()),
    };
    let clear = vector(&lane, COLUMNS, vec![Stmt::Store { place: local(&lane), value: Operand::float(DType::F32, 0.0) }]);
    let weight = column * (k * COLUMNS).into() + times(&depth, COLUMNS) + dim(&lane);
    let step = vec![
        let_(0, Scalar::Load(Place::Row(RowId(0), dim(&row), dim(&depth)))),
        load(1, 1, weight),
        let_(2, Scalar::Load(local(&lane))),
        let_(3, Scalar::MulAdd(value(0), value(1), value(2))),
        Stmt::Store { place: local(&lane), value: value(3) },
    ];
    let finish =
        vec![let_(4, Scalar::Load(local(&lane))), store(2, absolute.clone() * n.into() + first_column.clone() + dim(&lane), 4)];
    let finish = masked(&lane, COLUMNS, Dim::constant(n) - first_column, finish);
    let finish =
        Stmt::If { cond: Cond::within(&absolute, &0.into(), &m.into()).simplify(), then: vec![finish], otherwise: vec![] };
    let rows = |body| for_(&row, ROWS, LoopKind::Unrolled, body);
    let body = vec![
        rows(vec![set_rows, clear]),
        for_(&depth, k, LoopKind::Serial, vec![rows(vec![vector(&lane, COLUMNS, step)])]),
        rows(vec![finish]),
    ];
    let buffers = vec![buffer("a", DType::F32, false), buffer("b", DType::F32, false), buffer("c", DType::F32, true)];
    let mut kernel = kernel(&item, &[], buffers, body);
    kernel.name = format!("gemm_{m}_{n}_{k}");
    kernel.grid = (row_tiles * column_tiles).into();
    kernel.locals =
        vec![LocalDecl { name: "acc".into(), dtype: DType::F32, len: (ROWS * COLUMNS) as u32, storage: Storage::Registers }];
    kernel.rows = vec![RowDecl { name: "a".into(), buffer: BufferId(0), len: ROWS as u32, extent: k as u32 }];
    kernel
}

/// `B[K][N]` as `[N/16][K][16]`, padded with zeros.
pub fn pack(b: &[f32], n: usize, k: usize) -> Vec<f32> {
    let lanes = COLUMNS as usize;
    let mut packed = vec![0.0; n.div_ceil(lanes) * k * lanes];
    for (row, values) in b.chunks_exact(n).enumerate().take(k) {
        for (column, value) in values.iter().enumerate() {
            packed[(column / lanes * k + row) * lanes + column % lanes] = *value;
        }
    }
    packed
}
