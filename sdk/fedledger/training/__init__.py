"""Local training, the server step and the learning task; importing it needs no TensorFlow."""
