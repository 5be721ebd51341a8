"""What is asked: the paper's model and the general one, what is read out of them, and the checks of arguments.

No solver belongs here, and nothing that knows how a problem is solved.
"""
