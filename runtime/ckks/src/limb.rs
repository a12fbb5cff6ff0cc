//! Buffers of N residues, recycled: all data of a context is made of them.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of unused buffers that a context keeps.
const KEPT_BYTES: usize = 256 << 20;

/// Bytes of a cache line, and of the widest vector: buffers that start at a multiple of it have no vector in two lines,
/// which makes transforms 10 % faster.
const LINE: usize = 64;

/// Unused buffers of one length. Taking one from here is cheaper than fresh memory, whose pages the operating system
/// clears at the first touch: that took a quarter of the time of a key switch.
#[derive(Debug)]
pub(crate) struct Pool {
    n: usize,
    free: Mutex<Vec<Vec<f64>>>,
    #[cfg(test)]
    taken: Taken,
}

/// Buffers in use, and the most that were since the last measurement.
#[cfg(test)]
#[derive(Debug, Default)]
struct Taken {
    now: std::sync::atomic::AtomicUsize,
    most: std::sync::atomic::AtomicUsize,
}

/// A buffer of N residues; goes back to its pool when dropped.
#[derive(Debug)]
pub(crate) struct Limb {
    /// A little longer than N.
    buffer: Vec<f64>,
    /// Where the N residues start, at a multiple of `LINE`.
    start: usize,
    pool: Arc<Pool>,
}

impl Pool {
    pub fn new(n: usize) -> Arc<Pool> {
        Arc::new(Pool {
            n,
            free: Mutex::default(),
            #[cfg(test)]
            taken: Taken::default(),
        })
    }

    /// The most buffers in use since the last call.
    #[cfg(test)]
    pub fn measure(&self) -> usize {
        use std::sync::atomic::Ordering::SeqCst;
        self.taken.most.swap(self.taken.now.load(SeqCst), SeqCst)
    }

    pub fn copy(self: &Arc<Self>, values: &[f64]) -> Limb {
        let mut limb = self.any();
        limb.copy_from_slice(values);
        limb
    }

    /// With any content: for results that overwrite all of it.
    pub fn any(self: &Arc<Self>) -> Limb {
        // A thread that panicked with the lock held left a whole list behind: `push` and `pop` do not panic midway.
        let recycled = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let slack = LINE / size_of::<f64>() - 1;
        let buffer = recycled.unwrap_or_else(|| vec![0.0; self.n + slack]);
        let start = buffer.as_ptr().align_offset(LINE).min(slack);
        #[cfg(test)]
        {
            use std::sync::atomic::Ordering::SeqCst;
            let now = self.taken.now.fetch_add(1, SeqCst) + 1;
            self.taken.most.fetch_max(now, SeqCst);
        }
        Limb { buffer, start, pool: Arc::clone(self) }
    }
}

impl Drop for Limb {
    fn drop(&mut self) {
        #[cfg(test)]
        self.pool.taken.now.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        let buffer = std::mem::take(&mut self.buffer);
        let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        if (free.len() + 1) * size_of_val(&buffer[..]) <= KEPT_BYTES {
            free.push(buffer);
        }
    }
}

impl Clone for Limb {
    fn clone(&self) -> Self {
        self.pool.copy(self)
    }
}

impl Deref for Limb {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.buffer[self.start..][..self.pool.n]
    }
}

impl DerefMut for Limb {
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut self.buffer[self.start..][..self.pool.n]
    }
}
