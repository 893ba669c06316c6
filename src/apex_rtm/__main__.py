"""`python -m apex_rtm` and the command `apex-rtm`."""

from apex_rtm.cli import main

if __name__ == "__main__":
    main()
