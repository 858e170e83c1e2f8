"""YAML as text: every scalar keeps the letters it was written with. Knows nothing of manifests or settings."""

from batch_editor.strict_yaml.parser import MAX_BYTES, Block, Text, Value, YamlFault, parse_yaml, read_yaml

__all__ = ["MAX_BYTES", "Block", "Text", "Value", "YamlFault", "parse_yaml", "read_yaml"]
