"""``python -m edgeae`` is the ``edgeae`` program."""

from edgeae.cli.app import main

if __name__ == "__main__":
    main()
