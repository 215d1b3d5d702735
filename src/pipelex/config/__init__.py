"""Configuration: TOML layers and environment variables become one frozen Settings. Never crosses a wire as a whole."""
