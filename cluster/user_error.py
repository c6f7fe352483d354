"""What the person at the keyboard can mend."""


class UserError(Exception):
    """A mistake in what was asked, told in one sentence: what happened, where, what to do, with the value seen.

    A command prints it without a traceback and exits with status 2; an HTTP handler answers it with a 4xx.
    The class that fits lives in the file that raises it and inherits from this one.
    """
