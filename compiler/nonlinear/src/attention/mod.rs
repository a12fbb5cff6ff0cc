//! Softmax and normalisation of rows by polynomials, fitted to the rows that flow.
//!
//! Both divide by something that is computed from the whole row: a sum of exponentials, a root of a mean square. What is
//! divided by is drawn together first (a shift of the row that is linear in it, a class of positions of its own where a
//! position differs from the others), so that a polynomial of low degree inverts it. Coefficients that differ from
//! position to position or from head to head cost nothing when encrypted.

mod classes;
mod emitter;
mod exponential;
mod head;
mod inverse;
mod layer_norm;
mod local;
mod pattern;
mod postpone;
mod quality;
mod recipe;
mod scores;
mod shift;
mod softmax;
mod squares;

pub use emitter::sources;
pub use layer_norm::LayerNorm;
pub use pattern::Attention;
pub use postpone::postpone;
pub use quality::Quality;
pub use softmax::Softmax;
