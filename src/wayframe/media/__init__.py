"""What is inside a file or a stream of media; knows nothing of devices or HTTP."""
