"""HTTP routes, one module per resource. A route shapes its request into a call, submits it, and shapes the answer."""
