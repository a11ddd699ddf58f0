"""The scene language: schema, loading with file:line:column, overrides, the resolved plan."""
