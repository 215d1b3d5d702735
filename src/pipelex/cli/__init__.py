"""The shell's door: arguments in, text and an exit code out. Decides nothing that a program could not ask of app.py."""
