"""Measurements: each module measures one thing and writes ``benchmarks/results/<name>.json``.

``python -m benchmarks`` runs all of them and rewrites ``docs/benchmarks.md`` from the results;
``python -m benchmarks NAME...`` runs some. Speeds are compared inside one run, on one machine.
"""
