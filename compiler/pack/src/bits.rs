//! Sets of residues modulo a power of two, one bit each: what predictions join, fold and count thousands of times.

/// A subset of 0..len, len a power of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bits {
    len: usize,
    /// Bits beyond `len` are 0.
    words: Vec<u64>,
}

const WORD: usize = u64::BITS as usize;

impl Bits {
    /// The empty set.
    pub(crate) fn new(len: usize) -> Self {
        debug_assert!(len.is_power_of_two());
        Bits { len, words: vec![0; len.div_ceil(WORD)] }
    }

    /// How many residues there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert(&mut self, i: usize) {
        self.words[i / WORD] |= 1 << (i % WORD);
    }

    pub(crate) fn contains(&self, i: usize) -> bool {
        self.words[i / WORD] >> (i % WORD) & 1 == 1
    }

    /// How many are in the set.
    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// The only member, if there is one alone.
    pub(crate) fn only(&self) -> Option<usize> {
        let word = self.words.iter().position(|&w| w != 0)?;
        (self.count() == 1).then(|| word * WORD + self.words[word].trailing_zeros() as usize)
    }

    /// Add what is in another set of the same residues.
    pub(crate) fn join(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
    }

    /// The residues modulo a divisor of the length.
    pub(crate) fn fold(&self, modulus: usize) -> Bits {
        let mut folded = Bits::new(modulus);
        for part in self.words.chunks(folded.words.len()) {
            folded.words.iter_mut().zip(part).for_each(|(a, b)| *a |= b);
        }
        // Within a word, halves are joined until the modulus is reached.
        let mut width = self.len.min(WORD);
        while width > modulus {
            width /= 2;
            folded.words[0] |= folded.words[0] >> width;
            folded.words[0] &= (1 << width) - 1;
        }
        folded
    }

    /// i → i + by mod the length.
    pub(crate) fn turned(&self, by: usize) -> Bits {
        let (by, mut turned) = (by % self.len, Bits::new(self.len));
        if self.len < WORD {
            let (x, len) = (self.words[0], self.len);
            turned.words[0] = (x << by | x >> ((len - by) % len)) & ((1 << len) - 1);
            return turned;
        }
        let (words, bits) = (by / WORD, by % WORD);
        let n = self.words.len();
        for (i, &x) in self.words.iter().enumerate() {
            turned.words[(i + words) % n] |= x << bits;
            if bits > 0 {
                turned.words[(i + words + 1) % n] |= x >> (WORD - bits);
            }
        }
        turned
    }

    /// k is in the result if 2k or 2k + 1 is in the set.
    pub(crate) fn paired(&self) -> Bits {
        let mut paired = Bits::new(self.len / 2);
        for (i, &x) in self.words.iter().enumerate() {
            paired.words[i / 2] |= even_bits(x | x >> 1) << (i % 2 * (WORD / 2));
        }
        paired
    }
}

/// Bits 0, 2, 4, … side by side.
fn even_bits(mut x: u64) -> u64 {
    x &= 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0F0F_0F0F_0F0F_0F0F),
        (4, 0x00FF_00FF_00FF_00FF),
        (8, 0x0000_FFFF_0000_FFFF),
        (16, 0x0000_0000_FFFF_FFFF),
    ] {
        x = (x | x >> shift) & mask;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(bits: &Bits) -> Vec<usize> {
        (0..bits.len()).filter(|&i| bits.contains(i)).collect()
    }

    fn set(len: usize, members: impl Iterator<Item = usize>) -> Bits {
        let mut bits = Bits::new(len);
        members.for_each(|i| bits.insert(i));
        bits
    }

    #[test]
    fn is_a_set_of_numbers() {
        assert_eq!([set(128, 77..78), set(128, 0..0), set(8, 2..4)].map(|s| s.only()), [Some(77), None, None]);
        for log in 0..10 {
            let len = 1usize << log;
            for seed in 0..8 {
                let all: Vec<usize> = (0..5 * seed).map(|i| (i * i * 7919 + i * 131 + seed) % len).collect();
                let bits = set(len, all.iter().copied());
                assert_eq!(bits.count(), members(&bits).len());
                for by in [0, 1, 3, 63, 64, 65, 200, len - 1, len] {
                    assert_eq!(bits.turned(by), set(len, all.iter().map(|i| (i + by) % len)), "{by} of {len}");
                }
                for modulus in (0..=log).map(|k| 1usize << k) {
                    assert_eq!(bits.fold(modulus), set(modulus, all.iter().map(|i| i % modulus)), "{modulus} of {len}");
                }
                if len > 1 {
                    assert_eq!(bits.paired(), set(len / 2, all.iter().map(|i| i / 2)), "{len}");
                }
            }
        }
    }
}
