"""Flower's simulation on the rows of a folder: `python -m benchmarks.peers.flower.run FOLDER CORES`.

As its users write it: a ServerApp with the strategy FedAvg, a ClientApp, clients as actors of Flower's own Ray, as many
as there are cores. What it may keep it keeps: an actor opens the rows and makes the net once, and scores the
validation rows in the message it trains by, which saves Flower the second message of a round.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

from benchmarks.peers.federation import Asked, Watch, hand_in
from benchmarks.peers.flower.client import client


def server(folder: Path, watch: Watch) -> ServerApp:
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        asked, _, first = Asked.read(folder)
        arrays = ArrayRecord({name: torch.from_numpy(array) for name, array in first.items()})
        count = len(asked.silos)
        strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=count, min_available_nodes=count)

        def look(number: int, arrays: ArrayRecord) -> None:
            watch.mark()

        done = strategy.start(grid, arrays, num_rounds=asked.rounds, evaluate_fn=look)
        last = {name: np.asarray(part) for name, part in done.arrays.to_torch_state_dict().items()}
        hand_in(folder, watch, last)

    return app


def main(folder: Path, cores: int) -> None:
    watch = Watch()
    backend = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}, "init_args": {"num_cpus": cores}}
    silos = len(Asked.read(folder)[0].silos)
    run_simulation(server(folder, watch), client(folder), num_supernodes=silos, backend_config=backend)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
