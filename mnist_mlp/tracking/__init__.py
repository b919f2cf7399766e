"""What goes to TensorBoard and other loggers."""
