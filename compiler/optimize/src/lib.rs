//! Equality saturation on tensor graphs: least depth, then least cost.
