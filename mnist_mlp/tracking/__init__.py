"""What is logged to TensorBoard and other loggers."""
