//! Memory for buffers of residues: blocks of large pages, cut up.
//!
//! A key switch reads hundreds of megabytes of keys once. With pages of 4 KiB a good part of that time goes into
//! address translation, and into clearing fresh memory page by page. Blocks are therefore mapped whole, and the operating
//! system is asked for large pages. A block is never given back, only reused: its buffers have no owner that could.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use memmap2::MmapMut;

/// A part of a block, of N residues. It starts at a cache line, so that no vector lies in two lines: that makes
/// transforms 10 % faster.
pub(crate) type Buffer = &'static mut [f64];

/// Residues of a cache line.
const LINE: usize = 64 / size_of::<f64>();
/// Buffers of a block.
const BUFFERS: usize = 64;
/// Residues between long buffers: an odd number of lines, for sums over many buffers read them at equal places, and at
/// distances of a power of two these would all compete for the same few lines of each cache.
const APART: usize = 17 * LINE;
/// Buffers from this length on lie apart.
const LONG: usize = 512;
/// Bytes of a large page on most processors.
const LARGE_PAGE: usize = 2 << 20;

/// Buffers that nobody uses, by length.
static UNUSED: Mutex<BTreeMap<usize, Vec<Buffer>>> = Mutex::new(BTreeMap::new());

fn unused() -> MutexGuard<'static, BTreeMap<usize, Vec<Buffer>>> {
    // A thread that panicked with the lock held left whole lists behind: nothing panics midway.
    UNUSED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Some buffers of `n` residues, with any content: those that were given back, or a new block.
pub(crate) fn take(n: usize) -> Vec<Buffer> {
    unused().remove(&n).filter(|buffers| !buffers.is_empty()).unwrap_or_else(|| cut(n))
}

/// Buffers that are not needed any more.
pub(crate) fn give_back(n: usize, buffers: Vec<Buffer>) {
    unused().entry(n).or_default().extend(buffers);
}

/// The buffers of a new block, the first to use last.
fn cut(n: usize) -> Vec<Buffer> {
    let stride = n.next_multiple_of(LINE) + if n >= LONG { APART } else { 0 };
    let cut = |buffer: &'static mut [f64]| &mut buffer[..n];
    map(BUFFERS * stride).chunks_exact_mut(stride).take(BUFFERS).map(cut).rev().collect()
}

/// A new block of at least that many residues.
fn map(residues: usize) -> &'static mut [f64] {
    let bytes = residues * size_of::<f64>();
    let bytes = if bytes < LARGE_PAGE { bytes } else { bytes.next_multiple_of(LARGE_PAGE) };
    match MmapMut::map_anon(bytes) {
        Ok(block) => {
            // Without large pages it is slower and still right.
            #[cfg(target_os = "linux")]
            let _ = block.advise(memmap2::Advice::HugePage);
            let block: &'static mut MmapMut = Box::leak(Box::new(block));
            bytemuck::cast_slice_mut(&mut block[..])
        }
        // Fails as any allocation does when there is no memory.
        Err(_) => vec![0.0; residues].leak(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_apart_and_start_at_a_line() {
        for n in [16, 4096, 1 << 15] {
            let mut buffers = cut(n);
            assert_eq!(buffers.len(), BUFFERS);
            for (i, buffer) in buffers.iter_mut().enumerate() {
                assert_eq!((buffer.len(), buffer.as_ptr() as usize % 64), (n, 0));
                buffer.fill(i as f64);
            }
            assert!(buffers.iter().enumerate().all(|(i, buffer)| buffer.iter().all(|&x| x == i as f64)));
        }
    }

    #[test]
    fn what_is_given_back_is_taken_again() {
        let n = 24;
        let buffers = take(n);
        let first = buffers[0].as_ptr();
        give_back(n, buffers);
        assert_eq!(take(n)[0].as_ptr(), first);
    }
}
