"""`python -m embedcli`."""

from embedcli.cli.main import main

if __name__ == "__main__":
    main()
