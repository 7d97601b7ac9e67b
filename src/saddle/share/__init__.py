"""A trained generator for programs that know nothing of saddle: ONNX files and web pages."""
