"""The routes, by what they are for; each parses, calls a gallery or the searcher, and writes JSON."""
