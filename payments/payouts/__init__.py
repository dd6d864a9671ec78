"""What sellers of tickets are credited with, and that it was paid out to them."""
