//! The dims of inputs: names of the file and shapes given by the user become symbols.

use super::node_error::{NodeResult, invalid, limit};
use crate::shape_spec::{DimSpec, MAX_SIZE};
use lostwax_ir::dim::{Dim, Symbol, UNBOUNDED};
use onnx_protobuf::ValueInfoProto;
use onnx_protobuf::tensor_shape_proto::dimension;
use onnx_protobuf::type_proto;
use std::collections::{BTreeMap, BTreeSet};

/// Names that exporters give to any dimension they know nothing about.
const MEANINGLESS: &[&str] = &["none", "unk", "unknown", "dynamic", "dyn", "var", "null", "any", "-1"];
/// Names with a meaning in the text form of dims.
const RESERVED: &[&str] = &["floordiv", "min", "max"];

/// A dimension as the file gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FileDim {
    Fixed(i64),
    Named(String),
    Unknown,
}

/// The dims of an input as the file gives them; `None` for values that are not tensors or have no shape.
pub(super) fn file_dims(info: &ValueInfoProto) -> Option<(i64, Option<Vec<FileDim>>)> {
    let Some(type_proto::Value::TensorType(tensor)) = &info.type_.as_ref()?.value else { return None };
    let dims = tensor.shape.as_ref().map(|shape| {
        shape
            .dim
            .iter()
            .map(|dim| match &dim.value {
                Some(dimension::Value::DimValue(size)) if *size >= 0 => FileDim::Fixed(*size),
                Some(dimension::Value::DimParam(name)) if is_meaningful(name) => FileDim::Named(name.clone()),
                _ => FileDim::Unknown,
            })
            .collect()
    });
    Some((tensor.elem_type.into(), dims))
}

fn is_meaningful(name: &str) -> bool {
    name.chars().any(char::is_alphanumeric) && !MEANINGLESS.contains(&name.to_lowercase().as_str())
}

/// All symbols of a model.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    /// What the user wants instead of a name of the file.
    replaced: BTreeMap<String, DimSpec>,
    ranges: BTreeMap<String, (i64, i64)>,
    names: BTreeMap<String, String>,
    taken: BTreeSet<String>,
}

impl Symbols {
    /// Notes what the user gives for the input `name`, before any dims are made: a name of the file that is given a size
    /// at one input has that size at all inputs.
    pub(super) fn declare(&mut self, name: &str, dims: &[FileDim], given: &[DimSpec]) -> NodeResult<()> {
        if dims.len() != given.len() {
            return invalid(format!("the shape given for `{name}` has {} dims, the file's has {}", given.len(), dims.len()));
        }
        for (dim, spec) in dims.iter().zip(given) {
            if let DimSpec::Named { name, range: Some(range), .. } = spec {
                self.narrow(name, *range)?;
            }
            if let DimSpec::Named { name, .. } = spec {
                self.taken.insert(name.clone());
            }
            if let FileDim::Named(file_name) = dim
                && *spec != DimSpec::AsInFile
            {
                let known = self.replaced.entry(file_name.clone()).or_insert_with(|| spec.clone());
                if known != spec {
                    return invalid(format!("dimension `{file_name}` is given as both `{known}` and `{spec}`"));
                }
            }
        }
        Ok(())
    }

    fn narrow(&mut self, name: &str, (min, max): (i64, i64)) -> NodeResult<()> {
        let range = self.ranges.entry(name.to_string()).or_insert((1, UNBOUNDED));
        *range = (range.0.max(min), range.1.min(max));
        if range.0 > range.1 { invalid(format!("no size fits all ranges given for `{name}`")) } else { Ok(()) }
    }

    /// The dims of the input `name`.
    pub(super) fn dims(&mut self, name: &str, dims: &[FileDim], given: Option<&[DimSpec]>) -> NodeResult<Vec<Dim>> {
        let spec = |axis: usize| given.and_then(|given| given.get(axis)).cloned().unwrap_or(DimSpec::AsInFile);
        dims.iter().enumerate().map(|(axis, dim)| self.dim(name, axis, dim, &spec(axis))).collect()
    }

    fn dim(&mut self, input: &str, axis: usize, dim: &FileDim, spec: &DimSpec) -> NodeResult<Dim> {
        match (spec, dim) {
            (DimSpec::AsInFile, FileDim::Fixed(size)) if *size > MAX_SIZE => limit(format!("a dimension of size {size}")),
            (DimSpec::AsInFile, FileDim::Fixed(size)) => Ok((*size).into()),
            (DimSpec::AsInFile, FileDim::Named(name)) => match self.replaced.get(name).cloned() {
                Some(spec) => self.given(input, axis, Some(name), &spec),
                None => Ok(self.named(name)),
            },
            (DimSpec::AsInFile, FileDim::Unknown) => Ok(self.fresh(input, axis, (1, UNBOUNDED))),
            (spec, FileDim::Named(name)) => self.given(input, axis, Some(name), spec),
            (spec, _) => self.given(input, axis, None, spec),
        }
    }

