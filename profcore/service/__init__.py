"""What the dashboard asks: the owner of store and queue."""
