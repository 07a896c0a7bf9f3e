//! Measures the peak throughput of the CPU.

use crate::pool::no_thread;
use lostwax_target_api::{DeviceError, Peaks};
use std::hint::black_box;
use std::thread::Builder;
use std::time::{Duration, Instant};

/// Independent chains of multiply-adds: enough to hide the latency of one.
const CHAINS: usize = 12;

/// How long one measurement takes, about.
const SPAN: Duration = Duration::from_millis(60);

/// The number of measurements; the best one counts.
const ROUNDS: usize = 3;

/// Values read per thread to measure memory bandwidth: more than caches hold. They are not zero, because zero pages may have no
/// memory of their own.
const READ_VALUES: usize = 6 << 20;

/// Measures f32 multiply-adds and memory reads on a number of threads.
///
/// # Errors
/// [`DeviceError::LimitExceeded`] if the system cannot start that many threads.
pub(crate) fn measure(threads: usize) -> Result<Peaks, DeviceError> {
    let data: Vec<Vec<u64>> = (0..threads).map(|thread| vec![thread as u64 + 1; READ_VALUES]).collect();
    let reads = |thread: usize| rate(|_| read(data.get(thread).map_or(&[], Vec::as_slice)));
    Ok(Peaks {
        flops_per_second: best(|| total(threads, |_| rate(multiply_add)))?,
        bytes_per_second: best(|| total(threads, reads))?,
    })
}

fn best(measure: impl Fn() -> Result<f64, DeviceError>) -> Result<f64, DeviceError> {
    (0..ROUNDS).try_fold(0.0, |best: f64, _| Ok(best.max(measure()?)))
}

/// The sum of the rates of all threads, measured at the same time.
fn total(threads: usize, work: impl Fn(usize) -> f64 + Sync) -> Result<f64, DeviceError> {
    let work = &work;
    std::thread::scope(|scope| {
        let spawn = |thread| Builder::new().spawn_scoped(scope, move || work(thread));
        let running: Vec<_> = (0..threads).map(spawn).collect::<Result<_, _>>().map_err(no_thread)?;
        Ok(running.into_iter().filter_map(|thread| thread.join().ok()).sum())
    })
}

/// Units of work per second; `work` does some and returns how much.
fn rate(work: impl Fn(usize) -> f64) -> f64 {
    let start = Instant::now();
    let mut done = 0.0;
    while start.elapsed() < SPAN {
        done += work(100_000);
    }
    done / start.elapsed().as_secs_f64()
}

fn read(values: &[u64]) -> f64 {
    black_box(values.iter().fold(0u64, |sum, value| sum.wrapping_add(*value)));
    size_of_val(values) as f64
}

/// Runs `count` multiply-adds on each chain and returns the number of operations.
#[cfg(target_arch = "x86_64")]
fn multiply_add(count: usize) -> f64 {
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the CPU has the features.
        return unsafe { multiply_add_avx512(count) };
    }
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the CPU has the features.
        return unsafe { multiply_add_avx2(count) };
    }
    multiply_add_lanes(count)
}

/// Runs `count` multiply-adds on each chain and returns the number of operations.
#[cfg(not(target_arch = "x86_64"))]
fn multiply_add(count: usize) -> f64 {
    multiply_add_lanes(count)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn multiply_add_avx2(count: usize) -> f64 {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps};
    let (factor, offset) = (_mm256_set1_ps(black_box(0.999)), _mm256_set1_ps(black_box(0.001)));
    chains(count, 8, _mm256_set1_ps(black_box(0.5)), |sum| _mm256_fmadd_ps(sum, factor, offset))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn multiply_add_avx512(count: usize) -> f64 {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps};
    let (factor, offset) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(0.001)));
    chains(count, 16, _mm512_set1_ps(black_box(0.5)), |sum| _mm512_fmadd_ps(sum, factor, offset))
}

fn multiply_add_lanes(count: usize) -> f64 {
    let (factor, offset) = (black_box(0.999f32), black_box(0.001f32));
    chains(count, 4, [black_box(0.5f32); 4], |sum| sum.map(|value| value * factor + offset))
}

/// Takes `count` steps on vectors of `lanes` lanes and returns the number of operations.
#[inline(always)]
fn chains<V: Copy>(count: usize, lanes: usize, start: V, step: impl Fn(V) -> V) -> f64 {
    let mut sums = [start; CHAINS];
    for _ in 0..count {
        for sum in &mut sums {
            *sum = step(*sum);
        }
    }
    black_box(sums);
    (count * CHAINS * lanes * 2) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_measured() {
        let Peaks { flops_per_second, bytes_per_second } = measure(1).unwrap();
        assert!((1e8..1e14).contains(&flops_per_second) && (1e7..1e14).contains(&bytes_per_second));
    }
}
