"""From a source to a Split: load, schema, quality, split, fingerprint."""
