"""What people see: dashboard, MLflow, notifications, live record, leaderboard."""
