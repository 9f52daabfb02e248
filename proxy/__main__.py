"""`python -m proxy` is the `tasktap` command."""

from proxy.cli import main

if __name__ == "__main__":
    main()
