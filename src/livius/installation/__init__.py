"""What has to be there before a gateway can serve, and where it lies."""
