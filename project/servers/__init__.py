"""The servers that `manage.py up` can run, a module each; only one is imported.

Each has `run(listener, application, say_goodbye)`: serve on a listening socket until
SIGTERM or SIGINT.
"""
