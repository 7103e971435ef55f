"""People who do not exist, for trying Channelscope out: `manage.py demo`.

`dialogues/` is what they say, a file for each room. From it come the history that a
new installation is filled with, and what they go on to say over real websockets.
"""
