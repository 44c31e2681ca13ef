"""What each command does; `profcore.cli` holds their options."""
