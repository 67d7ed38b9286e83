"""Shared parts of methods: towers, poolings, attentions, fusions, heads. Each module names its source."""