    fn given(&mut self, input: &str, axis: usize, file_name: Option<&str>, spec: &DimSpec) -> NodeResult<Dim> {
        match (spec, file_name) {
            (DimSpec::Fixed(size), _) => Ok((*size).into()),
            (DimSpec::Range { min, max }, None) => Ok(self.fresh(input, axis, (*min, *max))),
            (DimSpec::Range { min, max }, Some(name)) => {
                let name = self.rename(name);
                self.ranges.insert(name.clone(), (*min, *max));
                Ok(self.symbol(&name))
            }
            (DimSpec::Named { factor, name, .. }, _) => Ok(self.symbol(name) * (*factor).into()),
            (DimSpec::AsInFile, Some(name)) => Ok(self.named(name)),
            (DimSpec::AsInFile, None) => Ok(self.fresh(input, axis, (1, UNBOUNDED))),
        }
    }

    fn symbol(&self, name: &str) -> Dim {
        let (min, max) = self.ranges.get(name).copied().unwrap_or((1, UNBOUNDED));
        Dim::symbol(&Symbol::new(name, min, max))
    }

    fn named(&mut self, file_name: &str) -> Dim {
        let name = self.rename(file_name);
        self.symbol(&name)
    }

    fn fresh(&mut self, input: &str, axis: usize, range: (i64, i64)) -> Dim {
        let name = self.unique(&sanitize(&format!("{input}_d{axis}")));
        self.ranges.insert(name.clone(), range);
        self.symbol(&name)
    }

    /// The name of the symbol that stands for a name of the file.
    fn rename(&mut self, file_name: &str) -> String {
        if let Some(name) = self.names.get(file_name) {
            return name.clone();
        }
        let name = self.unique(&sanitize(file_name));
        self.names.insert(file_name.to_string(), name.clone());
        name
    }

    fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_string();
        let mut number = 2;
        while !self.taken.insert(name.clone()) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        name
    }
}

/// A name that the text form of dims can hold.
fn sanitize(name: &str) -> String {
    let mut clean: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect();
    if !clean.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || RESERVED.contains(&clean.as_str()) {
        clean.insert(0, '_');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(dims: NodeResult<Vec<Dim>>) -> Vec<String> {
        dims.unwrap_or_default().iter().map(Dim::to_string).collect()
    }

    #[test]
    fn equal_names_are_equal_sizes() {
        let mut symbols = Symbols::default();
        let dims = [FileDim::Named("a b".into()), FileDim::Named("a-b".into()), FileDim::Named("a b".into()), FileDim::Unknown];
        assert_eq!(texts(symbols.dims("x", &dims, None)), ["a_b", "a_b_2", "a_b", "x_d3"]);
        assert_eq!(texts(symbols.dims("x:0", &[FileDim::Unknown, FileDim::Named("9".into())], None)), ["x_0_d0", "_9"]);
    }

    #[test]
    fn given_sizes_hold_for_all_inputs() {
        let mut symbols = Symbols::default();
        let dims = [FileDim::Named("batch".into()), FileDim::Unknown];
        let given = [DimSpec::Fixed(2), DimSpec::Range { min: 2, max: 4 }];
        assert_eq!(symbols.declare("x", &dims, &given), Ok(()));
        assert_eq!(texts(symbols.dims("x", &dims, Some(&given))), ["2", "x_d1"]);
        assert_eq!(texts(symbols.dims("y", &dims, None)), ["2", "y_d1"]);
        assert!(symbols.declare("y", &dims, &given[..1]).is_err());
        assert!(symbols.declare("y", &dims, &[DimSpec::Fixed(3), DimSpec::AsInFile]).is_err());
    }

    #[test]
    fn multiples_share_their_symbol() {
        let mut symbols = Symbols::default();
        let dims = [FileDim::Unknown, FileDim::Unknown];
        let h = |range| DimSpec::Named { factor: 32, name: "h".into(), range };
        let given = [h(None), h(Some((1, 8)))];
        assert_eq!(symbols.declare("x", &dims, &given), Ok(()));
        let made = symbols.dims("x", &dims, Some(&given)).unwrap_or_default();
        assert_eq!(made.iter().map(Dim::bounds).collect::<Vec<_>>(), [(32, 256), (32, 256)]);
        assert_eq!(made.first(), made.last());
    }
}
