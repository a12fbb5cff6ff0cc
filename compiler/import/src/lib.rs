//! ONNX models to tensor graphs.
