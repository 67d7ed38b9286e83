"""The command line: each command parses, calls one public function, and prints.

Exit codes: 0 fine, 1 failed, 2 wrong use. Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

from landsift.cli.app import main

__all__ = ["main"]
