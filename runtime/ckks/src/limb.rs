//! Buffers of N residues, recycled: all data of a context is made of them.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::block::{self, Buffer};

/// Unused buffers of one length. Taking one from here is cheaper than fresh memory, whose pages the operating system
/// clears at the first touch: that took a quarter of the time of a key switch.
#[derive(Debug)]
pub(crate) struct Pool {
    n: usize,
    free: Mutex<Vec<Buffer>>,
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
    buffer: Buffer,
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

    fn free(&self) -> MutexGuard<'_, Vec<Buffer>> {
        // A thread that panicked with the lock held left a whole list behind: `push` and `pop` do not panic midway.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn buffer(&self) -> Buffer {
        let mut free = self.free();
        loop {
            match free.pop() {
                Some(buffer) => return buffer,
                None => free.append(&mut block::take(self.n)),
            }
        }
    }

    /// With any content: for results that overwrite all of it.
    pub fn any(self: &Arc<Self>) -> Limb {
        let buffer = self.buffer();
        #[cfg(test)]
        {
            use std::sync::atomic::Ordering::SeqCst;
            let now = self.taken.now.fetch_add(1, SeqCst) + 1;
            self.taken.most.fetch_max(now, SeqCst);
        }
        Limb { buffer, pool: Arc::clone(self) }
    }
}

impl Drop for Limb {
    fn drop(&mut self) {
        #[cfg(test)]
        self.pool.taken.now.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        self.pool.free().push(std::mem::take(&mut self.buffer));
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        block::give_back(self.n, std::mem::take(&mut self.free()));
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
        self.buffer
    }
}

impl DerefMut for Limb {
    fn deref_mut(&mut self) -> &mut [f64] {
        self.buffer
    }
}
