"""The command line: commands, messages, exit codes. Imports torch only to render."""
