//! Weights of a model as constants of its graphs. Each is made once and shared.

use super::names::Names;
use super::quantize::convert;
use super::settings::Settings;
use crate::language::Conversion;
use crate::{ImportError, WeightView};
use lostwax_ir::blocks::BlockFormat;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// A matrix `[.., rows, depth]` as it is stored.
pub struct Matrix {
    /// The sizes.
    pub shape: Vec<usize>,
    /// The values.
    pub stored: Stored,
}

/// How values are stored.
pub enum Stored {
    /// A tensor of f32.
    Dense(Arc<Tensor>),
    /// The panels that [`Tensor::in_panels`] makes of floating-point numbers of 16 bits.
    Panels(Arc<Tensor>),
    /// The parts that [`BlockFormat::split`] makes.
    Blocks {
        /// The format.
        format: &'static BlockFormat,
        /// Its parts.
        parts: Vec<Arc<Tensor>>,
    },
}

impl Matrix {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.shape.iter().rev().nth(1).copied().unwrap_or(0)
    }
}

/// A projection.
pub struct Linear {
    /// Its matrix `[rows, depth]`.
    pub matrix: Matrix,
    /// f32 `[1, rows]`.
    pub bias: Option<Arc<Tensor>>,
}

/// The order in which rotary positions pair the rows of a projection: elements `2 * i` and `2 * i + 1` of a head are a pair. Rows
/// are brought to the order of halves, where `i` and `i + rotary / 2` are one.
#[derive(Clone, Copy, Debug)]
pub struct Neighbours {
    /// The rows of a head.
    pub head: usize,
    /// Those that are rotated, at its start.
    pub rotary: usize,
}

impl Neighbours {
    /// The row of the source that becomes `row`.
    fn source(self, row: usize) -> usize {
        let (head, at) = (row / self.head * self.head, row % self.head);
        let half = (self.rotary / 2).max(1);
        if at < self.rotary { head + at % half * 2 + at / half } else { row }
    }
}

/// Some rows of a matrix, and their number as a whole.
pub struct Rows {
    /// The rows that are taken.
    pub range: Range<usize>,
    /// The rows that the matrix has.
    pub of: usize,
    /// How rows are ordered, if not as they are.
    pub order: Option<Neighbours>,
}

impl Rows {
    /// All rows as they are.
    pub fn all(count: usize) -> Self {
        Self { range: 0..count, of: count, order: None }
    }

    /// The items of these rows, `size` bytes each.
    fn pick<'a>(&self, bytes: &'a [u8], size: usize) -> Option<Cow<'a, [u8]>> {
        let taken = bytes.get(self.range.start.checked_mul(size)?..self.range.end.checked_mul(size)?)?;
        let Some(order) = self.order else { return Some(Cow::Borrowed(taken)) };
        let row = |row: usize| taken.get(order.source(row) * size..(order.source(row) + 1) * size);
        Some(Cow::Owned((0..self.range.len()).map(row).collect::<Option<Vec<_>>>()?.concat()))
    }
}

/// A place in the model: a layer, or none of them.
pub type Layer = Option<usize>;

/// Reads weights by the names of their parts.
pub struct Store<'a> {
    settings: &'a Settings,
    names: &'a Names,
    quant: Option<DType>,
    used: BTreeSet<String>,
    /// What was converted.
    pub conversions: Vec<Conversion>,
}

impl<'a> Store<'a> {
    /// Reads the weights of a model; matrices are converted to `quant`, if given.
    pub fn new(settings: &'a Settings, names: &'a Names, quant: Option<DType>) -> Self {
        Self { settings, names, quant, used: BTreeSet::new(), conversions: Vec::new() }
    }

    fn name(&self, layer: Layer, part: &str, kind: &str) -> String {
        let name = self.names.tensor(self.settings.is_gguf(), layer, part, kind);
        name.unwrap_or_else(|| format!("{part}.{kind}"))
    }

    /// Whether the model has that part.
    pub fn has(&self, layer: Layer, part: &str) -> bool {
        self.names.has(part) && self.settings.weights().get(&self.name(layer, part, "weight")).is_some()
    }

