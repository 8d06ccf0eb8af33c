"""python -m pcapnat."""

from .cli import main

main()
