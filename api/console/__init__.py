"""The officers' console: HTML pages under /console."""
