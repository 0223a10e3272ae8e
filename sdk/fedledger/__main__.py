"""``python -m fedledger``: the ``fedledger`` command."""

from fedledger.cli.main import main

if __name__ == "__main__":
    main()
