"""Texts to vectors: manifests, tokenizer, ONNX Runtime session, pooling, the encoders."""
