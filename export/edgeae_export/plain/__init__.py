"""Plain autoencoders to bundles: pairs of torch modules, or of ONNX graphs made elsewhere."""
