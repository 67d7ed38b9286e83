"""The CLIP family in plain torch: towers, tokenizers, checkpoints of every layout in use, and their
encoders."""
