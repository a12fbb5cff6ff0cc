//! The state of a training in a file, from which it goes on as if it had not been interrupted.

use crate::TuneError;
use crate::optimizer::Adam;
use crate::score::Score;
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"HECTUNE1";

/// A training's state.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Of the networks, the data and the options: a checkpoint goes on with the same ones only.
    pub fingerprint: [u8; 32],
    /// The parameters.
    pub parameters: Vec<f32>,
    /// The optimiser's state, which counts the steps.
    pub adam: Adam,
    /// The best parameters so far, and their score on the validation samples.
    pub best: (Score, Vec<f32>),
    /// Sum of the losses since the last validation, and their number.
    pub losses: (f64, u64),
}

impl Checkpoint {
    /// As bytes, which end with their SHA-256.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (score, best) = &self.best;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.fingerprint);
        bytes.extend((self.parameters.len() as u64).to_le_bytes());
        bytes.extend((self.adam.steps as u64).to_le_bytes());
        bytes.extend(self.losses.0.to_le_bytes());
        bytes.extend(self.losses.1.to_le_bytes());
        for number in score.to_numbers() {
            bytes.extend(number.to_le_bytes());
        }
        for list in [&self.parameters, &self.adam.first, &self.adam.second, best] {
            bytes.extend(list.iter().flat_map(|x| x.to_le_bytes()));
        }
        let sum = Sha256::digest(&bytes);
        bytes.extend(sum);
        bytes
    }

    /// From bytes.
    ///
    /// # Errors
    /// When they are not a checkpoint, or are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TuneError> {
        let wrong = |what: &str| TuneError::Checkpoint(what.to_owned());
        let (content, sum) = bytes.split_last_chunk::<32>().ok_or_else(|| wrong("it is too short"))?;
        if content.get(..8) != Some(MAGIC) {
            return Err(wrong("it is not one of `hec tune`, or of another version"));
        }
        if Sha256::digest(content)[..] != sum[..] {
            return Err(wrong("it is damaged"));
        }
        let mut reader = Reader(&content[8..]);
        let read = |reader: &mut Reader<'_>| -> Option<Checkpoint> {
            let fingerprint = reader.array::<32>()?;
            let count = usize::try_from(reader.number()?).ok()?;
            let steps = usize::try_from(reader.number()?).ok()?;
            let losses = (f64::from_bits(reader.number()?), reader.number()?);
            let score = Score::from_numbers([reader.real()?, reader.real()?, reader.real()?, reader.real()?]);
            let parameters = reader.list(count)?;
            let (first, second) = (reader.list(count)?, reader.list(count)?);
            let best = (score, reader.list(count)?);
            Some(Checkpoint { fingerprint, parameters, adam: Adam { first, second, steps }, best, losses })
        };
        read(&mut reader).filter(|_| reader.0.is_empty()).ok_or_else(|| wrong("its length does not fit"))
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn real(&mut self) -> Option<f64> {
        self.array().map(f64::from_le_bytes)
    }

    fn list(&mut self, count: usize) -> Option<Vec<f32>> {
        let (own, rest) = self.0.split_at_checked(count.checked_mul(4)?)?;
        self.0 = rest;
        Some(own.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_make_the_same_state_and_damage_is_seen() {
        let score = Score { agreement: Some(0.5), divergence: 0.25, overshoot: 1.5, samples: 10 };
        let checkpoint = Checkpoint {
            fingerprint: [7; 32],
            parameters: vec![1.0, -2.5],
            adam: Adam { first: vec![0.5, 0.25], second: vec![3.0, 4.0], steps: 17 },
            best: (score, vec![9.0, 8.0]),
            losses: (0.75, 3),
        };
        let bytes = checkpoint.to_bytes();
        assert_eq!(Checkpoint::from_bytes(&bytes).expect("the same"), checkpoint);
        for (at, what) in [(0, "not one of"), (20, "damaged"), (bytes.len() - 1, "damaged")] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let error = Checkpoint::from_bytes(&changed).expect_err("changed").to_string();
            assert!(error.contains(what), "{error}");
        }
        (0..bytes.len()).for_each(|n| assert!(Checkpoint::from_bytes(&bytes[..n]).is_err()));
    }
}
