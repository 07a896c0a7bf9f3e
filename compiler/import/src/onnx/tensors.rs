//! Constants of the file.

use super::external;
use super::node_error::{NodeError, NodeResult, invalid, unsupported};
use super::operand::Operand;
use lostwax_ir::tensor::{Tensor, element_count};
use lostwax_ir::types::DType;
use onnx_protobuf::TensorProto;
use onnx_protobuf::tensor_proto::{DataLocation, DataType};
use protobuf::Enum;
use std::path::Path;

const DTYPES: &[(DataType, DType)] = &[
    (DataType::FLOAT, DType::F32),
    (DataType::FLOAT16, DType::F16),
    (DataType::BFLOAT16, DType::BF16),
    (DataType::DOUBLE, DType::F64),
    (DataType::INT8, DType::I8),
    (DataType::INT16, DType::I16),
    (DataType::INT32, DType::I32),
    (DataType::INT64, DType::I64),
    (DataType::UINT8, DType::U8),
    (DataType::UINT16, DType::U16),
    (DataType::UINT32, DType::U32),
    (DataType::UINT64, DType::U64),
    (DataType::BOOL, DType::Bool),
];

/// The element type of ONNX's number.
pub(super) fn dtype(number: i64) -> NodeResult<DType> {
    let number = i32::try_from(number).unwrap_or(0);
    let known = DTYPES.iter().find(|(data_type, _)| data_type.value() == number);
    known.map(|(_, dtype)| *dtype).ok_or_else(|| {
        let name = DataType::from_i32(number).map_or(format!("number {number}"), |name| format!("{name:?}"));
        NodeError::Unsupported(format!("element type {name} is not supported; convert the model to another type"))
    })
}

/// The sizes of a stored tensor.
pub(super) fn shape(dims: &[i64]) -> NodeResult<Vec<usize>> {
    let shape: Option<Vec<usize>> = dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    let shape = shape.filter(|shape| element_count(shape).is_some());
    shape.ok_or_else(|| NodeError::Invalid(format!("a tensor cannot have the sizes {dims:?}")))
}

/// A stored tensor; external data is read from files in `folder`.
pub(super) fn item(proto: &TensorProto, folder: Option<&Path>) -> NodeResult<Operand> {
    tensor(proto, folder).map(Operand::from)
}

pub(super) fn tensor(proto: &TensorProto, folder: Option<&Path>) -> NodeResult<Tensor> {
    let dtype = dtype(proto.data_type.into())?;
    let shape = shape(&proto.dims)?;
    if proto.segment.is_some() {
        return unsupported("tensors stored in segments are not supported");
    }
    let tensor = if proto.data_location.enum_value() == Ok(DataLocation::EXTERNAL) {
        let length = element_count(&shape).unwrap_or(0).saturating_mul(dtype.size());
        Tensor::from_bytes(dtype, &shape, &external::read(&proto.external_data, folder, length)?)
    } else if proto.raw_data.is_empty() {
        from_typed_fields(proto, dtype, &shape)
    } else {
        Tensor::from_bytes(dtype, &shape, &proto.raw_data)
    };
    match tensor {
        Some(tensor) => Ok(tensor),
        None => invalid(format!("the data of tensor `{}` does not fit its type {dtype}{shape:?}", proto.name)),
    }
}

fn from_typed_fields(proto: &TensorProto, dtype: DType, shape: &[usize]) -> Option<Tensor> {
    match dtype {
        DType::F32 => Tensor::from_slice(dtype, shape, &proto.float_data),
        DType::F64 => Tensor::from_slice(dtype, shape, &proto.double_data),
        DType::I64 => Tensor::from_slice(dtype, shape, &proto.int64_data),
        DType::U64 => Tensor::from_slice(dtype, shape, &proto.uint64_data),
        DType::U32 => Tensor::from_slice(dtype, shape, &proto.uint64_data.iter().map(|v| *v as u32).collect::<Vec<_>>()),
        DType::F16 | DType::BF16 => {
            Tensor::from_slice(dtype, shape, &proto.int32_data.iter().map(|v| *v as u16).collect::<Vec<_>>())
        }
        _ => Tensor::from_i64(dtype, shape, &proto.int32_data.iter().map(|v| i64::from(*v)).collect::<Vec<_>>()),
    }
}