    /// A tensor of the model.
    fn view(&mut self, name: &str) -> Result<WeightView<'a>, ImportError> {
        let view = self.settings.weights().tensor(name)?;
        self.used.insert(name.to_string());
        Ok(view)
    }

    /// The sizes of a part.
    pub fn shape(&self, layer: Layer, part: &str) -> Result<&'a [usize], ImportError> {
        Ok(self.settings.weights().tensor(&self.name(layer, part, "weight"))?.shape)
    }

    /// The rows of a matrix outside of layers.
    pub fn rows(&self, part: &str) -> Result<usize, ImportError> {
        Ok(self.shape(None, part)?.first().copied().unwrap_or(0))
    }

    /// A matrix `[rows, depth]`.
    pub fn matrix(&mut self, layer: Layer, part: &str, rows: &Rows, depth: usize) -> Result<Matrix, ImportError> {
        let view = self.view(&self.name(layer, part, "weight"))?;
        expect_shape(&view, &[rows.of, depth])?;
        let picked = rows.pick(view.bytes, view.bytes.len() / rows.of.max(1));
        let bytes = picked.ok_or_else(|| invalid(view.name, "rows are missing"))?;
        self.store(view.name, view.dtype, &[rows.range.len(), depth], bytes)
    }

    /// Matrices `[count, rows, depth]`, one for each expert. Folders hold them one by one.
    pub fn experts(&mut self, layer: usize, part: &str, shape: [usize; 3]) -> Result<Matrix, ImportError> {
        let name = self.name(Some(layer), part, "weight");
        if !name.contains("{}") {
            let view = self.view(&name)?;
            expect_shape(&view, &shape)?;
            return self.store(view.name, view.dtype, &shape, Cow::Borrowed(view.bytes));
        }
        let views = (0..shape[0]).map(|expert| self.view(&name.replace("{}", &expert.to_string())));
        let views = views.collect::<Result<Vec<_>, _>>()?;
        let first = views.first().ok_or_else(|| invalid(&name, "there are no experts"))?;
        for view in &views {
            expect_shape(view, &shape[1..])?;
            expect_dtype(view, first.dtype)?;
        }
        let bytes: Vec<u8> = views.iter().flat_map(|view| view.bytes).copied().collect();
        self.store(&name, first.dtype, &shape, Cow::Owned(bytes))
    }

    /// A projection `[rows, depth]` with its bias, if there is one.
    pub fn linear(&mut self, layer: Layer, part: &str, rows: &Rows, depth: usize) -> Result<Linear, ImportError> {
        let bias = self.name(layer, part, "bias");
        let matrix = self.matrix(layer, part, rows, depth)?;
        let has_bias = self.settings.weights().get(&bias).is_some();
        let bias = has_bias.then(|| self.vector(&bias, rows)).transpose()?;
        Ok(Linear { matrix, bias })
    }

    /// The weight of a norm, f32 `[count, size]`, with `offset` added. Folders may hold the rows one by one.
    pub fn scale(
        &mut self,
        layer: Layer,
        part: &str,
        [count, size]: [usize; 2],
        offset: f64,
    ) -> Result<Arc<Tensor>, ImportError> {
        let name = self.name(layer, part, "weight");
        let values = if name.contains("{}") {
            let rows = (0..count).map(|row| self.values(&name.replace("{}", &row.to_string()), &Rows::all(size)));
            rows.collect::<Result<Vec<_>, _>>()?.concat()
        } else {
            self.values(&name, &Rows::all(count * size))?
        };
        let values: Vec<f32> = values.iter().map(|value| (f64::from(*value) + offset) as f32).collect();
        Tensor::f32(&[count, size], &values).map(Arc::new).ok_or_else(|| no_memory(&name))
    }

    /// The first row of a matrix with rows of `size` elements, f32 `[1, size]`.
    pub fn first_row(&mut self, layer: Layer, part: &str, size: usize) -> Result<Arc<Tensor>, ImportError> {
        let of = self.shape(layer, part)?.iter().product();
        self.vector(&self.name(layer, part, "weight"), &Rows { range: 0..size, of, order: None })
    }

    /// The bias of a norm, f32 `[1, size]`, if there is one.
    pub fn shift(&mut self, layer: Layer, part: &str, size: usize) -> Result<Option<Arc<Tensor>>, ImportError> {
        let name = self.name(layer, part, "bias");
        let exists = self.settings.weights().get(&name).is_some();
        exists.then(|| self.vector(&name, &Rows::all(size))).transpose()
    }

    /// Some elements of a vector, f32 `[1, n]`.
    fn vector(&mut self, name: &str, rows: &Rows) -> Result<Arc<Tensor>, ImportError> {
        let values = self.values(name, rows)?;
        Tensor::f32(&[1, values.len()], &values).map(Arc::new).ok_or_else(|| no_memory(name))
    }

    fn values(&mut self, name: &str, rows: &Rows) -> Result<Vec<f32>, ImportError> {
        let view = self.view(name)?;
        let fits = view.shape.iter().product::<usize>() == rows.of && matches!(view.dtype, DType::F32 | DType::F16 | DType::BF16);
        if !fits {
            let problem = format!("expected {} floating-point numbers, not {}{:?}", rows.of, view.dtype, view.shape);
            return Err(invalid(name, problem));
        }
        let bytes = rows.pick(view.bytes, view.dtype.size()).ok_or_else(|| invalid(name, "rows are missing"))?;
        let values = Tensor::from_bytes(view.dtype, &[rows.range.len()], &bytes).map(|tensor| tensor.to_f64());
        let values = values.ok_or_else(|| no_memory(name))?;
        Ok(values.into_iter().map(|value| value as f32).collect())
    }

    /// Makes constants of a matrix.
    fn store(&mut self, name: &str, dtype: DType, shape: &[usize], bytes: Cow<'_, [u8]>) -> Result<Matrix, ImportError> {
        let Some(quant) = self.quant.filter(|quant| *quant != dtype) else { return matrix(name, dtype, shape, &bytes) };
        let (conversion, converted) = convert(name, dtype, quant, shape, &bytes)?;
        self.conversions.push(conversion);
        converted.map_or_else(|| matrix(name, dtype, shape, &bytes), |bytes| matrix(name, quant, shape, &bytes))
    }

    /// Refuses a model of which something would be left out. `known` are parts of names that the family has no use for.
    pub fn check_all_used(&self, known: &[&str]) -> Result<(), ImportError> {
        let mut others = self.settings.weights().iter().map(|view| view.name);
        let is_left = |name: &&str| !self.used.contains(*name) && !known.iter().any(|part| name.contains(part));
        others.find(is_left).map_or(Ok(()), |name| {
            let what = format!("models of the architecture `{}` have no such part here", self.settings.architecture);
            Err(ImportError::unsupported("tensor", name, what))
        })
    }
}

