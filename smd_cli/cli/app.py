"""The whole `smd` program, where tools look for one."""

from smd_cli.cli.program import program

app = program()
