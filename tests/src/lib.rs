//! What the tests across crates share: reproducible numbers, random networks, and how far apart two results are.
#![forbid(unsafe_code)]

mod difference;
mod external;
mod network;
mod numbers;

pub use difference::Difference;
pub use external::external_constants;
pub use network::random_network;
pub use numbers::Numbers;
