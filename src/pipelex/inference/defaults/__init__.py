"""The built-in backends, routes and deck, as TOML in the formats of the user's own files."""
