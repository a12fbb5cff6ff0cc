//! Polynomial replacements for non-polynomial functions, fitted to calibration data.
