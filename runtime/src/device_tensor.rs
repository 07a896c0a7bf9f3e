use crate::{DType, Device, RuntimeError, Tensor, TensorView};
use lostwax_target_api::DeviceMemory;
use std::fmt;

/// A tensor in the memory of a device, in row-major order. [`Device::tensor`] and [`Device::zeros`] make it,
/// [`crate::Session::run_on_device`] takes it and writes to it.
///
/// Usable in all sessions of all models on that device. Reads and writes happen in call order, though the device may still be
/// busy when a call returns. The memory of a dropped tensor is freed once every session that used it has run again and the device
/// has finished that run.
pub struct DeviceTensor {
    device: Device,
    dtype: DType,
    shape: Vec<usize>,
    memory: Box<dyn DeviceMemory>,
}

impl Device {
    /// A copy of a tensor in the memory of the device, for [`crate::Session::run_on_device`].
    ///
    /// # Errors
    /// As [`Device::zeros`].
    pub fn tensor<'a>(&self, tensor: impl Into<TensorView<'a>>) -> Result<DeviceTensor, RuntimeError> {
        let view = tensor.into();
        let mut copy = self.zeros(view.dtype(), view.shape())?;
        copy.write(view)?;
        Ok(copy)
    }

    /// A tensor of zeros in the memory of the device, for [`crate::Session::run_on_device`].
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if the shape is impossible, [`RuntimeError::Device`] if the device lacks the memory or
    /// does not support tensors that stay on it.
    pub fn zeros(&self, dtype: DType, shape: &[usize]) -> Result<DeviceTensor, RuntimeError> {
        DeviceTensor::new(self, dtype, shape, |bytes| Ok(self.api().allocate(bytes)?))
    }
}

impl DeviceTensor {
    /// A tensor in memory of a device, which must have its size.
    pub(crate) fn new(
        device: &Device,
        dtype: DType,
        shape: &[usize],
        allocate: impl FnOnce(u64) -> Result<Box<dyn DeviceMemory>, RuntimeError>,
    ) -> Result<Self, RuntimeError> {
        let impossible = || RuntimeError::input("tensor", format!("{dtype}{shape:?} is too large for a tensor"));
        let memory = allocate(dtype.byte_count(shape).ok_or_else(impossible)? as u64)?;
        Ok(Self { device: device.clone(), dtype, shape: shape.to_vec(), memory })
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The sizes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// A copy in host memory. Waits for the runs that write to the tensor.
    ///
    /// # Errors
    /// [`RuntimeError::LimitExceeded`] if there is no memory, and what the device reports, of earlier runs too.
    pub fn to_tensor(&self) -> Result<Tensor, RuntimeError> {
        let mut tensor = Tensor::zeros(self.dtype, &self.shape)?;
        self.read(&mut tensor)?;
        Ok(tensor)
    }

    /// Copies it to a tensor of the same type and shape in host memory. Waits for the runs that write to it.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if type or shape differ, and what the device reports, of earlier runs too.
    pub fn read(&self, to: &mut Tensor) -> Result<(), RuntimeError> {
        self.check(to.dtype(), to.shape())?;
        Ok(self.memory.read(to.bytes_mut())?)
    }

    /// Copies a tensor of the same type and shape to it. Earlier runs still see the old values.
    ///
    /// # Errors
    /// As [`DeviceTensor::read`].
    pub fn write<'a>(&mut self, from: impl Into<TensorView<'a>>) -> Result<(), RuntimeError> {
        let from = from.into();
        self.check(from.dtype(), from.shape())?;
        Ok(self.memory.write(from.bytes())?)
    }

    fn check(&self, dtype: DType, shape: &[usize]) -> Result<(), RuntimeError> {
        if dtype == self.dtype && shape == self.shape {
            return Ok(());
        }
        Err(RuntimeError::input("tensor", format!("is {dtype}{shape:?}, not {self:?}")))
    }

    pub(crate) fn memory(&self) -> &dyn DeviceMemory {
        &*self.memory
    }

    pub(crate) fn memory_mut(&mut self) -> &mut dyn DeviceMemory {
        &mut *self.memory
    }
}

impl fmt::Debug for DeviceTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)
    }
}

/// An input of [`crate::Session::run_on_device`]: a tensor in host memory or on the device.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// In host memory.
    Host(TensorView<'a>),
    /// On the device of the session.
    Device(&'a DeviceTensor),
}

impl Input<'_> {
    pub(crate) fn dtype(&self) -> DType {
        match self {
            Self::Host(view) => view.dtype(),
            Self::Device(tensor) => tensor.dtype(),
        }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        match self {
            Self::Host(view) => view.shape(),
            Self::Device(tensor) => tensor.shape(),
        }
    }
}

impl<'a> From<TensorView<'a>> for Input<'a> {
    fn from(view: TensorView<'a>) -> Self {
        Self::Host(view)
    }
}

impl<'a> From<&'a Tensor> for Input<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Self::Host(tensor.as_view())
    }
}

impl<'a> From<&'a DeviceTensor> for Input<'a> {
    fn from(tensor: &'a DeviceTensor) -> Self {
        Self::Device(tensor)
    }
}

/// Tensors in buffers of a GPU that the caller has opened.
#[cfg(feature = "gpu")]
impl DeviceTensor {
    /// A tensor in a buffer of the caller's, from its beginning. The device must be of [`Device::from_wgpu`]; the buffer needs the
    /// usage `STORAGE`, and at least the bytes of the tensor rounded up to a multiple of 16; to read and write it from the host also
    /// `COPY_SRC` and `COPY_DST`. Do not map or destroy it while a run is to use it.
    ///
    /// The bytes up to that multiple of 16 belong to the tensor: runs and writes from the host may change them. What lies after them
    /// stays as it is.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidInput`] if the shape is impossible, [`RuntimeError::Device`] if the device does not take the buffer.
    pub fn from_wgpu(
        device: &Device,
        buffer: lostwax_device_gpu::wgpu::Buffer,
        dtype: DType,
        shape: &[usize],
    ) -> Result<Self, RuntimeError> {
        Self::new(device, dtype, shape, |bytes| Ok(lostwax_device_gpu::memory_of(device.api(), buffer, bytes)?))
    }

    /// The buffer that the tensor begins in, for work of the caller's on the same queue; nothing on other devices. It may be larger.
    pub fn wgpu_buffer(&self) -> Option<&lostwax_device_gpu::wgpu::Buffer> {
        lostwax_device_gpu::buffer_of(self.memory())
    }
}
