"""Hashing methods: one file each, heads of K bits on frozen towers."""
