"""Every run in MLflow. May import everything below `pipelines`."""
