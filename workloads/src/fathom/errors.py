"""Errors that mean the same in every workload."""


class InvalidInputError(Exception):
    """The task or its data are wrong, and trying again cannot help; the message says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        """Take a CamelCase `reason` for machines and a `message` with the fix for people."""
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        # It crosses processes; pickle would give the message for the reason.
        return type(self), (self.reason, str(self))
