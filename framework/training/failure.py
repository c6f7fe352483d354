"""Why a training run ended without a model, in a sentence."""

import re
from collections.abc import Mapping

from cluster.user_error import UserError

# Errors of the code or of what it was given: they would come again on the same rows.
LASTING = (ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, TypeError, ValueError)


class TrainingError(UserError):
    """A distributed training run that ended without a model: who failed, where, and what to do."""


class HorovodLostError(TrainingError):
    """Ranks died, and too few were left to go on."""


def lasting(failures: Mapping[int, BaseException]) -> bool:
    """Whether starting again from the last checkpoint would end the same way. failures: rank → its exception."""
    return any(isinstance(error, (UserError, *LASTING)) for error in failures.values())


def of_workers(failures: Mapping[int, BaseException]) -> BaseException:
    """What to raise for a group of workers that failed: the exception of the rank that began it, where it is ours to
    tell, else a TrainingError with the rank, its node and the cause."""
    own = {rank: error for rank, error in sorted(failures.items()) if isinstance(error, UserError)}
    if own:
        return next(iter(own.values()))
    # A rank that lost its neighbour fails too, and says less.
    for rank, error in sorted(
        failures.items(), key=lambda item: (not isinstance(item[1], LASTING), not _died(item[1]))
    ):
        where = f"rank {rank}{_node(error)}"
        if _died(error):
            return TrainingError(f"{where} {_cause(error)} The run was started again as often as it may be.")
        if _storage(error):
            return TrainingError(
                f"{where} could not write its checkpoint ({_first(error)}). The earlier checkpoints are intact; "
                f"make the storage writable and start again with the same checkpoints."
            )
        return TrainingError(f"{where} failed: {type(error).__name__}: {_first(error)}")
    return TrainingError("the workers failed and none of them said why. Ray's logs of the session tell more.")


def of_controller(error: BaseException, *, folder: str) -> TrainingError:
    """What to raise when not a worker failed, but what conducts them. folder: where the checkpoints are kept."""
    told = f"{type(error).__name__}: {_first(error)}"
    if "StartupTimeout" in type(error).__name__:
        return TrainingError(
            f"the cluster never had room for all workers at once ({_first(error)}). Ask for fewer workers, or wait "
            f"until others have finished."
        )
    if _storage(error):
        return TrainingError(
            f"the checkpoints in {folder} cannot be written ({_first(error)}). Those that are there are intact; make "
            f"the storage writable, and reachable from every node, and start again with the same checkpoints."
        )
    return TrainingError(f"the training run ended ({told}). Ray's logs of the session tell more.")


def _died(error: BaseException) -> bool:
    return type(error).__name__ == "WorkerHealthCheckFailedError" or "Actor" in type(error).__name__


def _storage(error: BaseException) -> bool:
    """Whether a file system refused: no connection to a neighbour, which is an OSError as well."""
    if isinstance(error, ConnectionError | TimeoutError):
        return False
    return isinstance(error, OSError) or "cluster storage" in str(error)


def _cause(error: BaseException) -> str:
    told = str(error)
    # A plain kill mentions the kernel's out-of-memory killer as well, as one cause that Ray can think of.
    if "running low on memory" in told or "OutOfMemory" in told or "memory monitor" in told:
        return (
            "was killed because its node ran out of memory. Give more workers a smaller part each, a smaller batch, "
            "or nodes with more memory."
        )
    if "node has died" in told or "Node died" in told:
        return "was lost with its node. Look after the node, or name with `fewest` how many workers may go on without."
    return (
        "died: killed from outside, by the kernel for memory, or crashed in native code. Its node's kernel log and "
        "Ray's logs tell which."
    )


def _node(error: BaseException) -> str:
    found = re.search(r"\bip:? ?=?\s*(\d+\.\d+\.\d+\.\d+)", str(error)) or re.search(
        r"IP(?: address)?[: ]+(\d+\.\d+\.\d+\.\d+)", str(error)
    )
    return f" on node {found.group(1)}" if found else ""


def _first(error: BaseException) -> str:
    error = getattr(error, "cause", None) or error  # of a task: what was raised there, without its traceback
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300].rstrip(".") if lines else type(error).__name__
