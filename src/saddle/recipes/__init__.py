"""The recipes that come with saddle, one TOML file each."""
