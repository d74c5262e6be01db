"""The post: letters to people, by mail for real or onto a terminal for a demo. It writes only to addresses on file."""
