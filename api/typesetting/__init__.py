"""Setting type: one template, one set of fonts, and a process of its own that makes a PDF and goes."""
