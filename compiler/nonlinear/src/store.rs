//! Numbers of many samples: in memory up to a budget, beyond it in a scratch file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of a number: single precision is plenty for what is measured and fitted here.
const NUMBER: usize = size_of::<f32>();

/// Where blocks of numbers are kept. Clones share one budget and one file.
#[derive(Clone, Debug)]
pub struct Store {
    /// Bytes that may stay in memory.
    budget: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes in memory.
    used: usize,
    /// Made when it is first needed; the system removes it when it is closed.
    file: Option<File>,
    /// Where the file ends.
    end: u64,
    /// Places in the file that are free again, by their length in numbers.
    free: BTreeMap<usize, Vec<u64>>,
}

/// Some numbers. Their place is free again when they are dropped.
#[derive(Debug)]
pub struct Block {
    store: Store,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<f32>),
    File { start: u64, count: usize },
}

impl Store {
    /// With so many bytes of memory.
    pub fn new(budget: usize) -> Self {
        Store { budget, state: Arc::default() }
    }

    /// What is kept is consistent at any time, so a panic elsewhere does no harm.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keep numbers.
    ///
    /// # Errors
    /// When the scratch file cannot be made or is full.
    pub fn keep(&self, numbers: Vec<f32>) -> io::Result<Block> {
        let mut state = self.state();
        let size = numbers.len() * NUMBER;
        if state.used + size <= self.budget {
            state.used += size;
            return Ok(Block { store: self.clone(), place: Place::Memory(numbers) });
        }
        let count = numbers.len();
        let start = match state.free.get_mut(&count).and_then(Vec::pop) {
            Some(start) => start,
            None => {
                let start = state.end;
                state.end += size as u64;
                start
            }
        };
        // From here on the place is given back should writing fail.
        let block = Block { store: self.clone(), place: Place::File { start, count } };
        let written = state.write(start, &numbers);
        drop(state);
        written.map(|()| block)
    }
}

impl State {
    fn write(&mut self, start: u64, numbers: &[f32]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile()?),
        };
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        file.seek(SeekFrom::Start(start))?;
        file.write_all(&bytes)
    }

    fn read(&mut self, start: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count * NUMBER];
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut bytes)?;
        }
        Ok(bytes)
    }
}

impl Block {
    /// The numbers in double precision.
    ///
    /// # Errors
    /// When the scratch file cannot be read.
    pub fn read(&self) -> io::Result<Vec<f64>> {
        match &self.place {
            Place::Memory(numbers) => Ok(numbers.iter().copied().map(f64::from).collect()),
            &Place::File { start, count } => {
                let bytes = self.store.state().read(start, count)?;
                let (numbers, _) = bytes.as_chunks::<NUMBER>();
                Ok(numbers.iter().map(|&b| f64::from(f32::from_le_bytes(b))).collect())
            }
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut state = self.store.state();
        match &self.place {
            Place::Memory(numbers) => state.used -= numbers.len() * NUMBER,
            &Place::File { start, count } => state.free.entry(count).or_default().push(start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(first: u16, count: u16) -> Vec<f32> {
        (first..first + count).map(f32::from).collect()
    }

    #[test]
    fn what_does_not_fit_goes_to_the_file_and_comes_back() {
        let store = Store::new(10 * NUMBER);
        let blocks: Vec<Block> = (0..5).map(|i| store.keep(numbers(4 * i, 4)).unwrap()).collect();
        let in_memory = blocks.iter().filter(|b| matches!(b.place, Place::Memory(_))).count();
        assert_eq!((in_memory, store.state().end), (2, 3 * 4 * NUMBER as u64));
        for (i, block) in (0..5).zip(&blocks) {
            assert_eq!(block.read().unwrap(), numbers(4 * i, 4).into_iter().map(f64::from).collect::<Vec<_>>());
        }
    }

    #[test]
    fn places_are_used_again() {
        let store = Store::new(0);
        for i in 0..10 {
            let block = store.keep(numbers(i, 100)).unwrap();
            assert_eq!(block.read().unwrap()[0], f64::from(i));
        }
        assert_eq!(store.state().end, 100 * NUMBER as u64);
        let roomy = Store::new(100 * NUMBER);
        drop(roomy.keep(numbers(0, 100)).unwrap());
        drop(roomy.keep(numbers(0, 100)).unwrap());
        let state = roomy.state();
        assert_eq!((state.used, state.end), (0, 0));
    }
}
