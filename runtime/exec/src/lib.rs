//! Runs compiled programs on encrypted data.
