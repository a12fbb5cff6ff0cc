//! What a kernel needs of an instruction set.

/// An instruction set over vectors of `f64`. Values of implementing types exist only where the processor has the set.
pub(crate) trait Simd: Copy {
    /// Lanes of a vector: 1, 4 or 8.
    const LANES: usize;
    type Vector: Copy;

    fn splat(self, x: f64) -> Self::Vector;
    /// The first `LANES` elements. Panics if there are fewer.
    fn load(self, src: &[f64]) -> Self::Vector;
    /// To the first `LANES` elements. Panics if there are fewer.
    fn store(self, dst: &mut [f64], v: Self::Vector);

    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a·b + c, rounded once.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// a·b − c, rounded once.
    fn mul_sub(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// c − a·b, rounded once.
    fn neg_mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// To the nearest integer, of any magnitude.
    fn round(self, a: Self::Vector) -> Self::Vector;
    fn abs(self, a: Self::Vector) -> Self::Vector;
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// Asks for the cache line of the first element, into the second level; it has no effect on values.
    fn prefetch(self, src: &[f64]);

    /// `LANES` rows of 8 elements as 8 vectors: lane l of vector k is element k of row l.
    fn load_transposed(self, src: &[f64]) -> [Self::Vector; 8];
    /// The inverse of `load_transposed`.
    fn store_transposed(self, dst: &mut [f64], columns: [Self::Vector; 8]);
}
