"""What measuring costs, and how fast the model and the dashboard are."""
