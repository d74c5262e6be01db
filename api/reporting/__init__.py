"""Reports made in the background by a process of their own, which holds no key and asks for the little it needs."""
