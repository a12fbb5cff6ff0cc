//! How far along long work is.

use std::time::Duration;

/// Told about the steps of long work; called from one thread, in order.
pub trait Progress: Sync {
    /// `done` of `total` steps are done, and `what` is next.
    fn advance(&self, done: usize, total: usize, what: &str);
    /// About so long it will still take, as far as it can be told; before the step that it was found out at.
    fn expect(&self, _left: Duration) {}
}

/// Silence.
impl Progress for () {
    fn advance(&self, _done: usize, _total: usize, _what: &str) {}
}
