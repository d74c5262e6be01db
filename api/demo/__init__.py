"""The demo group: three maisons with 2,000 synthetic clients, and the story that is played with them."""
