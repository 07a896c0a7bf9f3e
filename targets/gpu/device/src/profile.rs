//! The time of each dispatch, by GPU timestamps.

use crate::errors::out_of_memory;
use crate::gpu::Gpu;
use crate::memory::{Memory, Use};
use lostwax_target_api::DeviceError;
use wgpu::{
    CommandEncoder, ComputePass, ComputePassDescriptor, ComputePassTimestampWrites, QUERY_SET_MAX_QUERIES, QUERY_SIZE, QuerySet,
    QuerySetDescriptor, QueryType,
};

/// Two timestamps for each pass.
pub(crate) struct Clock {
    queries: QuerySet,
    count: u32,
    times: Memory,
    copies: Memory,
}

impl Clock {
    /// The most passes.
    pub(crate) const MOST: usize = QUERY_SET_MAX_QUERIES as usize / 2;

    /// A clock for at most [`Clock::MOST`] passes.
    pub(crate) fn new(gpu: &Gpu, passes: usize) -> Result<Self, DeviceError> {
        let count = (passes.min(Self::MOST) * 2) as u32;
        let bytes = u64::from(count) * u64::from(QUERY_SIZE);
        let descriptor = QuerySetDescriptor { label: None, ty: QueryType::Timestamp, count };
        let queries = gpu.guarded(out_of_memory, || gpu.device.create_query_set(&descriptor))?;
        let times = Memory::new(gpu, Use::queries("points in time"), bytes)?;
        Ok(Self { queries, count, times, copies: Memory::new(gpu, Use::readable("points in time"), bytes)? })
    }

    /// A pass with timestamps at its beginning and end.
    pub(crate) fn pass<'a>(&self, position: usize, encoder: &'a mut CommandEncoder) -> ComputePass<'a> {
        let first = position as u32 * 2;
        let timestamp_writes = ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        };
        encoder.begin_compute_pass(&ComputePassDescriptor { label: None, timestamp_writes: Some(timestamp_writes) })
    }

    /// Copies the timestamps to where they can be read, after all passes.
    pub(crate) fn stop(&self, encoder: &mut CommandEncoder) {
        encoder.resolve_query_set(&self.queries, 0..self.count, &self.times.buffer, 0);
        self.times.copy_to(&self.copies, 0, encoder);
    }

    /// Adds the seconds of each pass.
    pub(crate) fn add(&self, gpu: &Gpu, seconds: &mut [f64]) -> Result<(), DeviceError> {
        let mut bytes = vec![0; self.times.bytes as usize];
        self.copies.read(gpu, [bytes.as_mut_slice()].into_iter())?;
        let period = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
        let ticks: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        for ([start, end], seconds) in ticks.as_chunks::<2>().0.iter().zip(seconds) {
            *seconds += end.saturating_sub(*start) as f64 * period;
        }
        Ok(())
    }
}
