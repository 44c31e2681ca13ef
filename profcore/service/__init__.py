"""What the dashboard asks: the owner of store, queue and intake."""