fn matrix(name: &str, dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Matrix, ImportError> {
    let stored = match dtype {
        DType::Block(format) => {
            let parts = format.split(shape, bytes).ok_or_else(|| no_memory(name))?;
            Stored::Blocks { format, parts: parts.into_iter().map(Arc::new).collect() }
        }
        DType::F32 | DType::F16 | DType::BF16 => {
            let tensor = Tensor::from_bytes(dtype, shape, bytes).ok_or_else(|| no_memory(name))?;
            if dtype == DType::F32 {
                Stored::Dense(Arc::new(tensor))
            } else {
                Stored::Panels(Arc::new(tensor.in_panels().ok_or_else(|| no_memory(name))?))
            }
        }
        other => return Err(ImportError::unsupported("tensor", name, format!("weights of type {other}; convert them to f32"))),
    };
    Ok(Matrix { shape: shape.to_vec(), stored })
}

fn invalid(name: &str, problem: impl Into<String>) -> ImportError {
    ImportError::invalid("tensor", name, problem)
}

fn no_memory(name: &str) -> ImportError {
    ImportError::limit("tensor", name, "it does not fit memory")
}

/// Checks sizes; axes of size 1 in front may be missing.
fn expect_shape(view: &WeightView, shape: &[usize]) -> Result<(), ImportError> {
    let given = view.shape.len();
    if shape.ends_with(view.shape) && shape.iter().rev().skip(given).all(|size| *size == 1) {
        return Ok(());
    }
    Err(invalid(view.name, format!("it has the sizes {:?}; the settings of the model ask for {shape:?}", view.shape)))
}

fn expect_dtype(view: &WeightView, dtype: DType) -> Result<(), ImportError> {
    if view.dtype == dtype {
        return Ok(());
    }
    Err(invalid(view.name, format!("it is {}, while other experts are {dtype}", view.dtype)))
}
