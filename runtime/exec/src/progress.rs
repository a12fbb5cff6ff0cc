//! How far along long work is.

/// Told about the steps of long work; called from one thread, in order.
pub trait Progress: Sync {
    /// `done` of `total` steps are done, and `what` is next.
    fn advance(&self, done: usize, total: usize, what: &str);
}

/// Silence.
impl Progress for () {
    fn advance(&self, _done: usize, _total: usize, _what: &str) {}
}
