"""The configuration: pydantic sections, read from one YAML file."""
