"""How officers sign in to the console, and what a browser that they signed in with may do until when."""
