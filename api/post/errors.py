"""What may be wrong with the file that says how letters are sent."""


class InvalidPost(Exception):
    """The file does not say how to send letters. Names the member at fault, never a value."""
