"""What the officers' console and the subjects' portal share: templates, languages, forms, cookies, files."""
