"""``python -m coreloss.cli``, as torchrun starts it."""

from coreloss.cli.app import main

if __name__ == "__main__":
    main()
