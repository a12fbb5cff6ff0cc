//! What the tests across crates share: reproducible numbers, random networks, and how far apart two results are.
#![forbid(unsafe_code)]

mod difference;
mod encoder;
mod external;
mod models;
mod network;
mod numbers;
mod saved;

pub use difference::Difference;
pub use encoder::random_encoder;
pub use external::external_constants;
pub use models::Model;
pub use network::random_network;
pub use numbers::Numbers;
pub use saved::{Saved, polynomials};
