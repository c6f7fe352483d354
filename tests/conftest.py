import os
from collections.abc import Iterator

import pytest

from cluster.connect import Session, connect


@pytest.fixture(scope="session")
def ray_session() -> Iterator[Session]:
    """One local Ray of two CPUs for all tests that need one in this process."""
    os.environ.pop("RAY_ADDRESS", None)
    session = connect(cpus=2)
    yield session
    session.close()
