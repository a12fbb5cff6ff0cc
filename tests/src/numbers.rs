//! Reproducible numbers.

use hec_ir::circuit::Input;
use hec_ir::tensor::{Graph, Shape, Tensor};

/// A sequence that depends on its seed alone (splitmix64; Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Numbers(seed)
    }

    /// The sequence of a name.
    pub fn of_name(name: &str) -> Self {
        Numbers(name.bytes().fold(0, |seed, byte| seed.wrapping_mul(257).wrapping_add(u64::from(byte) + 1)))
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [−1, 1).
    pub fn real(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// One of `0..count`.
    pub fn below(&mut self, count: usize) -> usize {
        (self.bits() % count as u64) as usize
    }

    /// One of the choices.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A tensor of numbers in [−size, size).
    pub fn tensor(&mut self, shape: Shape, size: f64) -> Tensor {
        let data = (0..shape.elements()).map(|_| size * self.real()).collect();
        Tensor { shape, data }
    }

    /// One tensor for each input of a network, in [−1, 1).
    pub fn inputs_of(&mut self, graph: &Graph) -> Vec<Tensor> {
        graph.inputs().map(|(id, _)| self.tensor(graph.shape(id).clone(), 1.0)).collect()
    }

    /// One tensor for each input of a slot program, in [−1, 1).
    pub fn inputs(&mut self, inputs: &[Input]) -> Vec<Tensor> {
        inputs.iter().map(|input| self.tensor(input.layout.shape.clone(), 1.0)).collect()
    }
}
