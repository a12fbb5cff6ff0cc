//! The compiler's command line.
