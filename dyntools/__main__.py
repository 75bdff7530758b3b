"""python -m dyntools."""

from dyntools.cli import main

if __name__ == "__main__":
    main()
