"""One bench for all comparisons: a process for each library, rounds in turn, figures as JSON lines.

A benchmark is a file with two functions: `prepare(contender, case)` runs in a library's own process
and gives something to call; `groups(options)` says which contenders do which cases, in turn.
`command.run` does the rest.
"""
